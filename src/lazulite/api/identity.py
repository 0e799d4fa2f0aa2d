"""How clients find this cloud and get their tokens: metadata, managed identity, client credentials, principals."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from lazulite.api.context import ApiContext
from lazulite.core.arm_id import PROVIDER
from lazulite.core.clock import iso
from lazulite.core.errors import ApiError, bad_request, not_found
from lazulite.core.numbers import whole_number
from lazulite.core.principal import Principal
from lazulite.core.web import (
    AUTHENTICATED,
    PUBLIC,
    WORKSPACE,
    JsonResponse,
    Route,
    json_body,
    principal,
    workspace_id,
)
from lazulite.identity.claims import LONGEST_OF_JOB_S, Claims
from lazulite.store import runs
from lazulite.store.resources import Json

CLOUD = "LazuliteCloud"
_LONGEST_LIFETIME_S = 90 * 24 * 3600
#: AZURE_TENANT_ID=adfs: MSAL then asks this server alone, not login.microsoftonline.com.
_ADFS = "/adfs"
_ASSIGN = "Microsoft.Authorization/roleAssignments"


def routes(context: ApiContext, claims: Claims, keep_owner_key: Callable[[str], None]) -> list[Route]:
    """`keep_owner_key` writes the key of whom the home belongs to, who is the principal of the tenant's id."""
    identity = _Identity(context, claims, keep_owner_key)
    discovery = identity.openid_configuration
    token, right = identity.run_token, f"{PROVIDER}/workspaces/experiments/runs/write"
    return [
        Route("GET", "/metadata/endpoints", PUBLIC, identity.cloud_metadata, "Metadata.endpoints"),
        Route("GET", "/discovery/workspaces/{guid}", PUBLIC, identity.discovery, "Discovery.workspace"),
        Route("GET", "/msi/token", PUBLIC, identity.managed_identity, "ManagedIdentity.token", errors=_msi_error),
        Route("GET", "/obo/token/{key}", PUBLIC, identity.on_behalf, "OnBehalfOf.token", errors=_msi_error),
        Route("GET", _ADFS + "/.well-known/openid-configuration", PUBLIC, discovery, "OpenId.configuration"),
        Route("GET", _ADFS + "/v2.0/.well-known/openid-configuration", PUBLIC, discovery, "OpenId.configuration_v2"),
        Route("GET", _ADFS + "/keys", PUBLIC, identity.keys, "OpenId.keys"),
        Route("POST", _ADFS + "/oauth2/token", PUBLIC, identity.client_credentials, "OpenId.token"),
        Route("POST", _ADFS + "/oauth2/v2.0/token", PUBLIC, identity.client_credentials, "OpenId.token_v2"),
        Route("GET", "/lazulite/principals", f"{_ASSIGN}/read", identity.list_principals, "Principals.list"),
        Route("POST", "/lazulite/principals", f"{_ASSIGN}/write", identity.create_principal, "Principals.create"),
        Route(
            "POST",
            "/lazulite/principals/{id}/rotate",
            f"{_ASSIGN}/write",
            identity.rotate_principal,
            "Principals.rotate",
        ),
        Route(
            "DELETE", "/lazulite/principals/{id}", f"{_ASSIGN}/delete", identity.delete_principal, "Principals.delete"
        ),
        *(
            Route(
                "GET", f"/history/v1.0{WORKSPACE}/{segment}/{{experiment}}/runs/{{run}}/token", right, token, operation
            )
            for segment, operation in (("experiments", "RunHistory.token"), ("experimentids", "RunHistory.token_by_id"))
        ),
        Route("GET", "/lazulite/whoami", AUTHENTICATED, identity.whoami, "Principals.whoami"),
    ]


class _Identity:
    def __init__(self, context: ApiContext, claims: Claims, keep_owner_key: Callable[[str], None]) -> None:
        self._context = context
        self._claims = claims
        self._issuer = claims.issuer
        self._directory = claims.directory
        self._keep_owner_key = keep_owner_key

    async def cloud_metadata(self, request: Request) -> Response:
        """The document that ARM_CLOUD_METADATA_URL points to; azure-cli asks for one object, older ones for a list."""
        base = self._context.services.base_url
        netloc = urlsplit(base).netloc
        # azureml-mlflow hands `host:port` to azure-identity, which takes the host for a scheme unless it has an `@`.
        login = f"https://login@{netloc}"
        document: Json = {
            "name": CLOUD,
            "portal": f"{base}/",
            "authentication": {
                "loginEndpoint": login,
                "audiences": [base, "https://management.azure.com"],
                "tenant": "adfs",
                "identityProvider": "ADFS",
            },
            "resourceManager": f"{base}/",
            "graph": "",
            "graphAudience": "",
            "media": "",
            "gallery": "",
            "batch": "",
            "sqlManagement": "",
            "vmImageAliasDoc": "",
            "activeDirectoryDataLake": "",
            "microsoftGraphResourceId": "",
            "appInsightsResourceId": "",
            "suffixes": {
                "storage": "core.windows.net",
                "keyVaultDns": f"vault.{netloc}",
                "acrLoginServer": f"registry.{netloc}",
                "sqlServerHostname": f"database.{netloc}",
                "azureDataLakeStoreFileSystem": "",
                "azureDataLakeAnalyticsCatalogAndJob": "",
                "azureFrontDoorEndpointSuffix": "",
            },
        }
        single = request.query_params.get("api-version", "") >= "2020"
        return JsonResponse(document if single else [document])

    async def discovery(self, request: Request) -> Response:
        base = self._context.services.base_url
        names = ("api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling",
                 "modelmanagement", "pipelines", "studio")  # fmt: skip
        return JsonResponse(dict.fromkeys(names, base))

    async def managed_identity(self, request: Request) -> Response:
        """A token for the key in X-IDENTITY-HEADER; a job's own token is its key."""
        resource = request.query_params.get("resource")
        if not resource:
            raise bad_request("resource is missing: the audience the token is for.", "resource")
        secret = request.headers.get("x-identity-header", "")
        caller = self._directory.authenticate(secret) or await self._job(secret)
        if caller is None:
            raise ApiError(
                401,
                "InvalidIdentityHeader",
                'IDENTITY_HEADER is not the key of a user of this server. Set it again with `eval "$(lazulite env)"`.',
                target="X-IDENTITY-HEADER",
            )
        return self._issued(caller, resource, _asked_lifetime(request, caller))

    async def on_behalf(self, request: Request) -> Response:
        """A token of whoever submitted the job whose own token stands in the path; it ends with the job."""
        resource = request.query_params.get("resource")
        if not resource:
            raise bad_request("resource is missing: the audience the token is for.", "resource")
        job = await self._claims.verify(request.path_params["key"])
        caller = await self._claims.of_submitter(job)
        return self._issued(caller, resource, _left(job, self._issuer.lifetime_s))

    def _issued(self, caller: Principal, resource: str, lifetime_s: int | None) -> Response:
        token, expires = self._issuer.issue(caller, resource, lifetime_s=lifetime_s)
        return JsonResponse(
            {
                "access_token": token,
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": caller.id,
            }
        )

    async def client_credentials(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))
        if form.get("grant_type", "client_credentials") != "client_credentials":
            raise _oauth("unsupported_grant_type", f"grant_type '{form['grant_type']}' is not client_credentials")
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        basic = request.headers.get("authorization", "")
        if basic.lower().startswith("basic "):
            client, secret = _basic(basic[6:])
        caller = self._directory.authenticate(secret, principal_id=client) if secret else None
        if caller is None:
            raise _oauth(
                "invalid_client",
                "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET are not those of a service principal of this server; "
                "`lazulite principal create NAME --role ROLE` makes one",
            )
        audience = form.get("resource") or (form.get("scope") or "https://management.azure.com").split()[0]
        audience = audience.removesuffix("/.default")
        token, _ = self._issuer.issue(caller, audience)
        return JsonResponse(
            {
                "token_type": "Bearer",
                "expires_in": self._issuer.lifetime_s,
                "ext_expires_in": self._issuer.lifetime_s,
                "resource": audience,
                "access_token": token,
            }
        )

    async def openid_configuration(self, request: Request) -> Response:
        base = f"{request.url.scheme}://{request.headers['host']}{_ADFS}"
        return JsonResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/oauth2/authorize",
                "token_endpoint": f"{base}/oauth2/token",
                "device_authorization_endpoint": f"{base}/oauth2/devicecode",
                "jwks_uri": f"{base}/keys",
                "response_types_supported": ["token"],
                "grant_types_supported": ["client_credentials"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def keys(self, request: Request) -> Response:
        return JsonResponse(self._issuer.jwks())

    async def list_principals(self, request: Request) -> Response:
        value = [
            {
                "id": p.id,
                "name": p.name,
                "kind": p.kind,
                "roles": [{"role": a.role.name, "scope": a.scope} for a in held],
            }
            for p, held in self._directory.all()
        ]
        return JsonResponse({"value": value})

    async def create_principal(self, request: Request) -> Response:
        body = await json_body(request)
        name, role, scope = body.get("name"), body.get("role", "Contributor"), body.get("scope") or "/"
        if not isinstance(name, str) or not name.strip():
            raise bad_request("A principal needs a name.", "name")
        if not isinstance(scope, str):
            raise bad_request("scope must be a text: '/' or the id of something on this server.", "scope")
        kind = "User" if body.get("kind") == "User" else "ServicePrincipal"
        made, secret = await self._directory.create(name, str(role), scope, kind=kind)
        return JsonResponse(
            {"id": made.id, "name": made.name, "kind": made.kind, "secret": secret, "tenant": "adfs"}, 201
        )

    async def rotate_principal(self, request: Request) -> Response:
        """A new key, which is shown this once; the old one and its tokens are refused from then on."""
        id_, secret = request.path_params["id"], ""
        if id_ == self._context.services.tenant:
            # The file first: a server that is killed in between takes the key of the file at its next start.
            secret = secrets.token_urlsafe(32)
            self._keep_owner_key(secret)
        made, secret = await self._directory.rotate(id_, secret)
        return JsonResponse({"id": made.id, "name": made.name, "kind": made.kind, "secret": secret, "tenant": "adfs"})

    async def delete_principal(self, request: Request) -> Response:
        await self._directory.remove(request.path_params["id"])
        return Response(b"", 204)

    async def run_token(self, request: Request) -> Response:
        """A fresh token for a run, as the azureml-mlflow plugin asks for before the old one expires.

        A person gets one that reaches the run alone, and ends with the person's key.
        """
        caller, workspace, name = principal(request), workspace_id(request), request.path_params["run"]
        run = await self._context.database.read(lambda c: runs.get(c, workspace, name))
        if run is None:
            raise not_found(f"There is no run '{name}' in this workspace.", "runId")
        if caller.run is not None and caller.run.lower() != name.lower():
            raise ApiError(403, "AuthorizationFailed", f"The token of run '{caller.run}' reaches that run alone.")
        holder = caller if caller.job else await self._claims.by_hand(workspace, run.run_id, caller)
        token, expires = self._issuer.issue(holder, "https://ml.azure.com", lifetime_s=_left(caller, None))
        expiry = iso(dt.datetime.fromtimestamp(expires, dt.UTC))
        return JsonResponse({"token": token, "expiryTimeUtc": expiry})

    async def whoami(self, request: Request) -> Response:
        caller: Principal = request.scope["lazulite.principal"]
        return JsonResponse({"id": caller.id, "name": caller.name, "kind": caller.kind, "run": caller.run})

    async def _job(self, secret: str) -> Principal | None:
        if secret.count(".") != 2:
            return None
        found = await self._claims.verify(secret)
        return found if found.run else None


def _basic(text: str) -> tuple[str, str]:
    """Name and secret of an `Authorization: Basic` header. Raises ApiError 401."""
    try:
        client, _, secret = base64.b64decode(text, validate=True).decode(errors="replace").partition(":")
    except ValueError:
        raise _oauth("invalid_client", "the Basic credentials are not base64 of `id:secret`") from None
    return client, secret


def _asked_lifetime(request: Request, caller: Principal) -> int | None:
    """Seconds. MLflow's clients read their token once and never renew it, so a longer life may be asked for.

    That of a job ends with the job in any case, and that of somebody who steps into a job is not made longer.
    """
    text = request.query_params.get("lifetime_s")
    if text is None:
        return _left(caller, None)
    longest = LONGEST_OF_JOB_S if caller.run else _LONGEST_LIFETIME_S
    seconds = whole_number(text, 60, longest)
    if seconds is None:
        raise bad_request(f"lifetime_s is '{text[:100]}' and must be between 60 and {longest}.", "lifetime_s")
    return _left(caller, seconds)


def _left(caller: Principal, lifetime_s: int | None) -> int | None:
    """`lifetime_s`, but for somebody who steps into a job no more than what is left of the token it was asked with."""
    if not caller.stepping:
        return lifetime_s
    left = max(1, int(caller.expires - time.time()))
    return min(left, lifetime_s or left)


def _msi_error(error: ApiError) -> Response:
    """MSAL shows `statusCode` and `message` of an App Service's answer, and nothing else of it."""
    return JsonResponse({**error.body(), "statusCode": error.status, "message": error.message}, error.status)


def _oauth(code: str, description: str) -> ApiError:
    error = ApiError(401, code, description)
    error.body = lambda: {"error": code, "error_description": description}  # type: ignore[method-assign]
    return error
