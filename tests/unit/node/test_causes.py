import pytest

from lazulite.node import causes


@pytest.mark.parametrize(
    ("code", "tail", "named"),
    [
        (
            1,
            "Traceback\nModuleNotFoundError: No module named 'pandas.core'\n",
            "'pandas' is not in the environment env:1",
        ),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'x.csv'", "'x.csv' does not exist"),
        (2, "python: can't open file '/wd/train.py': [Errno 2] No such file", "/wd/train.py is not in the code"),
        (2, "usage: t.py\nt.py: error: unrecognized arguments: --foo", "unrecognized arguments: --foo"),
        (2, "t.py: error: the following arguments are required: --data", "required: --data"),
        (127, "bash: line 1: trian: command not found", "'trian' is not in the environment"),
        (126, "", "not executable"),
        (137, "", "memory"),
        (-9, "", "memory"),
        (1, "MemoryError", "ran out of memory"),
        (1, "OSError: [Errno 30] Read-only file system: '/in/x'", "'/in/x'"),
    ],
)
def test_likely_causes(code: int, tail: str, named: str) -> None:
    assert named in causes.likely(code, tail, "env:1")


def test_no_guess_without_a_sign() -> None:
    assert causes.likely(1, "ValueError: nope", "env:1") == ""


def test_the_message_has_code_cause_and_last_lines() -> None:
    tail = "\n".join(f"line {number}" for number in range(50)) + "\nModuleNotFoundError: No module named 'pandas'\n"
    message = causes.message(1, tail, "env:1", "user_logs/std_log.txt")
    assert "exited with status code 1" in message
    assert "'pandas' is not in the environment env:1" in message
    assert message.endswith("No module named 'pandas'")
    assert "line 49" in message
    assert "line 20" not in message


@pytest.mark.parametrize(
    ("code", "words"), [(3, "status code 3"), (-9, "SIGKILL"), (143, "SIGTERM"), (200, "status code 200")]
)
def test_signals_are_named(code: int, words: str) -> None:
    assert words in causes.ending(code)
