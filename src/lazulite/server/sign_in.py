"""How a browser is signed in: whoever holds a token asks for a one-time code, and the browser spends it for a cookie.

The code travels behind the `#` of a link, which browsers send to no server, and then in the body of one POST.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
from html import escape
from urllib.parse import parse_qsl, quote, unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lazulite.core.command_line import options_for, sign_in_command
from lazulite.core.errors import ApiError, bad_request, not_found
from lazulite.core.extras import install_command
from lazulite.core.web import (
    AUTHENTICATED,
    PUBLIC,
    JsonResponse,
    Route,
    from_own_machine,
    json_body,
    principal,
    workspace_id,
)
from lazulite.identity.directory import Directory
from lazulite.resources import workspaces
from lazulite.server.pages import PRIVATE, error_page, job_address, page
from lazulite.server.sessions import CODE_LIFETIME_S, COOKIE_PATH, Sessions, check_same_origin
from lazulite.store import resources, runs
from lazulite.store.database import Database

#: Opened from a link, the code stands behind the `#`. On any other page the `#` is MLflow's, and is kept.
_SCRIPT = """
const form = document.getElementById("sign-in"), code = form.elements.code;
form.elements.to.value = form.dataset.stay ? location.pathname : "";
form.addEventListener("submit", () => {
  code.value = code.value.trim().split("#").pop();
  if (form.dataset.stay) form.action += location.hash;
});
if (!form.dataset.stay && location.hash.length > 1) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  form.submit();
}
"""
_FORM = """
<p>In a terminal on the server's machine:</p>
<pre><code>{command}</code></pre>
{note}<p>It opens a link that signs this browser in. Or paste the link here:</p>
<form id="sign-in" method="post" action="/lazulite/sign-in"{stay}>
  <input name="code" type="password" autocomplete="off" required aria-label="Link or code" placeholder="Link or code">
  <input name="to" type="hidden">
  <button>Sign in</button>
</form>
<script>{script}</script>
"""
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"{PRIVATE['Content-Security-Policy']}; script-src 'sha256-{_SCRIPT_HASH}'",
    "Cache-Control": "no-store",
}
_SIGN_OUT = """
<form method="post" action="/lazulite/sign-out"><button>Sign this browser out</button></form>
"""


def routes(sessions: Sessions, directory: Directory, database: Database, page: SignInPage) -> list[Route]:
    sign_in = _SignIn(sessions, directory, database, page)
    path = "/lazulite/sign-in"
    return [
        Route("POST", "/lazulite/sign-in-codes", AUTHENTICATED, sign_in.new_code, "SignIn.code"),
        Route("GET", path, PUBLIC, sign_in.form, "SignIn.page", errors=error_page),
        Route("POST", path, PUBLIC, sign_in.redeem, "SignIn.redeem", errors=error_page, unsigned=page),
        Route("POST", "/lazulite/sign-out", PUBLIC, sign_in.out, "SignIn.out", errors=error_page),
    ]


class SignInPage:
    """What a browser sees that is not signed in: the command that leads back to where it wanted to go.

    `home` is what commands need as --home, `mlflow` whether MLflow's pages are installed. Beyond what the address says
    the page tells paths, and those to its own machine alone.
    """

    def __init__(self, home: str, *, mlflow: bool) -> None:
        self.home = home
        self.mlflow = mlflow

    def __call__(self, request: Request, error: ApiError) -> Response:
        body = self.form(request, stay=' data-stay="yes"')
        what = error.message if error.target == "code" else "This browser is not signed in."
        return page("Sign in", what, body, status=401, headers=_HEADERS)

    def form(self, request: Request, stay: str = "") -> str:
        command, note = escape(self._command(request)), ""
        if not self.mlflow and "job" not in request.path_params:
            note = "<p>NAME is that of a job; <code>lazulite job list</code> has them. MLflow's pages are not installed.</p>"
            note += install_line(request)
        return _FORM.format(script=_SCRIPT, stay=stay, command=command, note=note)

    def _command(self, request: Request) -> str:
        """`lazulite ui` for the workspace and the job that the address names."""
        asked = request.path_params
        options = options_for(
            workspace_id(request) if "group" in asked else "", self.home if from_own_machine(request) else ""
        )
        if "job" in asked:
            return sign_in_command(options, asked["job"])
        # Without MLflow's pages there is something to see of a job alone.
        return sign_in_command(options, None if self.mlflow else "NAME")


def install_line(request: Request) -> str:
    """How MLflow's pages are added, as HTML; empty for other machines, whose business our folders are not."""
    if not from_own_machine(request):
        return ""
    command = escape(install_command("mlflow-ui"))
    return f"<p>This adds them; start the server again afterwards:</p><pre><code>{command}</code></pre>"


def workspace_path(workspace: str) -> str:
    """Where the pages of a workspace are, by its ARM id."""
    return f"{COOKIE_PATH}/rest{quote(workspace)}/"


def _own_page(address: str) -> str | None:
    """A path below the cookie's, as a browser would go there; None for any other address."""
    path, _, query = address.partition("?")
    plain = posixpath.normpath(unquote(path)) if path.startswith("/") and "\\" not in unquote(path) else ""
    if not plain.startswith(f"{COOKIE_PATH}/"):
        return None
    return quote(plain + "/" * path.endswith("/"), safe="/:=") + (f"?{query}" if query else "")


class _SignIn:
    def __init__(self, sessions: Sessions, directory: Directory, database: Database, page: SignInPage) -> None:
        self._sessions = sessions
        self._directory = directory
        self._database = database
        self._page = page

    async def new_code(self, request: Request) -> Response:
        """`{"workspace": ARM id}` -> `{"code", "page", "expires_in"}`: a code for the caller, good for one browser.

        With `"job": name` it leads to the page of that job, which needs no pages of MLflow's.
        """
        body = await json_body(request)
        caller, wanted, job = principal(request), body.get("workspace"), body.get("job")
        if not self._page.mlflow and job is None:
            what = "MLflow's pages are not installed beside the server"
            raise ApiError(
                501, "NotImplemented", f"{what}. Install them, and start it again: {install_command('mlflow-ui')}"
            )
        if caller.job is not None:
            raise ApiError(403, "AuthorizationFailed", "A job's token signs no browser in.")
        if not isinstance(wanted, str):
            raise bad_request("workspace is missing: the ARM id of the workspace to open.", "workspace")
        found = await self._database.read(lambda c: resources.get(c, wanted))
        readable = self._directory.allows(caller, f"{workspaces.TYPE.type}/read", wanted)
        if found is None or not readable or found.type != workspaces.TYPE.type.lower():
            raise not_found(f"There is no workspace '{wanted.rsplit('/', 1)[-1]}' that you may read.", "workspace")
        if job is not None and not isinstance(job, str):
            raise bad_request("job must be the name of a job.", "job")
        if job is not None and await self._database.read(lambda c: runs.get(c, found.id, job)) is None:
            raise not_found(f"There is no job '{job}' in the workspace '{found.name}'.", "job")
        path = workspace_path(found.id) if job is None else job_address(found.id, job)
        code = self._sessions.new_code(caller, path)
        answer = {"code": code, "page": "/lazulite/sign-in", "expires_in": CODE_LIFETIME_S}
        return JsonResponse(answer, headers={"Cache-Control": "no-store"})

    async def form(self, request: Request) -> Response:
        body = self._page.form(request) + _SIGN_OUT
        return page("Sign in", "Signing this browser in to Lazulite", body, headers=_HEADERS)

    async def redeem(self, request: Request) -> Response:
        check_same_origin(request)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        principal_id, path = self._sessions.redeem(form.get("code", "").strip().rsplit("#", 1)[-1])
        # Back to the page that asked, which is one of ours.
        path = _own_page(form.get("to", "")) or path
        answer = RedirectResponse(path, 303, {**PRIVATE, "Cache-Control": "no-store"})
        self._sessions.begin(request, answer, principal_id)
        return answer

    async def out(self, request: Request) -> Response:
        check_same_origin(request)
        answer = page("Signed out", "This browser is signed out of Lazulite.", "")
        self._sessions.end(request, answer)
        return answer
