"""The picture of a job, for a browser that is signed in: the same that `lazulite job graph` draws."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.arm_id import PROVIDER
from lazulite.core.command_line import options_for
from lazulite.core.errors import not_found
from lazulite.core.web import WORKSPACE, Route, workspace_id
from lazulite.dataplane import history, run_documents
from lazulite.drawing import page, state
from lazulite.model import job_status
from lazulite.server.pages import error_page, html
from lazulite.server.sessions import COOKIE_PATH
from lazulite.server.sign_in import SignInPage
from lazulite.store import resources, runs
from lazulite.store.database import Database

_READ = f"{PROVIDER}/workspaces/jobs/read"
_DEPTH = 2
#: Children that are read at a time.
_CHUNK = 1000


def route(database: Database, location: str, sign_in: SignInPage) -> Route:
    async def graph(request: Request) -> Response:
        workspace, name = workspace_id(request), request.path_params["job"]
        picture = await database.read(lambda c: state.read(Documents(c, workspace, location), name, _DEPTH))
        text = await asyncio.to_thread(
            page.write, picture, dt.datetime.now(dt.UTC), options_for(workspace, sign_in.home)
        )
        return html(text, headers={"Cache-Control": "no-store"})

    return Route("GET", f"{COOKIE_PATH}/graphs{WORKSPACE}/jobs/{{job}}", _READ, graph, "Pages.graph", errors=error_page,
                 unsigned=sign_in)  # fmt: skip


class Documents:
    """Documents as the REST API gives them out, read in one transaction."""

    def __init__(self, connection: Connection, workspace: str, location: str) -> None:
        self._connection = connection
        self._workspace = workspace
        self._location = location

    def job(self, name: str) -> dict[str, Any]:
        row = resources.get(self._connection, f"{self._workspace}/jobs/{name}")
        if row is None:  # a run that an MLflow client made
            return {}
        status = job_status.read(row.status)
        properties = {**(row.properties.get("properties") or {}), **status.properties}
        return {**row.properties, "properties": properties, "status": str(status.state)}

    def run(self, name: str) -> dict[str, Any]:
        found = runs.get(self._connection, self._workspace, name)
        if found is None:
            raise not_found(f"There is no job '{name}' in this workspace.", "job")
        return self._written([found])[0]

    def children(self, name: str) -> Iterator[dict[str, Any]]:
        after: int | None = None
        while True:
            below = runs.children(self._connection, self._workspace, name, after=after, limit=_CHUNK)
            yield from self._written(below)
            if len(below) < _CHUNK:
                return
            after = below[-1].number

    def _written(self, some: list[runs.Run]) -> list[dict[str, Any]]:
        found = history.load_many(self._connection, self._workspace, some)
        return [run_documents.run(one, self._location) for one in found]
