"""The pages that links in clients' output lead to. They hold nothing but what the link itself says."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

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


async def _welcome(_request: Request) -> Response:
    body = (
        "<p>This is the address of a Lazulite server. Point the clients of this shell at it, and use them as on Azure:</p>"
        '<pre><code>eval "$(lazulite env)"\npython my_script.py</code></pre>'
        "<p><code>lazulite status</code> says where it listens and how jobs are kept apart.</p>"
    )
    return HTMLResponse(_PAGE.format(title="Lazulite", what="Azure Machine Learning on your own machines", body=body))


async def _run(request: Request) -> Response:
    """A page for the studio link of a job; the studio itself is not built yet, and the page says so."""
    name = escape(request.path_params["run"])
    body = (
        "<p>The studio's pages are not built yet. Until they are, a job can be followed from Python:</p>"
        f'<pre><code># its log, live\nml_client.jobs.stream("{name}")\n\n'
        f'# logs, artifacts and outputs\nml_client.jobs.download("{name}", all=True)\n\n'
        f'# metrics, parameters and tags\nmlflow.MlflowClient().get_run("{name}").data</code></pre>'
        "<p>On this machine its files lie under the server's home, in<br>"
        f"<code>storage/&lt;account&gt;/azureml/ExperimentRun/dcid.{name}/</code></p>"
    )
    return HTMLResponse(_PAGE.format(title=name, what="A job of this server", body=body))
