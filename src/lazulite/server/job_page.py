"""The page of a job, which the studio link in clients' output leads to: what became of it, and where to look on.

It is for a browser that is signed in; the link itself says nothing but where to go.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from lazulite.core import command_line, paths
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import bad_request, not_found
from lazulite.core.web import PUBLIC, WORKSPACE, Route, workspace_id
from lazulite.drawing import words
from lazulite.drawing.facts import Json, facts
from lazulite.server.graph_page import Documents
from lazulite.server.pages import PRIVATE, error_page, graph_address, job_address, page
from lazulite.server.sessions import COOKIE_PATH
from lazulite.server.sign_in import SignInPage
from lazulite.store.artifacts import ArtifactStore, NoSuchArtifact, run_folder
from lazulite.store.database import Database

_READ = f"{PROVIDER}/workspaces/jobs/read"
_LOGS = ("user_logs", "azureml-logs", "logs", "system_logs")
_OWN = "user_logs/std_log"
_REFRESH_S = 5
#: How much of a job's log its page shows, in bytes and in lines.
_TAIL_BYTES, _TAIL_LINES = 16 * 1024, 40
_OVER = ("Completed", "Failed", "Canceled", "NotResponding")
_LONG = ("command", "error")
_PARENTS = ("Pipeline", "Sweep")


def routes(database: Database, artifacts: ArtifactStore, location: str, sign_in: SignInPage) -> list[Route]:
    pages = _JobPages(database, artifacts, location, sign_in)
    root = f"{COOKIE_PATH}/pages{WORKSPACE}/jobs/{{job}}"
    return [
        Route("GET", "/runs/{run}", PUBLIC, _studio_link, "Pages.run", errors=error_page),
        Route("GET", root, _READ, pages.show, "Pages.job", errors=error_page, unsigned=sign_in),
        Route("GET", f"{root}/logs/{{file:path}}", _READ, pages.log, "Pages.log", errors=error_page, unsigned=sign_in),
    ]


async def _studio_link(request: Request) -> Response:
    """To the page of the job, below the path that browsers send their cookie to; it tells nothing of the job."""
    workspace, name = request.query_params.get("wsid", ""), request.path_params["run"]
    if not command_line.is_workspace_id(workspace):
        raise bad_request(
            "This link does not say which workspace the job is in: its wsid must be the ARM id of one.", "wsid"
        )
    return RedirectResponse(job_address(workspace, name), 303, PRIVATE)


class _JobPages:
    def __init__(self, database: Database, artifacts: ArtifactStore, location: str, sign_in: SignInPage) -> None:
        self._database = database
        self._artifacts = artifacts
        self._location = location
        self._home = sign_in.home
        self._mlflow = sign_in.mlflow

    async def show(self, request: Request) -> Response:
        workspace, name = workspace_id(request), request.path_params["job"]

        def read(documents: Documents) -> tuple[Json, Json]:
            return documents.job(name), documents.run(name)

        job, run = await self._database.read(lambda c: read(Documents(c, workspace, self._location)))
        logs = await self._log_files(workspace, name)
        tail = await self._tail(workspace, name, logs)
        status = str(job.get("status") or run.get("status"))
        found = list(facts(name, job, run, dt.datetime.now(dt.UTC)))
        body = (
            f"{_badge(status)}{_table(found)}"
            f"{self._links(workspace, name, job, logs)}{tail}{self._commands(workspace, name, job)}"
        )
        title = next((value for label, value in found if label == "display name"), name)
        refresh = None if status in _OVER else _REFRESH_S
        return page(
            words.printable(title), "", body, headers={"Cache-Control": "no-store"}, refresh_s=refresh, wide=True
        )

    async def log(self, request: Request) -> Response:
        """One log file as text."""
        workspace, name, file = workspace_id(request), request.path_params["job"], request.path_params["file"]
        await self._database.read(lambda c: Documents(c, workspace, self._location).run(name))
        try:
            paths.split(file)
            if file.split("/", 1)[0] not in _LOGS:
                raise NoSuchArtifact(file)
            content = await self._artifacts.read(workspace, f"{run_folder(name)}/{file}")
        except (NoSuchArtifact, paths.UnsafePath):
            raise not_found(f"Job '{name}' has no log '{file}'.", "file") from None
        headers = {**PRIVATE, "Cache-Control": "no-store"}
        return StreamingResponse(content.chunks, headers=headers, media_type="text/plain; charset=utf-8")

    async def _log_files(self, workspace: str, name: str) -> dict[str, int]:
        """The sizes of its log files in bytes, by their paths."""
        root = f"{run_folder(name)}/"
        entries = [
            entry for folder in _LOGS for entry in await self._artifacts.list(workspace, root + folder, recursive=True)
        ]
        return {entry.name.removeprefix(root): entry.size for entry in entries if entry.size is not None}

    async def _tail(self, workspace: str, name: str, logs: dict[str, int]) -> str:
        """The end of what the job's own process wrote."""
        own = next((log for log in sorted(logs) if log.startswith(_OWN)), None)
        if own is None:
            return ""
        start = max(0, logs[own] - _TAIL_BYTES)
        content = await self._artifacts.read(workspace, f"{run_folder(name)}/{own}", offset=start)
        text = (await _whole(content.chunks)).decode(errors="replace")
        lines = text.splitlines()[-_TAIL_LINES:]
        if not lines:
            return ""
        shown = escape("\n".join(words.printable(line.expandtabs()) for line in lines))
        return f"<h2>The end of its log</h2><pre><code>{shown}</code></pre>"

    def _links(self, workspace: str, name: str, job: Json, logs: dict[str, int]) -> str:
        links = []
        if job.get("jobType") in _PARENTS:
            links.append((graph_address(workspace, name), "Graph: its steps and their states"))
        if self._mlflow:
            address = f"{COOKIE_PATH}/rest{quote(workspace)}/#/runs/{quote(name, safe='')}"
            links.append((address, "MLflow run: metrics, charts, parameters, artifacts, models"))
        links += [(f"{job_address(workspace, name)}/logs/{quote(log)}", log) for log in logs]
        items = "".join(f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for address, text in links)
        return f"<h2>Logs and more</h2><ul>{items}</ul>" if items else ""

    def _commands(self, workspace: str, name: str, job: Json) -> str:
        python = f'mlflow.MlflowClient().get_run("{name}").data'
        if not job:  # a run that an MLflow client made
            return f"<h2>In Python</h2><pre><code>{escape(python)}</code></pre>"
        typed = f"{shlex.quote(name)}{command_line.options_for(workspace, self._home)}"
        lines = "\n".join(f"lazulite job {verb} {typed}" for verb in ("graph", "logs", "debug", "rerun"))
        python = f'ml_client.jobs.stream("{name}")\nml_client.jobs.download("{name}", all=True)\n{python}'
        return (
            f"<h2>In a terminal</h2><pre><code>{escape(lines)}</code></pre>"
            f"<h2>In Python</h2><pre><code>{escape(python)}</code></pre>"
        )


def _badge(status: str) -> str:
    kind = words.kind_of(status)
    return f'<p class="state {escape(kind)}">{escape(words.state_word(status))}</p>'


def _table(found: list[tuple[str, str]]) -> str:
    rows = []
    for label, value in found:
        if label in ("status", "display name"):
            continue
        text = escape("\n".join(words.printable(line) for line in value.rstrip().splitlines()))
        shown = f"<pre>{text}</pre>" if label in _LONG or "\n" in value else text
        rows.append(f"<tr><th>{escape(label)}</th><td>{shown}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
