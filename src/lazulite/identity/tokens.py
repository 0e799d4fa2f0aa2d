"""JSON Web Tokens as Azure's clients expect them: any audience asked for, `tid` and `exp` inside."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal

_ALGORITHM = "RS256"
_CACHE_SIZE = 4096


class TokenIssuer:
    """Signs and verifies tokens with one RSA key.

    `issuer` is the https authority clients see, `tenant` the directory's GUID, `lifetime_s` how long a token is good
    for whose life nobody asks for, in seconds.
    """

    def __init__(self, key: RSAKey, *, issuer: str, tenant: str, lifetime_s: int = 24 * 3600) -> None:
        self._key = key
        self.lifetime_s = lifetime_s
        self.issuer = issuer
        self.tenant = tenant
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def issue(self, principal: Principal, audience: str, *, lifetime_s: int | None = None) -> tuple[str, int]:
        """A token for `principal` and the second since the epoch at which it expires."""
        now = int(time.time())
        expires = now + (lifetime_s or self.lifetime_s)
        claims: dict[str, object] = {
            "aud": audience,
            "iss": f"{self.issuer}/{self.tenant}/",
            "iat": now,
            "nbf": now - 60,
            "exp": expires,
            "tid": self.tenant,
            "oid": principal.id,
            "sub": principal.id,
            "appid": principal.id,
            "name": principal.name,
            "upn": principal.name,
            "idtyp": "user" if principal.kind == "User" else "app",
            "ver": "1.0",
            "lz_kind": principal.kind,
        }
        if principal.run:
            claims |= {"lz_run": principal.run, "lz_ws": principal.workspace or ""}
        header = {"alg": _ALGORITHM, "typ": "JWT", "kid": self._key.thumbprint()}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM]), expires

    def verify(self, token: str) -> Principal:
        """The principal of a token we signed. Raises ApiError 401 saying what is wrong with it."""
        cached = self._verified.get(token)
        if cached is None:
            cached = self._check(token)
            self._verified[token] = cached
            while len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        principal, expires = cached
        if expires < time.time():
            self._verified.pop(token, None)
            raise unauthenticated("The access token has expired. Get a new one: credential.get_token(...).")
        return principal

    def jwks(self) -> dict[str, object]:
        """The public key, for OpenID Connect discovery."""
        return {"keys": [self._key.as_dict(private=False) | {"kid": self._key.thumbprint(), "use": "sig"}]}

    def _check(self, token: str) -> tuple[Principal, float]:
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError):
            raise unauthenticated(
                "The access token was not issued by this server. Set the environment again with "
                '`eval "$(lazulite env)"`, and unset AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID '
                "if they belong to another cloud."
            ) from None
        principal = Principal(
            id=str(claims["oid"]),
            name=str(claims.get("name", claims["oid"])),
            kind=str(claims.get("lz_kind", "User")),
            audience=str(claims["aud"]),
            run=claims.get("lz_run"),
            workspace=claims.get("lz_ws"),
        )
        return principal, float(claims["exp"])


def unauthenticated(message: str) -> ApiError:
    return ApiError(401, "AuthenticationFailed", message, headers={"WWW-Authenticate": "Bearer"})


def load_key(path: Path) -> RSAKey:
    """The signing key in a PEM file; made on first use, readable by its owner alone."""
    if not path.exists():
        key = RSAKey.generate_key(2048)
        write_private(path, key.as_pem(private=True))
    return RSAKey.import_key(path.read_bytes())


def write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
