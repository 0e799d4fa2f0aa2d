"""The pages that links in clients' output lead to. They hold nothing but what the link itself says."""

from __future__ import annotations

import re
import shlex
from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lazulite.core.errors import ApiError
from lazulite.core.web import PUBLIC, Route
from lazulite.server.sessions import COOKIE_PATH

_ID = re.compile(
    r"/subscriptions/[\w-]+/resourceGroups/([\w.()-]+)/providers/[\w.]+/workspaces/([\w-]+)", re.IGNORECASE
)
#: What the command line takes where nothing is named.
_USUAL = ("rg-lazulite", "mlw-default")

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Lazulite</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 "Segoe UI", system-ui, sans-serif; }}
  body {{ max-width: 46rem; margin: 4rem auto; padding: 0 1.5rem; }}
  h1 {{ font-size: 1.6rem; margin-bottom: .25rem; }}
  p.what {{ margin-top: 0; opacity: .75; }}
  pre {{ padding: 1rem; border: 1px solid #8884; border-radius: 6px; background: #8881; overflow-x: auto; }}
  code {{ font-family: "Cascadia Mono", ui-monospace, monospace; font-size: .92em; }}
  form {{ display: flex; gap: .5rem; margin: 1rem 0; }}
  input {{ flex: 1; min-width: 0; }}
  input, button {{ font: inherit; padding: .4rem .7rem; }}
</style>
<h1>{title}</h1>
<p class="what">{what}</p>
{body}
</html>
"""


def routes() -> list[Route]:
    return [
        Route("GET", "/", PUBLIC, _welcome, "Pages.welcome"),
        Route("GET", "/runs/{run}", PUBLIC, _run, "Pages.run"),
    ]


def page(title: str, what: str, body: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A page of our own. `title` and `what` are text, `body` is HTML."""
    text = _PAGE.format(title=escape(title), what=escape(what), body=body)
    return html(text, status=status, headers=headers)


def html(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(text, status, {**PRIVATE, **(headers or {})})


def error_page(error: ApiError) -> Response:
    """An error, for a person."""
    return page(f"{error.status} {error.code}", error.message, "", status=error.status)


#: Headers of every page: nothing of its address goes elsewhere, no other page may hold it in a frame.
PRIVATE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


async def _welcome(_request: Request) -> Response:
    body = (
        "<p>This is the address of a Lazulite server. Point the clients of this shell at it, and use them as on Azure:</p>"
        '<pre><code>eval "$(lazulite env)"\npython my_script.py</code></pre>'
        "<p><code>lazulite status</code> says where it listens and how jobs are kept apart.</p>"
        "<p><code>lazulite ui</code> opens MLflow's pages in a browser: experiments, runs, charts, models and traces. "
        'Signed in, they are at <a href="/mlflow/mlw-default">/mlflow/mlw-default</a>, and at '
        "<code>/mlflow/WORKSPACE</code> for another workspace.</p>"
    )
    return page("Lazulite", "Azure Machine Learning on your own machines", body)


async def _run(request: Request) -> Response:
    """The page that the studio link of a job leads to: where it is drawn, and what to type. It knows only the link."""
    workspace, name = request.query_params.get("wsid", ""), request.path_params["run"]
    shown = escape(shlex.quote(name))
    options = escape(command_options(workspace))
    body = (
        f"{_links(workspace, name)}"
        "<p>In a terminal:</p>"
        f"<pre><code>lazulite job graph {shown}{options}        # its steps, and what failed\n"
        f"lazulite job logs {shown} -f{options}      # what it writes\n"
        f"lazulite job debug {shown}{options}        # a shell where it ran\n"
        f"lazulite job rerun {shown}{options}        # once more</code></pre>"
        "<p>In Python:</p>"
        f'<pre><code># its log, live\nml_client.jobs.stream("{escape(name)}")\n\n'
        f'# logs, artifacts and outputs\nml_client.jobs.download("{escape(name)}", all=True)\n\n'
        f'# metrics, parameters and tags\nmlflow.MlflowClient().get_run("{escape(name)}").data</code></pre>'
        "<p>On this machine its files lie under the server's home, in<br>"
        f"<code>storage/&lt;account&gt;/azureml/ExperimentRun/dcid.{escape(name)}/</code></p>"
    )
    return page(name, "A job of this server", body)


def graph_address(workspace: str, job: str) -> str:
    """Where the picture of a job is, by the ARM id of its workspace."""
    return f"{COOKIE_PATH}/graphs{quote(workspace)}/jobs/{quote(job, safe='')}"


def command_options(workspace: str) -> str:
    """What a command needs to come to a workspace; empty for the first one, and for what is no workspace's id."""
    found = _ID.fullmatch(workspace)
    if found is None or (found[1].lower(), found[2].lower()) == _USUAL:
        return ""
    return f" --workspace {found[2]} --group {found[1]}"


def _links(workspace: str, run: str) -> str:
    """To the job's picture and its run in MLflow's pages, where the link says which workspace it is in."""
    if not workspace.startswith("/subscriptions/"):
        return ""
    address = escape(f"/mlflow/rest{quote(workspace)}/#/runs/{quote(run, safe='')}")
    return (
        f'<p><a href="{escape(graph_address(workspace, run))}">Its graph</a> shows the steps of a pipeline with their states.<br>'
        f'<a href="{address}">Its run in MLflow</a> shows metrics, charts, parameters, artifacts and models.</p>'
        f"<p><code>lazulite ui --job {escape(shlex.quote(run))}</code> opens the graph in a browser that is not signed in.</p>"
    )
