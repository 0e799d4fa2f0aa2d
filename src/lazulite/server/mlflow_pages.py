"""MLflow's own pages: the files that its wheel carries, served at each workspace's tracking address.

Nothing of mlflow is imported. The pages call the tracking API beside them, with the browser's session.
"""

from __future__ import annotations

import re
from html import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from lazulite.core import paths
from lazulite.core.errors import not_found
from lazulite.core.web import AUTHENTICATED, PUBLIC, WORKSPACE, Handler, Route, principal
from lazulite.identity.directory import Directory
from lazulite.resources import workspaces
from lazulite.server.pages import error_page, page
from lazulite.server.sign_in import SignInPage, install_line, workspace_path
from lazulite.store import resources
from lazulite.store.database import Database

_READ = "Microsoft.MachineLearningServices/workspaces/experiments/read"
_YEAR_S = 365 * 24 * 3600
#: Scripts come from here alone, and the charts' WebGL library makes functions of text. Styles are set in line.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


def folder() -> Path | None:
    """The built pages inside an installed mlflow, where all is there that they need; mlflow-skinny has none."""
    spec = find_spec("mlflow") if find_spec("graphql") else None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        built = Path(root) / "server" / "js" / "build"
        if (built / "index.html").is_file():
            return built
    return None


def routes(built: Path | None, database: Database, directory: Directory, sign_in: SignInPage) -> list[Route]:
    """`built` is the folder of the pages; None where they are not installed, and then the addresses say how."""
    root = f"/mlflow/rest{WORKSPACE}"
    if built is None:
        return [
            Route("GET", path, PUBLIC, _not_installed, "MLflowPages.not_installed")
            for path in (root, f"{root}/static-files/{{file:path}}", "/mlflow/{workspace}")
        ]
    return [
        Route("GET", root, _READ, _index(built), "MLflowPages.index", errors=error_page, unsigned=sign_in),
        # The same files that anyone can download from the package index.
        Route("GET", f"{root}/static-files/{{file:path}}", PUBLIC, _file(built), "MLflowPages.file"),
        Route("GET", "/mlflow/{workspace}", AUTHENTICATED, _by_name(database, directory), "MLflowPages.workspace",
              errors=error_page, unsigned=sign_in),
    ]  # fmt: skip


async def _not_installed(request: Request) -> Response:
    what = "They are an extra of Lazulite, to be installed beside the server."
    return page("MLflow's pages are not installed", what, install_line(request), status=501)


def _index(built: Path) -> Handler:
    async def index(request: Request) -> Response:
        # The pages' addresses are relative to a folder.
        if not request.url.path.endswith("/"):
            return RedirectResponse(f"{quote(request.url.path)}/", 308)
        return FileResponse(built / "index.html", headers=_HEADERS)

    return index


def _file(built: Path) -> Handler:
    async def file(request: Request) -> Response:
        name = request.path_params["file"]
        try:
            path = paths.path_beneath(built, name)
        except paths.UnsafePath:
            raise not_found("There is no such file.") from None
        if not path.is_file():
            raise not_found(f"There is no '{name}' among MLflow's pages.")
        # A name with a hash of the content in it stands for that content forever.
        hashed = re.search(r"\.[0-9a-f]{8,}\.", path.name) is not None
        caching = f"public, max-age={_YEAR_S}, immutable" if hashed else "no-cache"
        return FileResponse(path, headers={"Cache-Control": caching, "X-Content-Type-Options": "nosniff"})

    return file


def _by_name(database: Database, directory: Directory) -> Handler:
    async def by_name(request: Request) -> Response:
        """To the pages of the workspace of that name; to a choice where several groups have one."""
        wanted, caller = request.path_params["workspace"], principal(request)
        rows = await database.read(lambda c: resources.under(c, "/subscriptions", workspaces.TYPE.type))
        found = [row.id for row in rows if row.name.lower() == wanted.lower()]
        found = [one for one in found if directory.allows(caller, _READ, one)]
        if not found:
            raise not_found(f"There is no workspace '{wanted}' that you may read.", "workspace")
        if len(found) == 1:
            return RedirectResponse(workspace_path(found[0]), 303)
        items = "".join(f'<li><a href="{escape(workspace_path(one))}">{escape(one)}</a></li>' for one in found)
        return page(f"Workspaces called {wanted}", "Choose one.", f"<ul>{items}</ul>")

    return by_name
