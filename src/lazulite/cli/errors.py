"""What a command says when it cannot do its work."""

from __future__ import annotations

#: Exit codes of the command. `run` passes on the code of the program it ran.
OK, FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130


class CommandError(Exception):
    """Ends the command: `message` says what is wrong, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "", code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def not_running(home: object) -> CommandError:
    return CommandError(
        f"no server is running on {home}",
        "start one with `lazulite up --detach`, or run one command with `lazulite run -- CMD`",
        NOT_RUNNING,
    )
