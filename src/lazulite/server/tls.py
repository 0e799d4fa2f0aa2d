"""The home's own certificate authority, made at first start, and the certificate the server shows."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from lazulite.identity.tokens import write_private


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths: `bundle` (our CA and the system's roots) is what clients are pointed at."""

    ca: Path
    bundle: Path
    server: Path  # certificate chain and key in one PEM


def ensure(root: Path, host: str) -> Certificates:
    """The certificates of a home for the name `host`; made where they are missing."""
    paths = Certificates(root / "ca.pem", root / "bundle.pem", root / f"server-{host}.pem")
    key = root / "ca.key"
    if not key.exists():
        authority = trustme.CA(organization_name="Lazulite", organization_unit_name="local authority")
        write_private(key, authority.private_key_pem.bytes())
        write_private(paths.ca, authority.cert_pem.bytes())
    if not paths.server.exists():
        authority = trustme.CA.from_pem(paths.ca.read_bytes(), key.read_bytes())
        names = dict.fromkeys([host, "localhost", "127.0.0.1", "::1", f"*.blob.{host}", f"*.vault.{host}"])
        issued = authority.issue_cert(*names, common_name=host)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        write_private(paths.server, issued.private_key_pem.bytes() + chain)
    _write_bundle(paths)
    return paths


def _write_bundle(paths: Certificates) -> None:
    system = ssl.get_default_verify_paths()
    candidates = [system.cafile, system.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]
    # In a shell that points to this home, SSL_CERT_FILE is the bundle itself.
    others = [Path(c) for c in candidates if c and Path(c).resolve() != paths.bundle.resolve()]
    roots = next((path.read_bytes() for path in others if path.is_file()), b"")
    content = paths.ca.read_bytes() + roots
    if not paths.bundle.exists():
        write_private(paths.bundle, content)
    elif paths.bundle.read_bytes() != content:
        # In place: jobs that run were shown this very file, and would be shut out of another one of its name.
        with paths.bundle.open("r+b") as file:
            file.write(content)
            file.truncate()
