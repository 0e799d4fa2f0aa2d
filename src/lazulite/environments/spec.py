"""What resolution is given, and how it refuses."""

from __future__ import annotations

from typing import Any

import msgspec

from lazulite.model.run_plan import Install


class Unresolvable(ValueError):
    """The environment cannot be had here; the message names the package or line, and what to change."""


class BuildContext(msgspec.Struct, kw_only=True, frozen=True):
    dockerfile: str
    """The Dockerfile's text."""
    folder: str | None = None
    """The context's folder on this machine: what COPY and `pip install -r` read."""
    path: str = "Dockerfile"
    """Of the Dockerfile, below the folder."""


class EnvironmentSpec(msgspec.Struct, kw_only=True, frozen=True):
    """One version of an environment asset. `conda_file` is YAML text or what it holds."""

    name: str
    version: str = "1"
    image: str | None = None
    conda_file: str | dict[str, Any] | None = None
    build: BuildContext | None = None
    curated: str | None = None
    """A name in the catalogue, whose package list then counts instead of `image`."""

    @property
    def label(self) -> str:
        return f"{self.name}:{self.version}"


class Packages(msgspec.Struct, kw_only=True):
    """What one source (conda file, Dockerfile, catalogue entry) asks for; sources add up."""

    python: str | None = None
    requirements: list[str] = []
    constraints: list[str] = []
    overrides: list[str] = []
    installs: list[Install] = []
    """Installations with options of their own, and all that follow: after `requirements`, in this order."""
    variables: dict[str, str] = {}
    notes: list[str] = []

    def add(self, other: Packages) -> None:
        """Take over what `other` asks for; its Python wins."""
        self.python = other.python or self.python
        if self.installs and other.requirements:
            self.installs.append(Install(requirements=other.requirements))
        else:
            self.requirements += other.requirements
        self.installs += other.installs
        self.constraints += other.constraints
        self.overrides += other.overrides
        self.variables |= other.variables
        self.notes += other.notes
