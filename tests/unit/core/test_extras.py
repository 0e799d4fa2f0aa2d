import json
import shlex
import sys
from importlib.metadata import Distribution
from os import PathLike
from pathlib import Path

from lazulite.core.extras import install_command, install_packages, requirement


class Installed(Distribution):
    """Lazulite 1.2, with what an installer noted of where it came from."""

    def __init__(self, origin: dict[str, object] | None) -> None:
        self._origin = origin

    def read_text(self, filename: str) -> str | None:
        if filename == "direct_url.json":
            return None if self._origin is None else json.dumps(self._origin)
        return "Metadata-Version: 2.1\nName: lazulite\nVersion: 1.2\n" if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        raise NotImplementedError


def test_an_editable_checkout_is_installed_again_with_the_extra() -> None:
    installed = Installed({"url": "file:///home/ana/my%20code/lazulite", "dir_info": {"editable": True}})
    assert requirement(installed, "sweeps") == ["-e", "/home/ana/my code/lazulite[sweeps]"]


def test_a_folder_or_a_wheel_is_named_by_its_address() -> None:
    wheel = Installed({"url": "file:///tmp/lazulite-1.2-py3-none-any.whl", "archive_info": {}})
    assert requirement(wheel, "sdk") == ["lazulite[sdk] @ file:///tmp/lazulite-1.2-py3-none-any.whl"]


def test_what_came_from_an_index_keeps_its_version() -> None:
    assert requirement(Installed(None), "sdk") == ["lazulite[sdk]==1.2"]


def test_without_a_trace_of_where_it_came_from_the_name_must_do() -> None:
    assert requirement(None, "sdk") == ["lazulite[sdk]"]


def test_the_command_installs_into_this_interpreters_environment() -> None:
    words = shlex.split(install_command("sweeps"))
    assert words[0] == sys.executable
    assert words[words.index("--python") + 1] == sys.executable
    assert "'two words'" in install_packages("two words")
