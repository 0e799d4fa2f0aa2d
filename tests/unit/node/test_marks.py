"""Finding a run's processes: real processes, marked and not."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lazulite.node import descendants, marks, spawn

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@contextmanager
def sleeper(*, folder: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    variables = {"PATH": os.environ["PATH"]} | ({marks.MARK: str(folder)} if folder else {})
    process = subprocess.Popen(["sleep", "60"], env=variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_process_of_the_run_is_found_and_ended_and_no_other(tmp_path: Path) -> None:
    with sleeper(folder=tmp_path / "1") as ours, sleeper(folder=tmp_path / "11") as other, sleeper(folder=None) as none:
        assert marks.of(str(tmp_path / "1")) == [ours.pid]
        assert (other.pid, str(tmp_path / "11")) in set(marks.everywhere())
        assert marks.end(str(tmp_path / "1"))
        assert ours.wait(10) < 0
        assert other.poll() is None
        assert none.poll() is None


def test_who_is_spared_goes_on(tmp_path: Path) -> None:
    with sleeper(folder=tmp_path) as spared, sleeper(folder=tmp_path) as ended:
        assert marks.end(str(tmp_path), spare=[spared.pid])
        assert ended.wait(10) < 0
        assert spared.poll() is None


def test_a_number_that_became_a_strangers_is_let_be(tmp_path: Path) -> None:
    with sleeper(folder=None) as stranger:
        marks.kill(stranger.pid, str(tmp_path))
        assert stranger.poll() is None
    marks.kill(stranger.pid, str(tmp_path))


def test_what_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "kill", lambda *_: None)
    with sleeper(folder=tmp_path):
        assert not marks.end(str(tmp_path), seconds=0.0)


def test_what_an_agent_starts_is_marked_and_what_it_leaves_to_itself_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(marks.MARK, str(tmp_path))
    log = tmp_path / "log"
    assert spawn.run_logged(["/usr/bin/env"], str(log), {"A": "b"}, "/", lambda: None) == 0
    assert set(log.read_text().split()) == {"A=b", f"{marks.MARK}={tmp_path}"}
    code = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(os.environ.get({marks.MARK!r}, 'none'))"
    spawn.detached([sys.executable, "-c", code])
    deadline = time.monotonic() + 10
    while not (tmp_path / "seen").exists() or not (tmp_path / "seen").read_text():
        assert time.monotonic() < deadline
    assert (tmp_path / "seen").read_text() == "none"


#: Its first thread ends and another goes on.
HEADLESS = (
    "import ctypes, threading, time\n"
    "threading.Thread(target=lambda: time.sleep(60)).start()\n"
    "print('up', flush=True)\n"
    "ctypes.CDLL(None).pthread_exit(None)\n"
)


@pytest.mark.parametrize("ends", ["as the run's", "as a child"])
def test_a_process_whose_first_thread_has_ended_is_found_and_ended(tmp_path: Path, ends: str) -> None:
    variables = {"PATH": os.environ["PATH"], marks.MARK: str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", HEADLESS], env=variables, stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 10
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < until
        if ends == "as the run's":
            assert marks.of(str(tmp_path)) == [process.pid]
            assert marks.end(str(tmp_path))
        else:
            assert process.pid in descendants.of(os.getpid())
            descendants.signal_all([process.pid], signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()


def test_where_a_process_cannot_be_held_it_is_ended_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_pid: int) -> int:
        raise PermissionError(errno.EPERM, "forbidden")

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    with sleeper(folder=tmp_path) as ours, sleeper(folder=None) as stranger:
        marks.kill(stranger.pid, str(tmp_path))
        assert marks.end(str(tmp_path))
        assert ours.wait(10) < 0
        assert stranger.poll() is None
