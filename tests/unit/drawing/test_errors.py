import pytest

from lazulite.drawing.errors import in_a_line

ENDED = "Execution failed. The user's process exited with status code 3. Please check log file 'x' for error details."
TRACEBACK = 'Traceback (most recent call last):\n  File "/home/a/runs/5/1/exe/wd/b.py", line 1, in <module>\n    f()\n'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "Execution failed. The user's process exited with status code 3. Please check log file 'x' for error details.\n"
            "The process wrote nothing.",
            "The process exited with status code 3.",
        ),
        (
            f"The environment CliV2AnonymousEnvironment:{'0af' * 21} could not be built. There is no package 'x'.\nFrom a log:",
            "The environment could not be built. There is no package 'x'.",
        ),
        (
            "Execution failed.\nError: python: can't open file '/home/a/runs/5/1/exe/wd/sub/b.py': [Errno 2]\n",
            "python: can't open file 'sub/b.py': [Errno 2]",
        ),
        ("", ""),
        (f"Execution failed.\nError: {'x' * 100_000}", f"{'x' * 299}…"),
        (f"{ENDED}\nError: reading\n4.txt", "The process exited with status code 3; it last wrote: 4.txt"),
        (f"{ENDED}\nError: a\n🧪 View experiment at: x", "The process exited with status code 3; it last wrote: a"),
        (f"{ENDED}\nError: bash: line 1: trian: command not found", "bash: line 1: trian: command not found"),
        (
            f"{ENDED}\nError: {TRACEBACK}ValueError: Input has NaN.\nSee https://some/where",
            "ValueError: Input has NaN.",
        ),
        (f"{ENDED}\nError: {TRACEBACK}my.Oops\nthe run is at https://some/where", "my.Oops"),
        (f"{ENDED}\nError:   the head is missing\nmy.BadError: no\nbye", "my.BadError: no"),
        (f"{ENDED}\nError: {TRACEBACK}KeyError: 1\n\nDuring ...\n\n{TRACEBACK}OSError: 2", "OSError: 2"),
        (f"{ENDED}\nError: 2026-01-01 10:00:00 The parallel job failed: why", "The parallel job failed: why"),
        (
            f"{ENDED}\nError: no file /h/cap/data-capability/wd/INPUT_d/4.txt: not found",
            "no file INPUT_d/4.txt: not found",
        ),
    ],
)
def test_errors_are_told_in_a_line(message: str, shown: str) -> None:
    assert in_a_line(message) == shown
