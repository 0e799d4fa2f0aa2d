"""Who is behind a token or a user delegation key at the storage gateway, and what they may do there."""

from __future__ import annotations

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal, job_refusal
from lazulite.identity.claims import Claims
from lazulite.resources import job_rights, storage_accounts
from lazulite.resources.job_rights import Place
from lazulite.server.accounts import StorageAccounts
from lazulite.storage.addressing import Address
from lazulite.storage.authorization import Grant, Need, Unauthenticated
from lazulite.storage.errors import StorageError
from lazulite.store.database import Database

_READING = "rl"
_UPLOADING = "racwl"
#: Slashes in the id of an account or workspace: what has no more of them may change whose rights decide.
_DEPTH = 8


class StorageAccess:
    """Implements `storage.authorization.Identities`: by the right on the storage account's own id, or on a workspace's
    that stands on it, and for a job by `job_rights` besides."""

    def __init__(self, claims: Claims, database: Database, accounts: StorageAccounts, tenant: str) -> None:
        self._claims = claims
        self._database = database
        self._accounts = accounts
        self._tenant = tenant
        self._scopes: dict[str, list[str]] = {}
        self._epoch = 0
        database.subscribe(self._changed)

    async def of_token(self, token: str, address: Address, need: Need) -> Grant:
        try:
            caller = await self._claims.verify(token)
        except ApiError as error:
            raise Unauthenticated(error.message) from None
        return await self._grant(caller, address, need)

    async def of_key(self, object_id: str, mark: str, address: Address, need: Need) -> Grant:
        caller = job_rights.marked(object_id, mark) or self._person(object_id)
        try:
            await self._claims.check(caller)
        except ApiError as error:
            raise Unauthenticated(error.message) from None
        return Grant() if job_rights.only_ends(mark) else await self._grant(caller, address, need)

    def salt(self, object_id: str, mark: str) -> str:
        """Of a key that people sign with, the mark of their own key, with which it ends; of those that sign here alone,
        one that is never given to anybody."""
        if job_rights.marked(object_id, mark) is None:
            return self._person(object_id).key
        return job_rights.salt(mark)

    def _person(self, object_id: str) -> Principal:
        found = self._claims.directory.get(object_id)
        if found is None:
            raise Unauthenticated(f"the principal '{object_id}' that it was given to was deleted.")
        return found

    async def _grant(self, caller: Principal, address: Address, need: Need) -> Grant:
        scopes = await self._scopes_of(address.account)
        if not any(self._claims.directory.allows(caller, need.action, scope) for scope in scopes):
            reason = f"'{caller.name}' does not have '{need.action}' on storage account '{address.account}'"
            raise StorageError("AuthorizationPermissionMismatch", reason)
        if caller.behalf_of:
            return Grant()  # no user delegation key is given to it, which would outlive the job
        if caller.run is None:
            return Grant(object_id=caller.id, tenant=self._tenant, salt=caller.key)
        return await self._grant_of_job(caller, caller.run, address, need)

    async def _grant_of_job(self, job: Principal, run: str, address: Address, need: Need) -> Grant:
        known = self._accounts.get(address.account)
        account, container, path = known.name if known else "", address.container, address.blob.strip("/")
        where = "/".join(part for part in (address.account, container, path) if part)
        rule = job_refusal(run, f"write to or delete '{where}'")
        if need.action.endswith("/read"):
            return Grant(_READING, rule=rule)
        kind, folder = await self._database.read(
            lambda c: job_rights.place(c, self._accounts, job, account, container, path)
        )
        if kind is Place.OWN:
            return Grant(rule=rule)
        holder = arm_id.key(f"{job.workspace}/jobs/{run}")
        if kind is Place.UPLOAD and await self._accounts.claim_upload(holder, account, container, folder):
            return Grant(_UPLOADING, rule=rule)
        raise StorageError("AuthorizationPermissionMismatch", rule)

    async def _scopes_of(self, account: str) -> list[str]:
        name, epoch = account.lower(), self._epoch
        found = self._scopes.get(name)
        if found is None:
            found = await self._database.read(lambda c: storage_accounts.scopes(c, name))
            self._scopes[name] = found
            if epoch != self._epoch:  # it changed while it was read
                self._scopes.pop(name, None)
        return found

    def _changed(self, keys: frozenset[str]) -> None:
        if any(key.startswith("/subscriptions/") and key.count("/") <= _DEPTH for key in keys):
            self._epoch += 1
            self._scopes.clear()
