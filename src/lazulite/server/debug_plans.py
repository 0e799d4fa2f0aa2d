"""The plan of a job, for whoever steps into it on this machine: what its agent was told, with tokens of its own."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, not_found
from lazulite.core.web import WORKSPACE, JsonResponse, Route, from_own_machine, principal, workspace_id
from lazulite.engine.engine import Engine
from lazulite.identity.claims import Claims
from lazulite.store import resources
from lazulite.store.database import Database


def route(database: Database, engine: Engine, claims: Claims) -> Route:
    async def plan(request: Request) -> Response:
        _require_own_machine(request)
        name, workspace = request.path_params["job"], workspace_id(request)
        job = await database.read(lambda c: resources.get(c, f"{workspace}/jobs/{name}"))
        if job is None:
            raise not_found(f"There is no job '{name}' in this workspace.", "job")
        caller = principal(request)
        if caller.run is not None or caller.id != job.spec.get("submittedBy"):
            text = f"Only who submitted a job may step into it. Run it again as your own: `lazulite job rerun {name}`."
            raise ApiError(403, "AuthorizationFailed", text)
        if str(job.properties.get("jobType")) != "Command":
            text = f"'{name}' is a {job.properties.get('jobType')} job: name one of its steps."
            raise ApiError(400, "NotACommandJob", text, target="node")
        if "transfer" in (job.spec.get("resolved") or {}):
            text = f"'{job.spec.get('node', name)}' copies data and runs no command: there is nothing to step into."
            raise ApiError(400, "NothingToStepInto", text, target="node")
        stepping = await claims.by_hand(workspace, job.name, caller)
        made = await engine.plan(job, claims.issuer.issue(stepping, "https://ml.azure.com")[0])
        return JsonResponse({"plan": msgspec.to_builtins(made.plan), "secrets": msgspec.to_builtins(made.secrets)})

    return Route(
        "GET", f"/lazulite{WORKSPACE}/jobs/{{job}}/plan", f"{PROVIDER}/workspaces/jobs/read", plan, "Server.plan_of_job"
    )


def _require_own_machine(request: Request) -> None:
    if not from_own_machine(request):
        raise ApiError(403, "AuthorizationFailed", "A job can be stepped into on the server's own machine alone.")
