"""Who makes a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a verified token.

    `run` and `workspace` are set for job tokens alone, which reach that run and that workspace and nothing else.
    """

    id: str
    name: str
    kind: str  # User | ServicePrincipal | Job
    audience: str = ""
    run: str | None = None
    workspace: str | None = None  # ARM id
