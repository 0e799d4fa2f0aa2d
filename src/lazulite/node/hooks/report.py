"""How the run ended: the last status and the last line of the system log."""

from typing import Any

from .. import disk
from ..failure import RunFailure
from ..run import Run


def failed(failure: RunFailure) -> dict[str, Any]:
    error = {"code": failure.code, "message": failure.message}
    return {"outcome": "failed", "exit_code": failure.exit_code, "error": error}


def broken(run: Run, error: Exception) -> dict[str, Any]:
    """A fault of ours, or of the machine; its trace goes to the system log."""
    if disk.is_full(error):
        return failed(RunFailure("DiskFull", disk.full(run.folder)))
    import traceback  # slow to import, and seldom needed

    run.log("".join(traceback.format_exception(error)))
    message = f"The agent beside the job failed: {type(error).__name__}: {error}. See system_logs/agent.log."
    return {"outcome": "failed", "error": {"code": "AgentError", "message": message}}


def finish(run: Run, result: dict[str, Any]) -> None:
    error = result.get("error")
    run.log(f"{result['outcome']}" + (f": {error['code']}: {error['message'].splitlines()[0]}" if error else ""))
    times = run.status.document["times"]
    run.log("times: " + ", ".join(f"{name} {moment[11:23]}" for name, moment in times.items()))
    run.status.phase("done", **{name: value for name, value in result.items() if value is not None})
