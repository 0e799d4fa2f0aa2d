"""What the engine is told at its start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lazulite.model.run_plan import ContainerEngine, Limits
from lazulite.store.resources import Resource


class Tokens(Protocol):
    """Whoever issues tokens."""

    def job_token(self, workspace: Resource, run_id: str, principal_id: str, limit_s: float | None) -> str:
        """A token that reaches this run and its workspace alone, within the rights of the principal that submitted it.

        It ends with the job, and is good for longer than one may run that ends after `limit_s` seconds.
        """
        ...


def _no_limits(_size: str | None) -> Limits:
    return Limits()


def _four(_size: str) -> int:
    return 4


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`base_url` is where jobs reach the server over TLS, `http_url` its plain loopback address."""

    home: Path
    environments_root: Path
    base_url: str = "https://localhost:8443"
    http_url: str = "http://localhost:8080"
    cloud: str = "Lazulite"
    ca_bundle: str | None = None
    location: str = "local"
    uv: str = "uv"
    uv_cache: str | None = None
    isolation: str = "process"
    """`bubblewrap`, `landlock` or `process`, as the probe found."""
    bwrap: str = "bwrap"
    bwrap_options: tuple[str, ...] = ()
    container: ContainerEngine | None = None
    """What runs image environments as containers; None runs them as processes."""
    hide: tuple[str, ...] = ()
    """Folders and files that no job may see; the home is always one of them."""
    show: tuple[str, ...] = ()
    """Those outside of the system that every job may read, beside the CA bundle."""
    node_boot_seconds: float = 0.0
    node_limit: int | None = field(default_factory=lambda: max(16, 8 * (os.cpu_count() or 1)))
    """Nodes that jobs hold at a time on all computes together, as all are this one machine; None sets no limit."""
    grace_s: float = 10.0
    cores_of: Callable[[str], int] = _four
    """vCPUs of a VM size: how many jobs a compute instance runs at a time."""
    limits_of: Callable[[str | None], Limits] = _no_limits
    """What a node of a VM size lets a job take; None is a compute without a size."""
    url_mirror: Mapping[str, str] = field(default_factory=dict)
    """Folders of this machine by the prefixes of public addresses that they stand for."""
