import json
import os
import subprocess

import pytest

from lazulite.cli import shells
from lazulite.cli.variables import Changes

AWKWARD = 'it\'s a \\ $HOME `id` "x"'
CHANGES = Changes({"ONE": AWKWARD}, ("GONE",))


def test_bash_reads_back_what_was_meant() -> None:
    program = shells.script(CHANGES, "bash") + '\nprintf %s "$ONE:${GONE-unset}"'
    done = subprocess.run(
        ["sh", "-c", program], env=os.environ | {"GONE": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == AWKWARD + ":unset"


def test_json_says_null_for_unset() -> None:
    assert json.loads(shells.script(CHANGES, "json")) == {"ONE": AWKWARD, "GONE": None}


def test_fish_and_powershell_quote_in_their_own_way() -> None:
    assert shells.script(Changes({"A": "it's \\"}, ()), "fish") == "set -gx A 'it\\'s \\\\';"
    assert shells.script(Changes({"A": "it's"}, ()), "powershell") == "$Env:A = 'it''s'"


def test_unknown_shell_is_refused() -> None:
    with pytest.raises(ValueError, match="tcsh"):
        shells.script(CHANGES, "tcsh")


@pytest.mark.parametrize(
    ("environ", "shell"),
    [
        ({"SHELL": "/bin/zsh"}, "bash"),
        ({"SHELL": "/usr/bin/fish"}, "fish"),
        ({"SHELL": "/usr/bin/pwsh"}, "powershell"),
        ({"PSModulePath": "C:\\Modules"}, "powershell"),
        ({}, "bash"),
    ],
)
def test_shell_is_taken_from_the_environment(environ: dict[str, str], shell: str) -> None:
    assert shells.detected(environ) == shell
