"""The environment variables that make unmodified clients come to a server here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lazulite.core.addresses import for_links
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE

CLOUD = "LazuliteCloud"

#: What a shell may still hold from real Azure. Each of them changes which credential wins, or what it asks for.
LEFTOVERS = (
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_SERVER_THUMBPRINT",
)
_LOOPBACK = ("localhost", "127.0.0.1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do to an environment: `set` these, then `unset` those."""

    set: dict[str, str]
    unset: tuple[str, ...] = LEFTOVERS


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and what a client needs to trust it and be trusted by it."""

    https_url: str
    http_url: str
    bundle: str
    user_key: str
    mlflow_token: str


def client_variables(address: Address, environ: Mapping[str, str], workspace: str = "") -> Changes:
    """The changes that point azure-ai-ml, azure-identity and MLflow to `address`, given the environment they join.

    `workspace` is the ARM id of the one that MLflow logs to; empty for the first.
    """
    tracking = f"{for_links(address.https_url, address.http_url)}/mlflow/rest{workspace or workspace_id()}"
    variables = {
        "ARM_CLOUD_METADATA_URL": f"{address.http_url}/metadata/endpoints",
        "AZUREML_CURRENT_CLOUD": CLOUD,
        "IDENTITY_ENDPOINT": f"{address.http_url}/msi/token",
        "IDENTITY_HEADER": address.user_key,
        # Two names for one file: Python's clients read the first, those in Rust and Go the second.
        "REQUESTS_CA_BUNDLE": address.bundle,
        "SSL_CERT_FILE": address.bundle,
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{address.https_url}/",
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_REGISTRY_URI": tracking,
        "MLFLOW_TRACKING_TOKEN": address.mlflow_token,
        # Without these the SDK's log stream slows down to one look a minute.
        "AZUREML_RUN_POLLING_INTERVAL_MIN": "1",
        "AZUREML_RUN_POLLING_INTERVAL_MAX": "3",
        # The SDK's cache tells workspaces apart by their names: it would name components of an earlier home.
        "AZURE_ML_DISABLE_ON_DISK_CACHE": "true",
    }
    return Changes(variables | _proxy_exceptions(environ))


def workspace_id(subscription: str = SUBSCRIPTION, group: str = RESOURCE_GROUP, workspace: str = WORKSPACE) -> str:
    """The ARM id of a workspace."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
    )


def applied(changes: Changes, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with the changes made."""
    kept = {name: value for name, value in environ.items() if name not in changes.unset}
    return kept | changes.set


def _proxy_exceptions(environ: Mapping[str, str]) -> dict[str, str]:
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return {}
    stated = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in stated.split(",") if host.strip()]
    value = ",".join(hosts + [host for host in _LOOPBACK if host not in hosts])
    return {"NO_PROXY": value, "no_proxy": value}
