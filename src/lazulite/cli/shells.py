"""Changes to an environment, written in the language of a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from lazulite.cli.variables import Changes

SHELLS = ("bash", "fish", "powershell", "json")


def script(changes: Changes, shell: str) -> str:
    """Text for `eval` in that shell; for `json` an object in which null means unset. Raises ValueError for another."""
    if shell == "json":
        return json.dumps(dict.fromkeys(changes.unset) | changes.set, indent=2)
    if shell == "bash":
        lines = [f"unset {' '.join(changes.unset)}"] if changes.unset else []
        return "\n".join(lines + [f"export {k}={shlex.quote(v)}" for k, v in changes.set.items()])
    if shell == "fish":
        return "\n".join(
            [f"set -e {name};" for name in changes.unset]
            + [f"set -gx {name} {_fish(value)};" for name, value in changes.set.items()]
        )
    if shell == "powershell":
        return "\n".join(
            [f"Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in changes.unset]
            + [f"$Env:{name} = {_powershell(value)}" for name, value in changes.set.items()]
        )
    raise ValueError(f"'{shell}' is not one of {', '.join(SHELLS)}")


def detected(environ: Mapping[str, str]) -> str:
    """The shell that $SHELL names; sh, zsh, dash and the like read bash's form."""
    name = Path(environ.get("SHELL", "")).name.removesuffix(".exe")
    if name == "fish":
        return "fish"
    if name in ("pwsh", "powershell") or ("PSModulePath" in environ and not name):
        return "powershell"
    return "bash"


def how_to_apply(shell: str, command: str) -> str:
    """The line a user types to apply what `command` prints."""
    return {
        "fish": f"{command} | source",
        "powershell": f"{command} | Out-String | Invoke-Expression",
    }.get(shell, f'eval "$({command})"')


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
