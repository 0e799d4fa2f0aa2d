"""A machine in small: a home with data, secrets and an environment, what lies beside it, and a user who runs jobs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest

import lazulite.node
from lazulite.model.run_plan import Code, EnvironmentPlan, Input, Isolation, Output, RunPlan

INSIDE = Path(__file__).with_name("inside.py")
NOBODY = 65534
FILES = {
    "database": "home/lazulite.db",
    "key": "home/secrets/user.key",
    "other run": "home/runs/other/secrets.json",
    "data": "home/storage/account/data/f.txt",
    "code": "home/storage/account/code/inside.py",
    "ssh key": "user/.ssh/id_rsa",
    "other home": "elsewhere/secrets/user.key",
    "mounted disk": "disk/private.txt",
}


class World:
    """`who` is `root` or `user`: whoever runs the tests, or root's process that became an ordinary one."""

    def __init__(self, who: str) -> None:
        # Not in /tmp, which is another one to some jobs, and not in root's home, which nobody else may enter.
        places = ("/srv", "/home", "/mnt") if os.geteuid() == 0 else (os.path.expanduser("~"),)
        place = next(path for path in places if os.access(path, os.W_OK))
        self.root = Path(tempfile.mkdtemp(prefix=".lazulite-contract-", dir=place))
        self.root.chmod(0o755)
        self.demoted = who == "user" and os.geteuid() == 0
        self.python = python_of_everybody() if self.demoted else os.path.realpath(sys.executable)
        shutil.copytree(Path(lazulite.node.__file__).parent, self.root / "program" / "node")
        for path in FILES.values():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text("as it was\n")
        shutil.copyfile(INSIDE, self.root / FILES["code"])
        self.build()
        if self.demoted:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.root)], check=True)
        self.before = {name: self.path(name).read_text() for name in FILES} | {"module": self.module.read_text()}
        self.links = self.cached.stat().st_nlink
        self.outsider = subprocess.Popen(["sleep", "600"], env={"CONTRACT": "secret"}, **self.user)
        self.runs = 0

    def log(self) -> str:
        """The system log of the last job."""
        return (self.root / f"home/artifacts/run-{self.runs}/system_logs/agent.log").read_text()

    @property
    def user(self) -> dict[str, Any]:
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.demoted else {}

    def remove(self) -> None:
        self.outsider.kill()
        self.outsider.wait()
        shutil.rmtree(self.root)

    def path(self, name: str) -> Path:
        return self.root / FILES[name]

    @cached_property
    def module(self) -> Path:
        """A file of the environment."""
        (found,) = (self.root / "home/environments/contract").rglob("six.py")
        return found

    @cached_property
    def cached(self) -> Path:
        """The same file in uv's cache."""
        (found,) = (self.root / "cache").rglob("six.py")
        return found

    def build(self) -> None:
        """The environment, with uv's cache, by a first job."""
        status = self.run("true", Isolation(), folder="first", user={})
        assert status["outcome"] == "completed", status

    def level(self, kind: str) -> Isolation:
        """The isolation of that kind as the server would have it; skips where it does not work here."""
        if kind == "process":
            return Isolation(hide=[str(self.root / "home")])
        found = json.loads(self.agent("--probe", str(self.root / "home"), kind))
        if found["kind"] != kind:
            pytest.skip(found["why_not"])
        hide = [str(self.root / "home"), *found["hide"]]
        return Isolation(kind=kind, options=found["options"], hide=hide, show=found["show"])

    def attempts(self, isolation: Isolation) -> dict[str, str]:
        """What came of each attempt of a job at that level."""
        self.runs += 1
        outside = {name: str(self.path(name)) for name in FILES}
        outside |= {"environment": str(self.module), "cache": str(self.cached)}
        told = {
            "given": {"input": "${{inputs.d}}", "file": "${{inputs.f}}", "output": "${{outputs.o}}"},
            "outside": None if isolation.kind == "process" else outside,
            "pid": self.outsider.pid,
        }
        data = self.path("data")
        status = self.run(
            f"python inside.py {shlex.quote(json.dumps(told))}",
            isolation,
            folder=f"run-{self.runs}",
            user=self.user,
            code=Code(path=str(self.path("code").parent)),
            inputs={
                "d": Input(kind="path", path=str(data.parent)),
                "f": Input(kind="path", type="uri_file", path=str(data)),
            },
            outputs={"o": Output(path=str(self.root / f"home/storage/account/out-{self.runs}"))},
        )
        said = (self.root / f"home/artifacts/run-{self.runs}/user_logs/std_log.txt").read_text()
        assert status["outcome"] == "completed", (status, said)
        found: dict[str, str] = json.loads(said.splitlines()[-1])
        return found

    def run(
        self, command: str, isolation: Isolation, *, folder: str, user: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """Run a job to its end; its last status."""
        place = self.root / "home/runs" / folder
        plan = RunPlan(
            job=folder,
            command=command,
            environment=EnvironmentPlan(
                key="contract", name="contract:1", python="3", interpreter=self.python, requirements=["six==1.16.0"]
            ),
            environments_root=str(self.root / "home/environments"),
            artifacts=str(self.root / "home/artifacts" / folder),
            uv=shutil.which("uv") or str(Path(sys.executable).parent / "uv"),
            uv_cache=str(self.root / "cache"),
            isolation=isolation,
            **more,
        )
        place.mkdir(parents=True)
        (place / "plan.json").write_bytes(msgspec.json.encode(plan))
        if user:
            for path in (place, place / "plan.json"):
                os.chown(path, NOBODY, NOBODY)
        self.agent(str(place), user=user)
        deadline = time.monotonic() + 100
        while True:
            status: dict[str, Any] = {}
            if (place / "status.json").exists():
                status = json.loads((place / "status.json").read_text())
            if status.get("phase") == "done":
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.02)

    def agent(self, *arguments: str, user: dict[str, Any] | None = None) -> str:
        program = self.root / "program/node/__main__.py"
        environment = {**os.environ, "HOME": str(self.root / "user")}
        done = subprocess.run(
            [self.python, "-I", "-S", str(program), *arguments],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            **(self.user if user is None else user),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@cache
def python_of_everybody() -> str:
    """An interpreter that an ordinary user may run; skips where only root has one."""
    for path in (os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3"):
        question = [path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if not subprocess.run(question, user=NOBODY, group=NOBODY, extra_groups=[], check=False).returncode:
                return os.path.realpath(path)
        except OSError:
            continue
    pytest.skip("no Python 3.11 or newer that an ordinary user may run")
