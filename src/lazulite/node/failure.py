"""How a run ends early."""


class RunFailure(Exception):
    """The job failed, and `code` and the message say why to its author."""

    def __init__(self, code: str, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code


class Canceled(Exception):
    """Somebody asked for the end."""
