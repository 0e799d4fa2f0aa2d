"""Managed identities that documents name: their ids are kept and given back, and nobody names one without a right to it.

Nothing here acts under such an identity: a job acts under its own token.
"""

from __future__ import annotations

from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import validation
from lazulite.model import pipeline_graph as graph
from lazulite.resources import linked
from lazulite.resources.declaration import Write

_KINDS = {"systemassigned", "userassigned", "none"}
#: How clients spell the ARM id of a job's identity.
_IDS = ("resource_id", "msi_resource_id")


def check(write: Write) -> None:
    """Check the `identity` of the document that is written; those that are there already are not asked for again.

    Raises ApiError 400 or 403.
    """
    given = write.body.get("identity")
    if not given:
        return
    before = (write.existing.spec.get("identity") or {}) if write.existing else {}
    known = {arm_id.key(id_) for id_ in before.get("userAssignedIdentities") or {}}
    kind = given.get("type")
    if kind is not None and not {word.strip().lower() for word in str(kind).split(",")} <= _KINDS:
        allowed = "SystemAssigned, UserAssigned, 'SystemAssigned,UserAssigned', None"
        raise validation(f"'{kind}' is not a valid identity type. Allowed: {allowed}.", "identity.type")
    assigned = given.get("userAssignedIdentities") or {}
    if not isinstance(assigned, dict):
        raise validation("userAssignedIdentities must be an object by ARM id.", "identity.userAssignedIdentities")
    for id_ in assigned:
        if arm_id.key(id_) not in known:
            linked.check(write, id_, linked.IDENTITY, "identity.userAssignedIdentities")


def check_of_job(write: Write, given: Any, target: str) -> None:
    """Check the identity under which a job or a node of a pipeline is to run. Raises ApiError 400 or 403."""
    for name in _IDS:
        id_ = graph.field(given, name) if isinstance(given, dict) else None
        if id_ is not None:
            linked.check(write, id_, linked.IDENTITY, f"{target}.{name if name in given else 'resourceId'}")
