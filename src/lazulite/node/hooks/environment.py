"""The shared environment from the content-addressed store, and the job's own thin layer over it."""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Iterator

from .. import build, descendants, files, isolation, layer
from ..copying import Copying
from ..failure import RunFailure
from ..run import Mount, Run
from ..status import now

LOG = "azureml-logs/20_image_build_log.txt"


def prepare(run: Run) -> None:
    """Raises RunFailure (EnvironmentBuildFailed). Does nothing where the environment is an image."""
    if run.container is not None:
        return
    run.status.time("environment")
    plan = run.plan["environment"]
    root = run.plan["environments_root"]
    shared = os.path.join(root, plan["key"])
    began = time.monotonic()
    if not ready(shared):
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, f"{plan['key']}.lock"), "a") as lock:
            wait_for(run, lock.fileno())
            if ready(shared):
                shutil.copyfile(os.path.join(shared, "build.log"), run.artifact(LOG))
                shutil.copyfile(os.path.join(shared, "build_whole.log"), build.whole_log(run.artifact(LOG)))
            else:
                build_into(run, shared)
    touch(os.path.join(shared, "last_used"))
    run.shared_environment = shared
    if os.path.isdir(os.path.join(shared, "files")) and not isolation.has_own_root(run):
        run.log(
            "approximated: what the Dockerfile copies is at the image's paths where bubblewrap works, and not here."
        )
    layer.create(seen_by_job(run, shared), plan["interpreter"], run.layer)
    run.log(f"environment {plan['name']} attached in {(time.monotonic() - began) * 1000:.0f} ms")


def seen_by_job(run: Run, shared: str) -> str:
    """The folder of the environment as the job has it: the shared one where it cannot be written to, else a copy."""
    if not isolation.needs_copies(run):
        run.mounts.append(Mount(shared, shared))
        return shared
    own = run.path("environment")
    name = run.plan["environment"]["name"]
    Copying(run, f"environment {name}", isolation.WHY_COPIED).copy(
        os.path.realpath(os.path.join(shared, "venv")), os.path.join(own, "venv")
    )
    return own


def ready(shared: str) -> bool:
    return os.path.exists(os.path.join(shared, "ready.json"))


def wait_for(run: Run, lock: int) -> None:
    """Take the build lock; another job may be building this very environment."""
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                told = True
                run.activity("another job is building this environment: waiting for it")
            run.tick()
            time.sleep(0.1)


def build_into(run: Run, shared: str) -> None:
    """Build beside the place and rename into it once complete. Raises RunFailure."""
    plan = run.plan["environment"]
    run.activity(f"building the environment {plan['name']}")
    aside = shared + ".building"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(shared, ignore_errors=True)
    began = time.monotonic()
    log = run.artifact(LOG)
    try:
        confine = functools.partial(isolation.confined_build, run)
        with nothing_left():
            compiled = build.build(
                plan, aside, log, uv=run.plan["uv"], cache=run.plan["uv_cache"], tick=run.tick, confine=confine
            )
        shutil.copyfile(log, os.path.join(aside, "build.log"))
        shutil.copyfile(build.whole_log(log), os.path.join(aside, "build_whole.log"))
        seconds = round(time.monotonic() - began, 2)
        facts = {"name": plan["name"], "built": now(), "seconds": seconds, "bytes": files.size(aside)}
        files.replace(os.path.join(aside, "ready.json"), json.dumps(facts).encode())
        os.rename(aside, shared)
    except RunFailure:
        run.log(f"the environment {plan['name']} could not be built, see {LOG}")
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    run.log(f"environment {plan['name']} built in {seconds} s, {facts['bytes'] // 1_000_000} MB")
    if not compiled:
        asked_for = [each for requirements, _ in build.installations(plan) for each in requirements]
        build.compile_later(shared, plan["interpreter"], asked_for)


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """End all that was begun in the block: what stayed could write to the environment that others share."""
    descendants.become_subreaper()
    try:
        yield
    finally:
        descendants.end_all()
        descendants.prctl(descendants.PR_SET_CHILD_SUBREAPER, 0)


def touch(path: str) -> None:
    """Set a file's time: what has not been used for long may be collected."""
    with open(path, "ab"):
        os.utime(path)
