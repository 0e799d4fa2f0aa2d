import pytest

from lazulite.cli import debugger
from lazulite.cli.errors import CommandError


@pytest.mark.parametrize(
    ("command", "around"),
    [
        ("python train.py --a 1", ("python ", " train.py --a 1")),
        ("python -u train.py", ("python -u ", " train.py")),
        ("PYTHONPATH=. python3 -W ignore -Xdev -m a.b", ("PYTHONPATH=. python3 -W ignore -Xdev ", " -m a.b")),
        (
            "python -V && pip list && cd src && python3.11 a.py",
            ("python -V && pip list && cd src && python3.11 ", " a.py"),
        ),
        ("python -m pip install x\n/opt/bin/python a.py", ("python -m pip install x\n/opt/bin/python ", " a.py")),
        ("mpirun -n 2 python a.py", ("mpirun -n 2 python ", " a.py")),
    ],
)
def test_the_first_python_program_of_a_command_is_debugged(command: str, around: tuple[str, str]) -> None:
    changed = debugger.stopping({"command": command})["command"]
    assert changed.startswith(around[0])
    assert changed.endswith(f"/post_mortem.py{around[1]}")


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"command": "python -m pip install x; ls"}, "runs no Python program itself"),
        ({"command": "my-python a.py"}, "runs no Python program itself"),
        ({"command": "python -u -c 'print(1)'"}, "needs a script or a module"),
        ({"command": "python a.py", "container": {"kind": "podman"}}, "does not reach into containers"),
    ],
)
def test_what_cannot_be_debugged(plan: dict[str, object], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        debugger.stopping(plan)
