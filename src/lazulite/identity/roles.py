"""Azure's built-in roles, and how an action is matched against them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ML = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class Role:
    """`actions` less `not_actions`; `*` stands for anything, also across slashes."""

    name: str
    id: str  # the GUID of Azure's built-in role definition
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        return _allowed(self.actions, self.not_actions, action)


BUILT_IN = (
    Role("Owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", ("*",)),
    Role(
        "Contributor",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        ("*",),
        ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
    ),
    Role("Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7", ("*/read",)),
    Role(
        "AzureML Data Scientist",
        "f6c7c914-8db3-469d-8ca1-694a8f32e121",
        (f"{_ML}/workspaces/*/read", f"{_ML}/workspaces/*/action", f"{_ML}/workspaces/*/delete",
         f"{_ML}/workspaces/*/write", f"{_ML}/workspaces/read", f"{_ML}/registries/*/read",
         f"{_ML}/locations/*/read", "Microsoft.Resources/*/read",
         "Microsoft.Storage/storageAccounts/blobServices/*", "Microsoft.Storage/storageAccounts/fileServices/*"),
        (f"{_ML}/workspaces/delete", f"{_ML}/workspaces/write", f"{_ML}/workspaces/computes/*/write",
         f"{_ML}/workspaces/computes/write", f"{_ML}/workspaces/computes/delete",
         f"{_ML}/workspaces/computes/*/delete", f"{_ML}/workspaces/computes/listKeys/action",
         f"{_ML}/workspaces/listKeys/action"),
    ),
    Role(
        "AzureML Registry User",
        "1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
        (f"{_ML}/registries/read", f"{_ML}/registries/assets/*"),
    ),
)  # fmt: skip

#: What a job's own token may do, in its own workspace only, and within the rights of whoever submitted the job. Which runs,
#: places and assets it may write to: `resources.job_rights`.
JOB = Role(
    "Job",
    "",
    (f"{_ML}/workspaces/read", f"{_ML}/workspaces/*/read", f"{_ML}/workspaces/experiments/*",
     f"{_ML}/workspaces/models/*", f"{_ML}/workspaces/data/*", f"{_ML}/workspaces/datastores/listSecrets/action",
     f"{_ML}/workspaces/environments/write", f"{_ML}/workspaces/components/write", f"{_ML}/workspaces/codes/*",
     "Microsoft.Storage/storageAccounts/blobServices/*", "Microsoft.Storage/storageAccounts/fileServices/*"),
    (f"{_ML}/workspaces/*/delete",),
)  # fmt: skip


#: What every authenticated principal may do in the registry that comes with the server.
REGISTRY_READER = Role("Registry Reader", "", (f"{_ML}/registries/read", f"{_ML}/registries/assets/read"))


def named(name: str) -> Role | None:
    """The built-in role of that name (any case) or role definition GUID."""
    wanted = name.lower().rsplit("/", 1)[-1]
    return next((role for role in BUILT_IN if wanted in (role.name.lower(), role.id)), None)


@lru_cache(maxsize=4096)
def _allowed(actions: tuple[str, ...], not_actions: tuple[str, ...], action: str) -> bool:
    return _any(actions, action) and not _any(not_actions, action)


def _any(patterns: tuple[str, ...], action: str) -> bool:
    return any(_matches(pattern, action) for pattern in patterns)


def _matches(pattern: str, action: str) -> bool:
    parts = map(re.escape, pattern.lower().split("*"))
    return re.fullmatch(".*".join(parts), action.lower()) is not None
