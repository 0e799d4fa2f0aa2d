"""What a token claims, asked anew at every request: its principal and key, its workspace, and the job it was made for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.identity.directory import Directory
from lazulite.identity.tokens import TokenIssuer, unauthenticated
from lazulite.model.job_status import TERMINAL
from lazulite.store import resources
from lazulite.store.database import Database

#: The longest that a token of a job may be asked to live, in seconds; the job's end ends it sooner.
LONGEST_OF_JOB_S = 7 * 24 * 3600
_REMEMBERED = 10_000
#: Slashes in the id of a workspace: what has no more of them may take workspaces with it.
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Life:
    """What there is to say of a job at this moment. `birth` is empty where its workspace is gone.

    `on_behalf` says that the job asked for its submitter's identity, `submitter` whose that is.
    """

    birth: str = ""
    running: bool = False
    on_behalf: bool = False
    submitter: str = ""


class Claims:
    """Answers from memory: a job is read once after each change of it, off the event loop."""

    def __init__(self, issuer: TokenIssuer, directory: Directory, database: Database) -> None:
        self.issuer = issuer
        self.directory = directory
        self._database = database
        self._lives: dict[str, Life] = {}
        self._reading: dict[str, object] = {}
        database.subscribe(self._changed)

    async def verify(self, token: str) -> Principal:
        """The principal of a token that holds now. Raises ApiError 401 saying which claim does not."""
        principal = self.issuer.verify(token)
        await self.check(principal)
        return principal

    async def check(self, principal: Principal) -> None:
        """Whether what the principal's token claims is still so. Raises ApiError 401."""
        holder = self.directory.get(principal.id)
        if holder is None:
            raise unauthenticated(f"The principal of this token, '{principal.name}', was deleted.")
        job = principal.job
        if (job is None or principal.stepping) and principal.key != holder.key:
            raise unauthenticated(
                f"The key of '{principal.name}' was replaced after this token was got with the old one. Set the new "
                "one, and get a new token."
            )
        if job is None:
            return
        life = await self.life(principal.workspace or "", job)
        if not life.birth or life.birth != principal.birth:
            raise unauthenticated(f"The workspace of the job '{job}' was deleted, and the job's token with it.")
        if not principal.stepping and not life.running:
            raise unauthenticated(f"The job '{job}' is over or gone, and its token ended with it.")
        if principal.behalf_of and not (life.on_behalf and life.submitter == principal.id):
            raise unauthenticated(f"The job '{job}' does not act for '{principal.name}'.")

    async def life(self, workspace_id: str, job: str) -> Life:
        key = arm_id.key(f"{workspace_id}/jobs/{job}")
        found = self._lives.get(key)
        if found is not None:
            return found
        mark = self._reading[key] = object()
        found = await self._database.read(lambda c: _life(c, workspace_id, key))
        # Kept first and asked then whether it changed meanwhile: changes are told by the writer's thread.
        self._lives[key] = found
        if self._reading.pop(key, None) is not mark:
            self._lives.pop(key, None)
        while len(self._lives) > _REMEMBERED:
            self._lives.pop(next(iter(self._lives)), None)
        return found

    async def of_job(self, workspace_id: str, job: str, principal_id: str) -> Principal:
        """Who a job is that was submitted by `principal_id`."""
        life = await self.life(workspace_id, job)
        return Principal(principal_id, f"job {job}", "Job", run=job, workspace=workspace_id, birth=life.birth)

    async def by_hand(self, workspace_id: str, run: str, caller: Principal) -> Principal:
        """Who has the rights of a job or run without being it, whether or not it is over: `caller`, a person."""
        return replace(await self.of_job(workspace_id, run, caller.id), stepping=True, key=caller.key)

    async def of_submitter(self, job: Principal) -> Principal:
        """Who acts for the submitter inside of a job, given the job's own principal. Raises ApiError 403."""
        if job.run is None:
            raise unauthenticated("OBO_ENDPOINT holds the token of a job, and this one is none.")
        life = await self.life(job.workspace or "", job.run)
        holder = self.directory.get(life.submitter)
        if not life.on_behalf or holder is None or holder.id != job.id:
            raise ApiError(
                403,
                "UserIdentityNotAvailable",
                f"The job '{job.run}' does not act for its submitter. Submit it with `identity: {{type: user_identity}}`.",
                target="identity",
            )
        return replace(
            holder,
            key=job.key,
            workspace=job.workspace,
            birth=job.birth,
            behalf_of=job.run,
            stepping=job.stepping,
        )

    def _changed(self, keys: frozenset[str]) -> None:
        for key in keys:
            if not key.startswith("/subscriptions/"):
                continue  # not a resource: a pool of computes, an erasure
            if key.count("/") <= _DEPTH:
                self._reading.clear()
                self._lives.clear()
                return
            self._reading.pop(key, None)
            self._lives.pop(key, None)


def _life(c: Connection, workspace_id: str, key: str) -> Life:
    workspace = resources.get(c, workspace_id)
    if workspace is None:
        return Life()
    job = resources.get(c, key)
    if job is None:
        return Life(workspace.birth)
    identity = job.properties.get("identity") or {}
    return Life(
        workspace.birth,
        running=job.state not in TERMINAL,
        on_behalf=str(identity.get("identityType", "")).lower() == "useridentity",
        submitter=str(job.spec.get("submittedBy", "")),
    )
