"""What MLflow's pages ask about the server they came from: what it reports to others, and which helpers it has."""

from __future__ import annotations

from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import error


async def telemetry(_call: Call) -> Json:
    """Nothing is reported to MLflow's makers, and what pages send all the same is dropped."""
    return {"disable_ui_telemetry": True, "disable_ui_events": [], "ui_rollout_percentage": 0, "status": "disabled"}


async def assistant_config(_call: Call) -> Json:
    """There is no assistant here."""
    return {"providers": {}, "projects": {}, "remote_access_allowed": False}


async def assistant_providers(_call: Call) -> Json:
    return {"providers": [], "resolved": None, "gateway_vendor_options": {}}


async def gateway_proxy(call: Call) -> Json:
    """The endpoints of a gateway behind this server, of which there is none. Raises ApiError 501 for all else."""
    if call.request.query_params.get("gateway_path", "").strip("/") != "api/2.0/endpoints":
        raise error("NOT_IMPLEMENTED", "There is no gateway behind this server.")
    return {"endpoints": []}
