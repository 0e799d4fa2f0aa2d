"""Lazulite: Azure Machine Learning on your own machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lazulite.core.version import VERSION as __version__

if TYPE_CHECKING:
    from lazulite.cli.activation import Activation, activate

__all__ = ["Activation", "__version__", "activate"]


def __getattr__(name: str) -> Any:
    # Lazily: every room imports this package, and none of them but the command needs these.
    if name in ("Activation", "activate"):
        from lazulite.cli import activation

        return getattr(activation, name)
    raise AttributeError(f"module 'lazulite' has no attribute '{name}'")
