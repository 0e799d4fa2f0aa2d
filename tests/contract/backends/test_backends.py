"""Every backend of the project passes the shipped contract."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lazulite.backends.base import Backend, BackendError, Handle
from lazulite.backends.fake import FakeBackend, FakeRun
from lazulite.backends.local import LocalBackend
from lazulite.backends.local.folder import RunFolder
from lazulite.model.run_plan import ControlGroup, ControlGroups, RunOutcome, RunPhase, RunPlan, RunSecrets
from lazulite.node import cgroups, marks
from lazulite.testing.backend_contract import BackendContract, a_run, end, running, until


class TestFake(BackendContract):
    starts_processes = False

    @pytest.fixture
    async def backend(self) -> FakeBackend:
        return FakeBackend(played)

    def restarted(self, backend: Backend) -> Backend:
        return backend


def played(run: FakeRun) -> None:
    """Does what its command says, one phase at each look."""
    if run.phase is RunPhase.PREPARING:
        run.phase = RunPhase.RUNNING
        run.times["running"] = run.times["preparing"]
    elif run.plan.command.startswith("exit "):
        backend = FakeBackend()
        backend.runs[run.key.job_key, run.key.attempt] = run
        backend.finish(run.key.job, exit_code=int(run.plan.command.split()[1]))


class TestLocal(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[LocalBackend]:
        made = LocalBackend(tmp_path / "runs")
        yield made
        await made.close()

    def restarted(self, backend: Backend) -> Backend:
        assert isinstance(backend, LocalBackend)
        return LocalBackend(backend.root)

    def lose(self, backend: Backend, handle: Handle) -> None:
        """The agent and its keeper."""
        assert isinstance(backend, LocalBackend)
        found = RunFolder(backend.root / handle["folder"]).status()
        assert found is not None
        for pid in (parent(found.pid), found.pid):
            os.kill(pid, signal.SIGKILL)

    async def test_a_run_whose_folder_was_deleted_is_ended(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan("sleep 300 & setsid sleep 300"), RunSecrets())
        await until(backend, handle, running)
        folder = backend.root / handle["folder"]
        assert marks.of(str(folder))
        shutil.rmtree(folder)
        seen = await backend.inspect(handle)
        assert (seen.phase, seen.alive) == (None, False)
        assert marks.of(str(folder)) == []

    async def test_a_server_ends_at_its_start_what_runs_of_deleted_folders(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handles = [await backend.start(a_run(job), plan("sleep 300"), RunSecrets()) for job in ("kept", "deleted")]
        for handle in handles:
            await until(backend, handle, running)
        kept, deleted = (str(backend.root / handle["folder"]) for handle in handles)
        shutil.rmtree(deleted)
        await LocalBackend(backend.root).retain([a_run("kept")])
        assert marks.of(deleted) == []
        assert marks.of(kept)
        await end(backend, handles[0])

    async def test_what_is_left_in_the_groups_of_a_deleted_folder_is_ended(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also what has thrown its mark away; the plan that names the groups is gone with the folder."""
        ended: list[str] = []
        monkeypatch.setattr(cgroups.Group, "end", lambda group: ended.append(group.name))
        groups = backend.root.parent / "groups"
        handle = await backend.start(a_run(), plan("true"), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        folder = backend.root / handle["folder"]
        names = [cgroups.name(str(folder), 0), cgroups.name(f"{folder}1", 0)]
        for name in names:
            (groups / name).mkdir(parents=True)
        shutil.rmtree(folder)
        place = ControlGroup(version=2, folder=str(groups))
        await LocalBackend(backend.root, ControlGroups(pids=place)).inspect(handle)
        assert ended == names[:1]

    async def test_a_fifo_in_place_of_a_status_holds_up_no_start(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan("true"), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        status = backend.root / handle["folder"] / "status.json"
        status.unlink()
        os.mkfifo(status)
        await LocalBackend(backend.root).retain([])
        assert not status.parent.exists()

    async def test_a_status_that_the_job_spoilt_holds_nothing_up(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan("sleep 300"), RunSecrets())
        await until(backend, handle, running)
        status = backend.root / handle["folder"] / "status.json"
        status.write_text("nonsense")
        assert (await backend.inspect(handle)).alive
        await end(backend, handle)
        assert (await backend.inspect(handle)).outcome is RunOutcome.CANCELED

    async def test_the_command_is_executed_once_however_often_it_is_started(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan], tmp_path: Path
    ) -> None:
        mark = tmp_path / "mark"
        for _ in range(3):
            handle = await backend.start(a_run(), plan(f"echo x >> {mark}; sleep 0.3"), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        await backend.start(a_run(), plan(f"echo x >> {mark}"), RunSecrets())
        assert mark.read_text() == "x\n"

    async def test_a_run_that_was_laid_down_and_not_started_is_started(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan("sleep 0.1"), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        folder = backend.root / handle["folder"]
        for name in ("started", "status.json"):
            (folder / name).unlink()
        seen = await backend.inspect(handle)
        assert (seen.phase, seen.alive) == (None, False)
        await backend.start(a_run(), plan("sleep 0.1"), RunSecrets())
        ended = await until(backend, handle, lambda seen: seen.outcome is not None)
        assert ended.outcome is RunOutcome.COMPLETED

    async def test_secrets_are_readable_by_their_owner_alone(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        handle = await backend.start(a_run(), plan("sleep 300"), RunSecrets(variables={"TOKEN": "t0p"}))
        folder = backend.root / handle["folder"]
        assert b"t0p" not in (folder / "plan.json").read_bytes()
        found = folder / "secrets.json"
        assert not found.exists() or found.stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o077 == 0
        await backend.stop(handle, 0.5)
        await until(backend, handle, lambda seen: seen.outcome is not None)

    async def test_a_folder_of_a_job_that_took_away_its_own_rights_is_removed(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan]
    ) -> None:
        command = "mkdir -p a/b && touch a/b/c && chmod 0500 a/b a && true"
        handle = await backend.start(a_run(), plan(command), RunSecrets())
        await until(backend, handle, lambda seen: seen.outcome is not None)
        await backend.forget(handle)
        assert not (backend.root / handle["folder"]).exists()

    async def test_a_run_that_cannot_be_cleared_away_holds_up_no_start(
        self, backend: LocalBackend, plan: Callable[[str], RunPlan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handles = [await backend.start(a_run(job), plan("true"), RunSecrets()) for job in ("a", "b", "c")]
        folders = [backend.root / handle["folder"] for handle in handles]
        for handle in handles:
            await until(backend, handle, lambda seen: seen.outcome is not None)
        removed = RunFolder.remove

        def remove(folder: RunFolder) -> None:
            if folder.path == folders[1]:
                raise BackendError("processes of the run do not end")
            removed(folder)

        monkeypatch.setattr(RunFolder, "remove", remove)
        await LocalBackend(backend.root).retain([])
        assert [folder.exists() for folder in folders] == [False, True, False]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
