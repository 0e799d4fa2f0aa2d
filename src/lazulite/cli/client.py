"""What the command asks of a running server: tokens, principals, and how much there is on it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lazulite.cli.errors import CommandError
from lazulite.cli.home import Server
from lazulite.cli.http import Refused, Unreachable, get_json, request_json
from lazulite.cli.variables import Address

#: The audience of tokens that MLflow clients send.
_ML = "https://ml.azure.com"
_ARM = "https://management.azure.com"
#: MLflow's clients never renew the token that `env` gave them, so it lasts as long as a shell might stay open.
_MLFLOW_S = 30 * 24 * 3600


def token(server: Server, audience: str, lifetime_s: int = 3600, key: str | None = None) -> str:
    """A bearer token for `audience` of whom `key` belongs to, by default the home's owner. Raises CommandError."""
    query = f"api-version=2019-08-01&resource={quote(audience, safe='')}&lifetime_s={lifetime_s}"
    url = f"{server.http_url}/msi/token?{query}"
    try:
        answer = get_json(url, headers={"X-IDENTITY-HEADER": key or server.user_key()})
        return str(answer["access_token"])
    except (Refused, Unreachable, KeyError) as error:
        raise CommandError(
            f"the server gives out no token: {error}", "restart it: `lazulite down`, `lazulite up`"
        ) from None


def address(server: Server) -> Address:
    """Where the server is, with its owner's key and a token for MLflow. Raises CommandError."""
    return Address(
        https_url=server.https_url,
        http_url=server.http_url,
        bundle=str(server.bundle),
        user_key=server.user_key(),
        mlflow_token=token(server, _ML, _MLFLOW_S),
    )


def principals(server: Server) -> list[dict[str, Any]]:
    value = call(server, "GET", "/lazulite/principals").get("value", [])
    return [item for item in value if isinstance(item, dict)]


def create_principal(server: Server, name: str, role: str, scope: str | None) -> dict[str, Any]:
    """The new principal, with its `id` and the `secret` that is told only now. Raises CommandError."""
    return call(server, "POST", "/lazulite/principals", {"name": name, "role": role, "scope": scope or "/"})


def rotate_principal(server: Server, identifier: str) -> dict[str, Any]:
    """The principal with its new `secret`, which is told only now. Raises CommandError."""
    return call(server, "POST", f"/lazulite/principals/{quote(identifier, safe='')}/rotate", {})


def mlflow_token(server: Server, key: str) -> str:
    """A token for MLflow's clients of whom the key belongs to. Raises CommandError."""
    return token(server, _ML, _MLFLOW_S, key)


def delete_principal(server: Server, identifier: str) -> None:
    call(server, "DELETE", f"/lazulite/principals/{quote(identifier, safe='')}")


def sign_in_code(server: Server, workspace: str, job: str | None = None) -> dict[str, Any]:
    """A one-time `code` for a browser, the `page` that takes it and in how many seconds it `expires_in`. Raises CommandError."""
    wanted = {"workspace": workspace} if job is None else {"workspace": workspace, "job": job}
    return call(server, "POST", "/lazulite/sign-in-codes", wanted)


def call(server: Server, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request as the home's owner. Raises CommandError."""
    headers = {"Authorization": f"Bearer {token(server, _ARM)}"}
    try:
        return request_json(method, server.http_url + path, body, headers=headers)
    except Refused as refusal:
        raise CommandError(refusal.message) from None
    except Unreachable as error:
        raise CommandError(f"the server stopped answering: {error}", "see `lazulite status`") from None
