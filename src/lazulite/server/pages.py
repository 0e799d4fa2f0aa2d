"""The pages that links in clients' output lead to. They hold nothing but what the link itself says."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lazulite.core.errors import ApiError
from lazulite.core.web import PUBLIC, Route

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
    html = _PAGE.format(title=escape(title), what=escape(what), body=body)
    return HTMLResponse(html, status, {**PRIVATE, **(headers or {})})


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
    """A page for the studio link of a job; the studio itself is not built yet, and the page says so."""
    name = escape(request.path_params["run"])
    body = (
        f"{_mlflow_link(request.query_params.get('wsid', ''), request.path_params['run'])}"
        "<p>The studio's pages are not built yet. Until they are, a job can be followed from Python:</p>"
        f'<pre><code># its log, live\nml_client.jobs.stream("{name}")\n\n'
        f'# logs, artifacts and outputs\nml_client.jobs.download("{name}", all=True)\n\n'
        f'# metrics, parameters and tags\nmlflow.MlflowClient().get_run("{name}").data</code></pre>'
        "<p>On this machine its files lie under the server's home, in<br>"
        f"<code>storage/&lt;account&gt;/azureml/ExperimentRun/dcid.{name}/</code></p>"
    )
    return page(request.path_params["run"], "A job of this server", body)


def _mlflow_link(workspace: str, run: str) -> str:
    """To the run in MLflow's pages, where the link says which workspace it is in."""
    if not workspace.startswith("/subscriptions/"):
        return ""
    address = escape(f"/mlflow/rest{quote(workspace)}/#/runs/{quote(run, safe='')}")
    return (
        f'<p><a href="{address}">Its run in MLflow</a> shows metrics, charts, parameters, artifacts and models. '
        "<code>lazulite ui</code> signs a browser in.</p>"
    )
