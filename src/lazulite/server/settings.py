"""One frozen object, made at start and passed down. Nothing else in the server reads the environment."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from lazulite.server import ports


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server can be told. `<home>/settings.toml` and `LAZULITE_*` variables use these names."""

    home: Path
    #: Address to listen on. Anything but loopback must be asked for.
    host: str = "127.0.0.1"
    #: The name clients use; it stands in every address the server hands out.
    public_host: str = "localhost"
    #: TLS port; 0 picks a free one, the same at every start of the home while it is free.
    port: int = 8443
    #: Plain HTTP port, loopback only: browser, cloud metadata, identity endpoint. 0 picks a free one.
    http_port: int = 8080
    #: SQLAlchemy URL; empty is SQLite in the home.
    database_url: str = ""
    #: Where blobs live: empty is plain folders in the home, else an object store URL (s3://, az://, gs://).
    storage_url: str = ""
    #: What the object store's client needs beside the URL: region, endpoint, keys. In settings.toml only, as a table.
    storage_options: dict[str, str] = field(default_factory=dict)
    #: Prefixes of public addresses (https, wasbs, abfss) and the folders here that stand for them. In settings.toml only.
    url_mirror: dict[str, str] = field(default_factory=dict)
    #: `auto`, `bubblewrap`, `landlock` or `process`: how a job is kept apart from the machine.
    isolation: str = "auto"
    #: `auto`, `cgroup`, `rlimit` or `off`: what keeps jobs to their limits.
    limits: str = "auto"
    #: Memory of a node: `size` is that of the compute's VM size, else GiB; 0 sets no limit.
    job_memory: str = "size"
    #: Processes and threads that a job may have on a node; 0 sets no limit.
    job_processes: int = 8192
    #: Files that each process of a job may have open; 0 sets no limit.
    job_open_files: int = 65536
    #: GiB that a job may write to its folder and outputs, for each of its nodes; 0 sets no limit.
    job_disk_gb: float = 100.0
    #: `process` runs image environments as virtual environments; `container` runs them in podman or docker.
    runtime: str = "process"
    #: Seconds a new node takes to be ready. Azure takes minutes; zero is the point of this project.
    node_boot_seconds: float = 0.0
    #: Seconds that a token is good for; clients that hold a credential fetch the next one by themselves.
    token_lifetime_seconds: int = 24 * 3600
    #: Largest JSON body accepted, in bytes.
    max_body_bytes: int = 16 * 1024 * 1024
    #: Addresses and networks (`10.0.0.7`, `10.0.0.0/8`) of proxies whose X-Forwarded-For and -Proto are believed.
    trusted_proxies: tuple[str, ...] = ()
    #: Connections that each port holds at once; a third of the process's file limit at most.
    max_connections: int = 1000
    #: Seconds in which the headers of a request must be there.
    header_timeout_seconds: float = 20.0
    #: Seconds in which a body must go on by 4 KiB. There is no time in which it must be over.
    body_timeout_seconds: float = 30.0
    #: Folder of MLflow's built pages; empty takes those of the installed mlflow package.
    mlflow_pages: str = ""
    #: Whether webhooks may call this machine and private networks, and over plain HTTP.
    webhook_private_addresses: bool = False
    #: Region that resources report.
    location: str = "local"

    @property
    def storage_root(self) -> Path:
        return self.home / "storage"

    @property
    def environments_root(self) -> Path:
        return self.home / "environments"

    @property
    def runs_root(self) -> Path:
        return self.home / "runs"

    @property
    def secrets_root(self) -> Path:
        return self.home / "secrets"

    @property
    def tls_root(self) -> Path:
        return self.home / "tls"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'lazulite.db'}"


def load(overrides: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Defaults, then `<home>/settings.toml`, then `LAZULITE_*` variables, then `overrides`. Raises SettingsError."""
    env = os.environ if environ is None else environ
    given = {k: v for k, v in overrides.items() if v is not None}
    home = (
        Path(given.pop("home", None) or env.get("LAZULITE_HOME") or Path.home() / ".lazulite").expanduser().absolute()
    )
    values = _kept_ports(home) | _from_file(home / "settings.toml") | _from_environment(env) | given
    return _checked(replace(Settings(home=home), **{k: _typed(k, v) for k, v in values.items()}))


def _kept_ports(home: Path) -> dict[str, Any]:
    """0, which takes the last server's port again, where that was another than the default."""
    return {name: 0 for name, port in ports.last(home).items() if port != _DEFAULTS[name]}


def _from_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    unknown = sorted(set(values) - _NAMES)
    if unknown:
        raise SettingsError(f"{path}: there is no setting '{unknown[0]}'; there is {', '.join(sorted(_NAMES))}")
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {name: environ[f"LAZULITE_{name.upper()}"] for name in _NAMES if f"LAZULITE_{name.upper()}" in environ}


def _typed(name: str, value: Any) -> Any:
    kind = type(_DEFAULTS[name])
    if kind is tuple:
        return _listed(name, value)
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        if kind is bool and not isinstance(value, bool):
            raise ValueError(value)
        return value if isinstance(value, kind) else kind(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{name} is '{value}' and must be a {kind.__name__}") from None


def _listed(name: str, value: Any) -> tuple[str, ...]:
    """A list of the file, or words with commas between them."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise SettingsError(f"{name} is '{value}' and must be a list of texts")
    return tuple(word.strip() for word in words if word.strip())


def _checked(settings: Settings) -> Settings:
    for name in ("port", "http_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"{name} is {getattr(settings, name)} and must lie between 0 and 65535")
    if not 1 <= settings.token_lifetime_seconds <= _LONGEST_TOKEN_S:
        found = settings.token_lifetime_seconds
        raise SettingsError(f"token_lifetime_seconds is {found} and must lie between 1 and {_LONGEST_TOKEN_S}")
    for name, allowed in _ALLOWED.items():
        if getattr(settings, name) not in allowed:
            raise SettingsError(f"{name} is '{getattr(settings, name)}' and must be one of {', '.join(allowed)}")
    for name in ("max_connections", "header_timeout_seconds", "body_timeout_seconds"):
        if not getattr(settings, name) > 0:
            raise SettingsError(f"{name} is {getattr(settings, name)} and must be more than 0")
    for name in ("job_processes", "job_open_files", "job_disk_gb"):
        if not 0 <= getattr(settings, name) < math.inf:
            raise SettingsError(f"{name} is {getattr(settings, name)} and must be 0, which sets no limit, or more")
    if settings.job_memory != "size" and not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", settings.job_memory, re.ASCII):
        raise SettingsError(
            f"job_memory is '{settings.job_memory}' and must be 'size' or a number of GiB (0: no limit)"
        )
    for proxy in settings.trusted_proxies:
        _check_network(proxy)
    for address, folder in settings.url_mirror.items():
        _check_mirror(address, folder)
    return settings


def _check_network(text: str) -> None:
    try:
        ip_network(text)
    except ValueError as error:
        raise SettingsError(f"trusted_proxies: '{text}' is not an address or a network ({error})") from None


def _check_mirror(address: str, folder: Any) -> None:
    if not _MIRRORED.match(address):
        forms = "https://HOST/PATH, wasbs://CONTAINER@HOST/PATH or abfss://CONTAINER@HOST/PATH"
        raise SettingsError(f"[url_mirror]: '{address}' is no beginning of a public address: {forms}")
    if not isinstance(folder, str) or not Path(folder).is_absolute():
        raise SettingsError(
            f"[url_mirror]: '{address}' is mapped to {folder!r} and must be to the full path of a folder"
        )
    if not Path(folder).is_dir():
        raise SettingsError(f"[url_mirror]: '{address}' is mapped to '{folder}', and there is no such folder")


_MIRRORED = re.compile(r"(?:https?://[^/?@]+|(?:wasbs?|abfss?)://[^/@]+@[^/?@]+)(?:/[^?]*)?$", re.IGNORECASE)
_ALLOWED = {
    "isolation": ("auto", "bubblewrap", "landlock", "process"),
    "limits": ("auto", "cgroup", "rlimit", "off"),
    "runtime": ("process", "container"),
}
_LONGEST_TOKEN_S = 90 * 24 * 3600
_DEFAULTS: dict[str, Any] = {
    f.name: f.default if f.default_factory is MISSING else f.default_factory()
    for f in fields(Settings)
    if f.name != "home"
}
_NAMES = frozenset(_DEFAULTS)
