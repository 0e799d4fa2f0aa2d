"""Which container engine is taken: programs of that name that answer as the real ones do."""

from pathlib import Path

import pytest

from lazulite.node import engines

PODMAN = """#!/bin/sh
case "$1 $*" in
  info*) echo 'a warning' >&2; echo '4.3.1|crun|[k8s-file none passthrough]' ;;
  *--ulimit*) case "$*" in *"--runtime runc"*) exit 7 ;; esac; echo 'Error: crun: no' >&2; exit 126 ;;
  *) echo 'Error: crun: rlimits' >&2; exit 126 ;;
esac
"""
DOCKER = "#!/bin/sh\necho '28.0.1|[name=seccomp,profile=builtin]'\n"
BROKEN = "#!/bin/sh\necho 'Cannot connect to the daemon' >&2; exit 1\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, name: str, text: str) -> None:
    (path / name).write_text(text)
    (path / name).chmod(0o755)


def test_nothing_is_installed(path: Path) -> None:
    assert engines.probe() == {"kind": None, "detail": "podman is not installed; docker is not installed"}


def test_podman_is_taken_with_the_options_under_which_it_runs(path: Path) -> None:
    program(path, "podman", PODMAN)
    program(path, "docker", DOCKER)
    program(path, "runc", DOCKER)
    found = engines.probe()
    assert found["kind"] == "podman"
    assert found["command"] == [f"{path}/podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    assert found["run_options"][0] == "--ulimit"
    assert (found["log_driver"], found["detail"]) == ("passthrough", "podman 4.3.1 with runc")


def test_docker_is_taken_where_podman_runs_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "podman", PODMAN)  # its crun fails, and there is no runc
    program(path, "docker", DOCKER)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("os.getgid", lambda: 1001)
    found = engines.probe()
    assert (found["kind"], found["user"], found["detail"]) == ("docker", "1000:1001", "docker 28.0.1")


def test_why_neither_works_is_said(path: Path) -> None:
    program(path, "podman", PODMAN)
    program(path, "docker", BROKEN)
    detail = engines.probe()["detail"]
    assert "podman does not work here: Error: crun: rlimits" in detail
    assert "docker does not work here: Cannot connect to the daemon" in detail
