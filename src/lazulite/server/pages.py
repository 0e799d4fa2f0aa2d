"""How our own pages look, where they are, and the one at the server's address."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lazulite.core.errors import ApiError
from lazulite.core.web import PUBLIC, Route
from lazulite.server.sessions import COOKIE_PATH

_NAME = "Lazulite"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>{head}</title>
<style>
  :root {{
    color-scheme: light dark; font: 16px/1.5 "Segoe UI", system-ui, sans-serif;
    --line: #d7dbe0; --soft: #f4f6f8; --muted: #5b6570; --link: #0b5cad;
    --good: #1a7f37; --bad: #c0262d; --busy: #0b5cad; --wait: #7a5a00;
  }}
  @media (prefers-color-scheme: dark) {{
    :root {{
      --line: #30363d; --soft: #161b22; --muted: #9aa4ae; --link: #6cb2ff;
      --good: #56d364; --bad: #ff7b72; --busy: #6cb2ff; --wait: #e3b341;
    }}
    body {{ background: #0d1117; color: #e6edf3; }}
  }}
  body {{ max-width: {width}; margin: 3rem auto; padding: 0 1.5rem; }}
  h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }}
  h2 {{ font-size: 1.05rem; margin: 2rem 0 .5rem; }}
  a {{ color: var(--link); }}
  p.what {{ margin-top: 0; color: var(--muted); }}
  pre {{ margin: .25rem 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 6px; background: var(--soft);
    overflow-x: auto; }}
  code, pre {{ font-family: "Cascadia Mono", ui-monospace, monospace; font-size: .875rem; }}
  form {{ display: flex; gap: .5rem; margin: 1rem 0; }}
  input {{ flex: 1; min-width: 0; }}
  input, button {{ font: inherit; padding: .4rem .7rem; }}
  table {{ border-collapse: collapse; width: 100%; margin: 1rem 0; }}
  th, td {{ text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }}
  th {{ width: 8rem; font-weight: 400; color: var(--muted); white-space: nowrap; }}
  td {{ overflow-wrap: anywhere; }}
  td pre {{ white-space: pre-wrap; max-height: 24rem; overflow-y: auto; }}
  ul {{ padding-left: 1.2rem; }}
  .state {{ display: inline-block; margin: .25rem 0; padding: .1rem .7rem; border: 1px solid; border-radius: 1rem;
    font-weight: 600; color: var(--wait); }}
  .completed {{ color: var(--good); }}
  .failed, .canceled {{ color: var(--bad); }}
  .running, .preparing {{ color: var(--busy); }}
</style>
<h1>{title}</h1>
{what}
{body}
</html>
"""


def routes() -> list[Route]:
    return [
        Route("GET", "/", PUBLIC, _welcome, "Pages.welcome"),
    ]


def page(
    title: str,
    what: str,
    body: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    refresh_s: int | None = None,
    wide: bool = False,
) -> Response:
    """A page of our own. `title` and `what` are text, `body` is HTML. With `refresh_s` it loads itself again."""
    text = _PAGE.format(
        head=escape(title if title == _NAME else f"{title} · {_NAME}"),
        title=escape(title),
        what=f'<p class="what">{escape(what)}</p>' if what else "",
        body=body,
        refresh=f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else "",
        width="64rem" if wide else "46rem",
    )
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
        "<p><code>lazulite job list</code> names the jobs, and <code>lazulite ui --job NAME</code> opens the page of one.</p>"
        "<p><code>lazulite ui</code> opens MLflow's pages in a browser: experiments, runs, charts, models and traces. "
        'Signed in, they are at <a href="/mlflow/mlw-default">/mlflow/mlw-default</a>, and at '
        "<code>/mlflow/WORKSPACE</code> for another workspace.</p>"
    )
    return page(_NAME, "Azure Machine Learning on your own machines", body)


def job_address(workspace: str, job: str) -> str:
    """Where the page of a job is, by the ARM id of its workspace."""
    return f"{COOKIE_PATH}/pages{quote(workspace)}/jobs/{quote(job, safe='')}"


def graph_address(workspace: str, job: str) -> str:
    """Where the picture of a job is, by the ARM id of its workspace."""
    return f"{COOKIE_PATH}/graphs{quote(workspace)}/jobs/{quote(job, safe='')}"
