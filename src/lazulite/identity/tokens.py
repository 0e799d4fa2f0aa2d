"""JSON Web Tokens as Azure's clients expect them: any audience asked for, `tid` and `exp` inside."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from pathlib import Path

import msgspec
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
            **{claim: value for claim, name in _OWN.items() if (value := getattr(principal, name))},
        }
        header = {"alg": _ALGORITHM, "typ": "JWT", "kid": self._key.thumbprint()}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM]), expires

    def verify(self, token: str) -> Principal:
        """The principal that a token of ours names. Raises ApiError 401 saying what is wrong with it.

        What the token claims is not asked here: `Claims.verify` does.
        """
        cached = self._verified.get(token)
        if cached is None:
            cached = self._check(token)
            self._verified[token] = cached
            while len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        principal, begins = cached
        now = time.time()
        if principal.expires < now:
            self._verified.pop(token, None)
            raise unauthenticated("The access token has expired. Get a new one: credential.get_token(...).")
        if begins > now:
            raise unauthenticated("The access token is not valid yet (nbf). Get a new one: credential.get_token(...).")
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
        try:
            found = msgspec.convert(claims, _Claims)
        except msgspec.ValidationError as error:
            raise unauthenticated(f"The access token lacks what every token of this server says: {error}.") from None
        if found.tid != self.tenant:
            raise unauthenticated(f"The access token is of the tenant '{found.tid}', and this is '{self.tenant}'.")
        own = {name: value for claim, name in _OWN.items() if (value := getattr(found, claim))}
        if found.lz_kind == "Job" and "run" not in own:
            raise unauthenticated("The access token is a job's, and names no job (lz_run).")
        named = Principal(found.oid, found.name or found.oid, found.lz_kind, found.aud, expires=found.exp, **own)
        return named, found.nbf


class _Claims(msgspec.Struct):
    """What a token of ours says. Times are seconds since the epoch."""

    oid: str
    exp: float
    aud: str
    tid: str
    nbf: float = 0.0
    name: str = ""
    lz_kind: str = "User"
    lz_run: str = ""
    lz_ws: str = ""
    lz_birth: str = ""
    lz_behalf: str = ""
    lz_stepping: bool = False
    lz_key: str = ""


#: Claims of our own, and the fields of `Principal` that they fill.
_OWN = {
    "lz_run": "run",
    "lz_ws": "workspace",
    "lz_birth": "birth",
    "lz_behalf": "behalf_of",
    "lz_stepping": "stepping",
    "lz_key": "key",
}


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
