"""The two ways in which a rank's command is begun and ended: as a process of this machine, or in a container."""

from typing import Protocol

from .container import Containers
from .direct import Direct
from .failure import RunFailure
from .limits import Enforced
from .ranks import Rank
from .run import Run


class Launcher(Protocol):
    def start(self, rank: Rank, command: str, output: int) -> int:
        """Begin the rank's command, both outputs into `output`. The id of the process that stands for it."""
        ...

    def terminate(self) -> None:
        """Ask every process of the job to end."""
        ...

    def kill(self) -> None:
        """End every process of the job. May be called again and again."""
        ...

    def clear(self) -> None:
        """Leave nothing of the job running."""
        ...

    def exit_code(self, rank: Rank, reported: int) -> int:
        """The command's own, where the process that stands for it ended with `reported`."""
        ...

    def never_began(self, rank: Rank, said: str) -> RunFailure | None:
        """The failure where it was not the command that failed, as it was never begun; `said` is the log's end."""
        ...


def of(run: Run, enforced: Enforced) -> Launcher:
    return Containers(run, run.container) if run.container else Direct(run, enforced)
