"""Runs on this machine: a folder per run, an agent beside the process that outlives the server, a watcher for hints."""

from lazulite.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
