"""The log of a job that ended before a process of its own: the reason, in the file where people look for it first."""

from __future__ import annotations

from pathlib import Path

from lazulite.model.job_status import JobState, JobStatus

BUILD_LOG = "azureml-logs/20_image_build_log.txt"
OWN_LOG = "user_logs/std_log.txt"


def name_of(status: JobStatus) -> str | None:
    """The log that is to tell of this end among the run's artifacts; None where the job's own process does."""
    if status.start_time is not None or status.state not in (JobState.FAILED, JobState.CANCELED):
        return None
    code = status.error.code if status.error else ""
    return BUILD_LOG if code.startswith("Environment") else OWN_LOG


def text_of(status: JobStatus) -> str:
    if status.error is None:
        return f"{status.end_time} The job was canceled before its command was started.\n"
    return f"{status.end_time} The job failed before its command was started ({status.error.code}):\n{status.error.message}\n"


def leave(path: Path, status: JobStatus) -> None:
    """Write the log, unless it is there: an agent that came so far has told more."""
    if any(path.parent.glob(f"{path.stem}*")):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(status), encoding="utf-8")
