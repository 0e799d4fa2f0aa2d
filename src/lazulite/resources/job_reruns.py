"""Running a job again: a new job of the same content, for a pipeline with the steps before a node taken over."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from sqlalchemy.engine import Connection

from lazulite.core.errors import conflict, nearest, validation
from lazulite.model import job_status
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

_OF_STATUS = ("status", "services", "isArchived")


def document(connection: Connection, job: Resource, start: str | None) -> Json:
    """The document of the new job; `start` is the node to begin with, None begins with the steps that did not complete.

    Raises ApiError 409 for a job that is not over, 400 for a node that the pipeline does not have.
    """
    if job.state not in job_status.TERMINAL:
        raise conflict(f"Job '{job.name}' is {job.state}: it can run again once it is over.", "status")
    kind = job.properties.get("jobType")
    if start is not None and kind != "Pipeline":
        raise validation(f"Job '{job.name}' is a {kind} job and has no nodes; leave 'from' out.", "from")
    properties = {k: v for k, v in job.properties.items() if k not in _OF_STATUS}
    own = {k: v for k, v in (properties.get("properties") or {}).items() if not str(k).startswith("azureml.")}
    properties["properties"] = {**own, "lazulite.rerunof": job.name}
    body: Json = {"properties": properties}
    if kind == "Pipeline":
        body["rerun"] = {"children": children(connection, job), "fresh": _from(job, start)}
    return body


def new_name(job: Resource) -> str:
    return f"{job.name[:200]}-rerun-{uuid.uuid4().hex[:8]}"


def children(connection: Connection, pipeline: Resource) -> dict[str, str]:
    """The latest job of each of a pipeline's nodes."""
    rows = resources.children(connection, pipeline.key, pipeline.type)
    return {str(row.spec["node"]): row.name for row in sorted(rows, key=lambda row: int(row.spec.get("attempt", 1)))}


def _from(job: Resource, start: str | None) -> list[str]:
    """The node to begin with and all that depends on it."""
    if start is None:
        return []
    nodes: Mapping[str, Json] = (job.spec.get("resolved") or {}).get("nodes") or {}
    if start not in nodes:
        raise validation(f"The pipeline '{job.name}' has no node '{start}'.{nearest(start, nodes)}", "from")
    fresh, grown = {start}, True
    while grown:
        more = {name for name, node in nodes.items() if name not in fresh and fresh & set(node["needs"])}
        grown = bool(more)
        fresh |= more
    return sorted(fresh)
