"""The status of a job, as its controller keeps it in the `resources` table."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class JobState(StrEnum):
    """Azure's states of a job, in the order a job passes through them."""

    NOT_STARTED = "NotStarted"
    QUEUED = "Queued"
    PROVISIONING = "Provisioning"
    PREPARING = "Preparing"
    STARTING = "Starting"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELED})
ACTIVE = tuple(state for state in JobState if state not in TERMINAL)


class Passage(msgspec.Struct, frozen=True):
    """When a job entered a state (ISO 8601, UTC)."""

    state: JobState
    at: str


class Eviction(msgspec.Struct, frozen=True):
    """Why a job has to leave its nodes. `requeue`: it goes back into the queue; otherwise it fails."""

    code: str
    message: str
    requeue: bool = False


class JobError(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    message: str
    details: list[dict[str, Any]] = []


class JobOutput(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where an output lies (`azureml://subscriptions/...` in the long form) and the asset it is known as.

    `value` is the text of a control output.
    """

    uri: str
    type: str = "uri_folder"
    asset_id: str | None = None
    value: str | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What controllers know about a job; in JSON its keys are camelCase and defaults are left out.

    `nodes` is None until the job has a place to run; an empty list is a place without nodes of a cluster (serverless).
    `attempt` counts from 1 and rises with every re-queueing; `launches` counts vain starts of one attempt.
    `properties` are shown among the job's own; `progress` is what the controller of a parent keeps for itself.
    """

    state: JobState
    states: list[Passage] = []
    attempt: int = 1
    launches: int = 0
    backend: str | None = None
    nodes: list[str] | None = None
    compute: str | None = None
    handle: dict[str, Any] | None = None
    evict: Eviction | None = None
    exit_code: int | None = None
    error: JobError | None = None
    start_time: str | None = None
    end_time: str | None = None
    outputs: dict[str, JobOutput] = {}
    activity: str | None = None
    notes: list[str] = []
    properties: dict[str, str] = {}
    progress: dict[str, Any] = {}

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL


def read(document: dict[str, Any]) -> JobStatus:
    """The typed form of a stored status; an empty one is a job that has not started."""
    return msgspec.convert({"state": JobState.NOT_STARTED.value, **document}, JobStatus)


def document(status: JobStatus) -> dict[str, Any]:
    """The JSON object to store."""
    found: dict[str, Any] = msgspec.to_builtins(status)
    return found
