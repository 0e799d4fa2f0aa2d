"""Where the files of runs and models lie, as the rooms that serve them see it. Implemented over the storage room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lazulite.core.errors import Refusal
from lazulite.core.principal import Principal

#: The datastore that holds what runs wrote, one folder a run.
ARTIFACT_DATASTORE = "workspaceartifactstore"
#: Azure's names for where a run's files lie: `<origin>/<container>/<path>`.
RUN_ORIGIN = "ExperimentRun"
RUN_CONTAINER = "dcid."


@dataclass(frozen=True, slots=True)
class Entry:
    """A file (`size` in bytes) or a folder (`size` None). `name` is the full name, without a slash at its end."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Content:
    size: int
    chunks: AsyncIterator[bytes]


class NoSuchArtifact(Refusal, LookupError):
    """There is no file of that name; the argument is the name."""

    status, code = 404, "ResourceNotFound"

    @property
    def message(self) -> str:
        return f"There is no file '{str(self)[:200]}'."


class ArtifactStore(Protocol):
    """Files of a workspace by datastore and name (`ExperimentRun/dcid.train/outputs/model.pkl`).

    Names come from clients: an implementation refuses those that leave the container (ValueError).
    """

    async def list(
        self, workspace_id: str, prefix: str, *, datastore: str = ARTIFACT_DATASTORE, recursive: bool = False
    ) -> list[Entry]:
        """What lies directly under the folder `prefix` ("": the container), or with `recursive` every file below."""

    async def read(
        self,
        workspace_id: str,
        name: str,
        *,
        datastore: str = ARTIFACT_DATASTORE,
        offset: int = 0,
        length: int | None = None,
    ) -> Content:
        """The bytes from `offset` on; `size` is that of the whole file. Raises NoSuchArtifact."""

    async def size(self, workspace_id: str, name: str, *, datastore: str = ARTIFACT_DATASTORE) -> int | None:
        """Of a file, in bytes; None where there is none of that name."""

    async def write(self, workspace_id: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Create or replace a file in the artifact datastore; it is durable when this returns."""

    async def delete(self, workspace_id: str, name: str) -> None:
        """Remove a file of the artifact datastore. Raises NoSuchArtifact."""

    async def commit(self, workspace_id: str, name: str, blocks: Sequence[str]) -> None:
        """Make a file of the blocks that were put to its `sas_url`, in that order. Raises NoSuchArtifact for a block."""

    async def sas_url(self, workspace_id: str, name: str, permissions: str, caller: Principal) -> str:
        """A URL of the blob gateway that grants `permissions` (of `rwcd`) on that one file for a while.

        It ends with the caller: with a person's key, or with the job whose token asks.
        """


def run_folder(run_id: str) -> str:
    """The folder of a run's files in the artifact datastore."""
    return f"{RUN_ORIGIN}/{RUN_CONTAINER}{run_id}"
