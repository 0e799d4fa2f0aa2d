"""The program that runs another and stops in pdb where that fails."""

import subprocess
import sys
from pathlib import Path

import pytest

import lazulite.node

PROGRAM = Path(lazulite.node.__file__).parent / "post_mortem.py"


def run(folder: Path, source: str, *how: str, keys: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "helper.py").write_text("def halve(n):\n    part = n / 0\n    return part\n")
    (folder / "script.py").write_text(source)
    command = [sys.executable, str(PROGRAM), *(how or ("script.py",)), "a", "b"]
    return subprocess.run(command, cwd=folder, input=keys, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("how", [("script.py",), ("-m", "script")])
def test_it_stops_where_the_program_fails(tmp_path: Path, how: tuple[str, ...]) -> None:
    source = "import sys, helper\nif __name__ == '__main__':\n    helper.halve(len(sys.argv))\n"
    done = run(tmp_path, source, *how, keys="p n + 100\nu\np sys.argv[1:]\nq\n")
    assert done.returncode == 1
    assert "103" in done.stdout
    assert "['a', 'b']" in done.stdout
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert str(PROGRAM) not in done.stderr  # the traceback is that of the program alone


def test_a_program_that_does_not_fail_ends_as_ever(tmp_path: Path) -> None:
    assert run(tmp_path, "print('done')").stdout == "done\n"
    assert run(tmp_path, "import sys; sys.exit(4)").returncode == 4


def test_what_is_no_python_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "if:\n", keys="q\n")
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
