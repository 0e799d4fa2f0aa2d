"""The command line of a container, and the file of its variables."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.model.run_plan import ContainerEngine, EnvironmentPlan, ImagePlan, Isolation, Limits, RunPlan
from lazulite.node import container
from lazulite.node.failure import RunFailure
from lazulite.node.ranks import Rank
from lazulite.node.run import Mount, Run
from lazulite.node.status import Status

ENGINE = ContainerEngine(
    kind="podman",
    command=["/usr/bin/podman", "--runtime", "runc"],
    run_options=["--ulimit", "nofile=10:10", "--ulimit", "nproc=20:20"],
    log_driver="passthrough",
)
RANK = Rank(0, {"RANK": "0"}, "user_logs/std_log.txt")


def a_run(folder: Path, *, secrets: dict[str, Any] | None = None, **changes: Any) -> Run:
    environment = EnvironmentPlan(
        key="k", name="e:1", python="", interpreter="", image=ImagePlan(name="docker.io/library/busybox")
    )
    fields: dict[str, Any] = {
        "job": "olive_job",
        "command": "true",
        "environment": environment,
        "environments_root": str(folder / "environments"),
        "artifacts": str(folder / "artifacts"),
        "container": ENGINE,
        "isolation": Isolation(kind="container"),
    }
    plan = msgspec.to_builtins(RunPlan(**{**fields, **changes}))
    given = {"variables": {}, "queries": {}, **(secrets or {})}
    return Run(str(folder), plan, given, Status(str(folder / "status.json")), image="sha256:1")


def arguments(run: Run) -> list[str]:
    assert run.container is not None
    return container.arguments(run, run.container, RANK, "echo $RANK")


def after(argv: list[str], option: str) -> list[str]:
    return [argv[position + 1] for position, word in enumerate(argv) if word == option]


def test_the_command_line(tmp_path: Path) -> None:
    run = a_run(tmp_path, shm_size="1g", secrets={"variables": {"TOKEN": "s3cr3t"}})
    run.mounts += [Mount("/data/in", "/cap/INPUT_a"), Mount("/data/out", "/cap/made", writable=True)]
    argv = arguments(run)
    assert argv[:5] == ["/usr/bin/podman", "--runtime", "runc", "run", "--rm"]
    assert after(argv, "--network") == ["host"]
    assert after(argv, "--user") == ["0:0"]
    assert after(argv, "--workdir") == [str(tmp_path / "exe" / "wd")]
    assert after(argv, "--log-driver") == ["passthrough"]
    assert after(argv, "--shm-size") == ["1g"]
    assert after(argv, "--ulimit") == ["nofile=10:10", "nproc=20:20"]
    volumes = after(argv, "--volume")
    assert f"{tmp_path}/exe:{tmp_path}/exe:rw" in volumes
    assert f"{tmp_path}/tmp:/tmp:rw" in volumes
    assert volumes[-2:] == ["/data/in:/cap/INPUT_a:ro", "/data/out:/cap/made:rw"]
    assert argv[argv.index("sha256:1") :][1:2] == ["-c"]
    assert argv[-3:] == [str(tmp_path / "container"), "0", "echo $RANK"]
    assert "s3cr3t" not in " ".join(argv)


def test_limits_of_the_plan_count(tmp_path: Path) -> None:
    argv = arguments(a_run(tmp_path, limits=Limits(memory_bytes=1000, processes=5, open_files=64)))
    assert after(argv, "--memory") == ["1000"]
    assert after(argv, "--pids-limit") == ["5"]
    assert after(argv, "--ulimit") == ["nofile=64:64", "nproc=20:20"]


def test_certificates_are_shown(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("x")
    run = a_run(
        tmp_path, ca_bundle=str(bundle), isolation=Isolation(kind="container", show=[str(bundle), "/not/there"])
    )
    assert after(arguments(run), "--volume")[-1] == f"{bundle}:{bundle}:ro"


def test_a_path_with_a_colon_is_mounted_in_the_other_way() -> None:
    assert container.option(Mount("/a:b", "/c")) == ["--mount", "type=bind,source=/a:b,target=/c,readonly"]
    assert container.option(Mount("/a,b", "/c", writable=True)) == ["--volume", "/a,b:/c:rw"]
    with pytest.raises(RunFailure, match="rename it"):
        container.option(Mount("/a:b,c", "/c"))


def test_the_name_tells_jobs_of_the_same_name_apart(tmp_path: Path) -> None:
    first, second = (container.name(a_run(tmp_path / each), RANK) for each in ("1", "2"))
    assert first.startswith("lazulite-olive_job-")
    assert first.endswith("-0")
    assert first != second


def test_variables_stand_in_a_file_that_only_its_owner_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/machine")
    monkeypatch.setenv("TZ", "UTC")
    run = a_run(tmp_path, variables={"ODD": "it's $HOME\nnext", "not.a.name": "1", "UID": "5"}, secrets=_TOKEN)
    path = tmp_path / "env-0"
    container.write_variables(run, RANK, str(path))
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "export TOKEN=s3cr3t\n" in text
    assert "export ODD='it'\"'\"'s $HOME\nnext'\n" in text
    assert "export RANK=0\n" in text
    assert "export TZ=UTC\n" in text
    assert "export PATH=" not in text  # the image's own counts
    assert all(each not in text for each in ("LD_LIBRARY_PATH", "not.a.name", "UID="))
    assert "'not.a.name' is left out" in (tmp_path / "artifacts/system_logs/agent.log").read_text()


def test_the_exit_code_is_what_the_first_process_noted(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert run.container is not None
    launcher = container.Containers(run, run.container)
    assert launcher.exit_code(RANK, 0) == 137  # it ended without a word: it was killed
    assert launcher.exit_code(RANK, 125) == 125
    (tmp_path / "container" / "ended-0").write_text("3\n")
    assert launcher.exit_code(RANK, 0) == 3


_TOKEN = {"variables": {"TOKEN": "s3cr3t"}}
