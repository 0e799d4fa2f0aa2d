"""`lazulite principal`: identities for programs and colleagues, with a role each."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from lazulite.cli import client, shells
from lazulite.cli.errors import OK, CommandError
from lazulite.cli.home import Server, home_folder, required_server
from lazulite.cli.variables import LEFTOVERS, Changes
from lazulite.core.command_line import SUBSCRIPTION

ROLES = ("Owner", "Contributor", "Reader", "AzureML Data Scientist", "AzureML Registry User")


#: What would win over the new credentials, or lead them elsewhere.
_UNSET = tuple(name for name in LEFTOVERS if name not in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID",
                                                          "AZURE_AUTHORITY_HOST"))  # fmt: skip


def create(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    made = client.create_principal(server, arguments.name, arguments.role, arguments.scope)
    _print(arguments, server, made)
    if not (arguments.json or arguments.json_auth):
        print(
            f"# {arguments.name} is {arguments.role} on {arguments.scope or 'everything'}. Set these after what "
            "`lazulite env` prints: from then on all clients of the shell are this principal, MLflow's too. The secret "
            "is not shown again.",
            file=sys.stderr,
        )
    return OK


def rotate(arguments: argparse.Namespace) -> int:
    """Replace a principal's key; that of the home's owner is written into the home."""
    server = required_server(home_folder(arguments.home))
    made = client.rotate_principal(server, _id(server, arguments.name))
    own = server.user_key() == made["secret"]
    if own and not arguments.json:
        print("The key of this home is a new one. Set the variables of every shell again: `lazulite env`.")
    else:
        _print(arguments, server, made)
    print("# The old key and the tokens got with it are refused from now on; jobs that run go on.", file=sys.stderr)
    return OK


def _id(server: Server, name: str) -> str:
    """The id of the principal of that id or name. Raises CommandError."""
    found = client.principals(server)
    ids = [str(one["id"]) for one in found if name in (one["id"], one["name"])]
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise CommandError(f"no principal is called '{name}'", "`lazulite principal list` shows them")
    raise CommandError(f"'{name}' is the name of {len(ids)} principals", f"give the id: {', '.join(ids)}")


def _print(arguments: argparse.Namespace, server: Server, made: dict[str, Any]) -> None:
    if arguments.json_auth:
        print(json.dumps(json_auth(server, made), indent=2))
    elif arguments.json:
        print(json.dumps(made, indent=2))
    else:
        changes = credentials(server, made, client.mlflow_token(server, str(made["secret"])))
        print(shells.script(changes, arguments.shell or shells.detected(os.environ)))


def credentials(server: Server, made: dict[str, Any], mlflow_token: str) -> Changes:
    """Every credential of a shell, so that no client in it stays somebody else."""
    variables = {
        "AZURE_AUTHORITY_HOST": server.https_url,
        # With this tenant MSAL asks the authority alone, and not Microsoft's servers about it.
        "AZURE_TENANT_ID": str(made.get("tenant", "adfs")),
        "AZURE_CLIENT_ID": str(made["id"]),
        "AZURE_CLIENT_SECRET": str(made["secret"]),
        "IDENTITY_ENDPOINT": f"{server.http_url}/msi/token",
        "IDENTITY_HEADER": str(made["secret"]),
        "MLFLOW_TRACKING_TOKEN": mlflow_token,
    }
    return Changes(variables, _UNSET)


def json_auth(server: Server, made: dict[str, Any]) -> dict[str, str]:
    """What `az ad sp create-for-rbac --json-auth` prints, as workflows keep it in one secret."""
    return {
        "clientId": str(made["id"]),
        "clientSecret": str(made["secret"]),
        "subscriptionId": SUBSCRIPTION,
        "tenantId": str(made.get("tenant", "adfs")),
        "activeDirectoryEndpointUrl": server.https_url,
        "resourceManagerEndpointUrl": f"{server.https_url}/",
        "activeDirectoryGraphResourceId": "",
        "sqlManagementEndpointUrl": "",
        "galleryEndpointUrl": "",
        "managementEndpointUrl": "https://management.azure.com/",
    }


def show(arguments: argparse.Namespace) -> int:
    found = client.principals(required_server(home_folder(arguments.home)))
    if arguments.json:
        print(json.dumps(found, indent=2))
        return OK
    print(f"{'ID':<38}{'NAME':<22}{'KIND':<18}ROLES")
    for one in found:
        roles = ", ".join(f"{held['role']} on {held['scope']}" for held in one.get("roles", [])) or "none"
        print(f"{one['id']:<38}{one['name']:<22}{one.get('kind', ''):<18}{roles}")
    return OK


def delete(arguments: argparse.Namespace) -> int:
    client.delete_principal(required_server(home_folder(arguments.home)), arguments.id)
    print(f"Deleted principal {arguments.id}.")
    return OK
