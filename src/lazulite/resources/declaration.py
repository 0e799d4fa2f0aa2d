"""What a resource type declares, and what its functions are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import addresses, arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.core.names import RESOURCE, NameRule
from lazulite.core.principal import Principal
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource
from lazulite.vault.sealed import SealedSecrets

#: The least role with which others may use what lies in a registry or workspace, and what is said of anything else.
_ROLES = {"registry": "AzureML Registry User", "workspace": "AzureML Data Scientist"}
_NOUNS = {"registries": "registry", "workspaces": "workspace", "storageaccounts": "storage account"}


@dataclass(frozen=True, slots=True)
class Files:
    """A file, or all below a path, in a container of an account of ours."""

    account: str
    container: str
    path: str


class Storage(StorageLocator, Protocol):
    """The storage accounts of this platform, as the rules of resources need them."""

    def public_account(self, account: str) -> str:
        """The `accountName` clients are told: one from which they build an address that reaches us."""
        ...

    async def ensure(self, account: str, containers: list[str], shares: list[str]) -> None:
        """Make an account's containers where they are missing. Idempotent."""
        ...

    async def copy(self, source: Files, account: str, container: str) -> int:
        """Copy a file, or all below a path, into a container, which is made where it is missing. Idempotent.

        Returns how many files there are.
        """
        ...

    async def same(self, a: Files, b: Files) -> bool:
        """Whether two places hold files of the same names and bytes."""
        ...

    def registered(self, asset: Resource) -> None:
        """Told of every resource that was written: what is an asset now is an upload no more."""
        ...


class Access(Protocol):
    def allows(self, principal: Principal, action: str, scope: str) -> bool:
        """Whether the principal holds a role at `scope` (an ARM id) or above that covers `action`."""
        ...

    def forget(self, connection: Connection, scope: str) -> bool:
        """Take away the roles held at `scope` or below it; `refresh` after the transaction where there were any."""
        ...

    async def refresh(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What declarations may use beside the store: addresses, secrets, storage. One per server."""

    base_url: str  # https://localhost:8443
    http_url: str  # http://localhost:8080
    location: str
    tenant: str
    secrets: SealedSecrets
    storage: Storage
    access: Access
    in_containers: bool = False  # whether images are run as they are, by a container engine

    @property
    def links_url(self) -> str:
        """Of the two addresses that which MLflow's clients get: the links that they print open in a browser."""
        return addresses.for_links(self.base_url, self.http_url)


@dataclass(slots=True)
class Reading:
    """A read inside one transaction."""

    connection: Connection
    services: Services
    principal: Principal
    query: Mapping[str, str] = field(default_factory=dict)

    def require(self, action: str, scope: str, target: str) -> None:
        """For what lies beyond the scope that the path names. Raises ApiError 403 naming the role to ask for."""
        if self.services.access.allows(self.principal, action, scope):
            return
        name = scope.rsplit("/", 1)[1]
        found = arm_id.parse(scope)
        noun = _NOUNS.get(found.types[0].lower() if found.types else "", "resource")
        role = _ROLES.get(noun, "Contributor")
        raise ApiError(
            403,
            "LinkedAuthorizationFailed",
            f"'{self.principal.name}' may not use what lies in the {noun} '{name}': that needs the action '{action}' "
            f"over '{scope}'. Ask an Owner of the {noun} for the role '{role}' on it.",
            target=target,
        )


@dataclass(slots=True)
class Write(Reading):
    """A PUT or PATCH on its way into the store. `body` is the whole document to be."""

    id: str = ""
    body: Json = field(default_factory=dict)
    existing: Resource | None = None
    #: Promoted columns the type may set.
    label: str | None = None
    state: str | None = None
    archived: bool = False
    status: Json | None = None
    #: What to do once the write is durable (outside the transaction).
    after: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[1]

    @property
    def workspace(self) -> str:
        return arm_id.workspace_of(self.id)

    @property
    def properties(self) -> Json:
        return self.body.setdefault("properties", {})  # type: ignore[no-any-return]


NOTHING = Resource(id="/", type="", name="", parent="", spec={})


class Shape(Enum):
    CHILD = "child"  # <parent>/<collection>/<name>
    VERSIONED = "versioned"  # <parent>/<collection>/<name>/versions/<version>
    TRACKED = "tracked"  # below a resource group, with a location


class Verb(Enum):
    LIST = "list"
    GET = "get"
    PUT = "put"
    PATCH = "patch"
    DELETE = "delete"


@dataclass(slots=True)
class Call(Reading):
    """A POST action on one resource, or its removal. `resource` is the one the path names."""

    resource: Resource = NOTHING
    body: Json = field(default_factory=dict)
    after: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an action replies: a status and a document (None is an empty body).

    With `settled` the operation is long-running: clients poll until the resource's state is one of these.
    """

    status: int = 200
    body: Any = None
    settled: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """`POST <resource>/<name>`; `writes` says whether it needs a write transaction. `read` actions need less rights."""

    name: str
    run: Callable[[Call], Answer]
    operation: str
    writes: bool = False
    #: Runs also where the resource does not exist yet: an upload comes before what it is for.
    absent: bool = False


def keep(write: Write) -> None:
    """Prepare nothing: the document is stored as sent."""


def as_sent(_reading: Reading, resource: Resource) -> Json:
    """The properties as sent, and the state of provisioning."""
    return {"provisioningState": "Succeeded", **resource.properties}


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type: where it lies and what is its own.

    `collection` is the path below the provider, such as `workspaces/jobs`; `operations` the group's name in
    Microsoft's REST specification, used to name what is called and what is missing.
    """

    collection: str
    operations: str
    shape: Shape = Shape.CHILD
    #: The types of the properties that we act on.
    wire: type[msgspec.Struct] | None = None
    verbs: frozenset[Verb] = frozenset({Verb.LIST, Verb.GET, Verb.PUT, Verb.DELETE})
    prepare: Callable[[Write], None] = keep
    view: Callable[[Reading, Resource], Json] = as_sent
    #: `view` of a page of rows, where one query serves them all.
    views: Callable[[Reading, Sequence[Resource]], list[Json]] | None = None
    remove: Callable[[Call], None] | None = None
    #: Resources that no row stands for: curated environments, runs as jobs.
    virtual: Virtual | None = None
    actions: tuple[Action, ...] = ()
    name_rule: NameRule = RESOURCE
    newest_first: bool = False
    #: The status of a PUT that made something: clients take only what the operation's specification lists.
    created_status: int = 201
    #: Rows of a listing when its query asks for something special (`?hash=`); None leaves it alone.
    select: Callable[[Reading, str], list[Resource] | None] | None = None
    #: By its properties, whether a container is another API's alone: it is neither listed nor found, nor its versions.
    hidden: Callable[[Json], bool] | None = None
    #: Largest body of a PUT in bytes; None leaves it to the server's settings.
    max_body: int | None = None
    #: What a PUT waits for before its transaction, given what is stored and the body, which it may change.
    before: Callable[[Database, Services, Resource | None, Json], Awaitable[None]] | None = None
    #: What stands before `/read`, `/write` and `/delete` in permissions; None is the type itself.
    rights: str | None = None
    #: The id that clients are told, from the row's; None is the row's own.
    shown_id: Callable[[str], str] | None = None
    #: States after which a PUT's or DELETE's long-running operation is over; None finishes at once.
    settled: tuple[str, ...] | None = None

    @property
    def type(self) -> str:
        return f"{PROVIDER}/{self.collection}" + ("/versions" if self.shape is Shape.VERSIONED else "")

    @property
    def container_type(self) -> str:
        return f"{PROVIDER}/{self.collection}"


class Virtual(Protocol):
    """Resources served without a row of their own."""

    def get(self, reading: Reading, id_: str) -> Json | None:
        """The whole ARM document, or None."""
        ...

    def list(
        self, reading: Reading, parent: str, collection_type: str, archived: bool | None, after: int | None, limit: int
    ) -> list[tuple[Json, int]]:
        """Documents to append to a listing, each with the number that a page ending with it carries on `after`."""
        ...
