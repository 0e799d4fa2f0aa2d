"""The tables against pip's own parser, and command lines as pip's parser reads them."""

import ensurepip
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lazulite.environments.pip_options import PIP, UV, Meaning, read
from lazulite.environments.spec import Unresolvable

OPTIONS = """
import json
from pip._internal.commands import create_command
parser = create_command("install").parser
groups = [parser, *parser.option_groups]
options = [option for group in groups for option in group.option_list]
print(json.dumps([[option._short_opts + option._long_opts, option.takes_value()] for option in options]))
"""


def pips() -> list[str]:
    """What `import pip` finds with each on the path: pip as installed beside the tests, and the one Python brings."""
    spec = importlib.util.find_spec("pip")
    installed = [str(Path(spec.origin).parent.parent)] if spec and spec.origin else []
    folders = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
    return installed + [str(wheel) for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]


@pytest.mark.parametrize("path", pips())
def test_every_option_of_pip_is_known_with_whether_it_takes_a_value(path: str) -> None:
    program = f"import sys; sys.path.insert(0, {path!r})\n{OPTIONS}"
    done = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True)
    options = json.loads(done.stdout)
    assert len(options) > 50
    missing = {name: value for names, value in options for name in names if name not in PIP}
    assert missing == {}
    assert {name: PIP[name].takes_value for names, _ in options for name in names} == {
        name: value for names, value in options for name in names
    }


def words(line: str) -> list[tuple[str, str]]:
    return [(option.name if option else "", value) for option, value in read(line.split(), PIP, "here")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-qUr list.txt", [("--quiet", ""), ("--upgrade", ""), ("--requirement", "list.txt")]),
        ("-rlist.txt", [("--requirement", "list.txt")]),
        ("-fhttps://x.example six", [("--find-links", "https://x.example"), ("", "six")]),
        ("--default-timeout=100 six", [("--timeout", "100"), ("", "six")]),
        ("--upgrade-strategy eager six", [("--upgrade-strategy", "eager"), ("", "six")]),
        ("--no-cache six", [("--no-cache-dir", ""), ("", "six")]),
        ("--upgrade six", [("--upgrade", ""), ("", "six")]),
        ("--config-settings=a=b six", [("--config-settings", "a=b"), ("", "six")]),
        ("-v -- -odd", [("--verbose", ""), ("", "-odd")]),
    ],
)
def test_a_command_line_is_read_as_pip_reads_it(line: str, expected: list[tuple[str, str]]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--invented six", "--invented is not an option that is known"),
        ("-qz six", "-z is not an option"),
        ("six -r", "--requirement has no value"),
        ("--pre=yes six", "--pre takes no value"),
        ("--no-warn six", "--no-warn may be --no-warn-conflicts or --no-warn-script-location"),
    ],
)
def test_an_option_that_is_not_known_is_named(line: str, message: str) -> None:
    with pytest.raises(Unresolvable, match=f"here: {message}"):
        words(line)


def test_uvs_own_options_are_known_where_uv_is_called() -> None:
    option, value = read(["--system", "-p", "3.11", "--prerelease=allow"], UV, "here")[-1]
    assert option is not None
    assert (option.meaning, option.uv, value) == (Meaning.PASSED, ("--prerelease",), "allow")
    with pytest.raises(Unresolvable):
        read(["--system"], PIP, "here")
