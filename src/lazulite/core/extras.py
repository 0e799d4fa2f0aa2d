"""What adds an extra to the Python environment that this program runs in: one command, good for pasting."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "lazulite"


def install_command(extra: str) -> str:
    """The shell command that adds the extra of pyproject.toml, whatever shell, folder or environment it is typed in."""
    return install_packages(*requirement(_installed(), extra))


def install_packages(*arguments: str) -> str:
    """The shell command that installs packages beside this program."""
    # uv is one of our own dependencies; pip need not be there.
    return shlex.join([sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *arguments])


def requirement(installed: Distribution | None, extra: str) -> list[str]:
    """What to ask an installer for, so that it takes the extra from where Lazulite itself came from."""
    named = f"{NAME}[{extra}]"
    if installed is None:
        return [named]
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if not url:
        return [f"{named}=={installed.version}"]
    folder = unquote(urlsplit(url).path)
    if origin.get("dir_info", {}).get("editable"):
        return ["-e", f"{folder}[{extra}]"]
    return [f"{named} @ {url}"]


def _installed() -> Distribution | None:
    # Loading this takes longer than most commands do.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None
