"""The container image that is the environment: found, pulled, or built from its context once for each content."""

import os
import re
import time

from .. import engines, image_causes, spawn
from ..failure import RunFailure
from ..run import Run
from .environment import LOG, wait_for

HUB = "docker.io"


def prepare(run: Run) -> None:
    """Raises RunFailure (EnvironmentBuildFailed). Does nothing where the environment is no image."""
    if run.container is None:
        return
    run.status.time("environment")
    asked = run.plan["environment"]["image"]
    began = time.monotonic()
    run.image = find(run, names(asked["name"])) or obtain(run)
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    run.log(f"image {asked['name']} ({run.image}) ready in {took}, run by {run.container['detail']}")
    if any(name.startswith("nvidia") for name in os.listdir("/dev")):
        run.log("approximated: the container does not see this machine's GPUs.")


def names(reference: str) -> list[str]:
    """As given, and as a registry knows it: docker's hub is what is meant where no host is named."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return [reference]
    return [reference, f"{HUB}/{reference}" if slash else f"{HUB}/library/{reference}"]


def find(run: Run, references: list[str]) -> str | None:
    """The id of the image on this machine."""
    assert run.container is not None
    for reference in references:
        command = [*run.container["command"], "image", "inspect", "--format", "{{.Id}}", reference]
        try:
            code, said = engines.ask(command)
        except engines.NoAnswer as error:
            raise RunFailure("EnvironmentBuildFailed", f"{error}.") from error
        found = re.search(r"(?:sha256:)?[0-9a-f]{64}$", said)
        if not code and found:
            return found[0]
    return None


def obtain(run: Run) -> str:
    """Pull or build, one job at a time for each image."""
    plan = run.plan["environment"]
    os.makedirs(run.plan["environments_root"], exist_ok=True)
    with open(os.path.join(run.plan["environments_root"], f"{plan['key']}.lock"), "a") as lock:
        wait_for(run, lock.fileno())
        found = find(run, names(plan["image"]["name"]))
        if found is None:
            (build if plan["image"]["context"] else pull)(run)
            found = find(run, names(plan["image"]["name"]))
    if found is None:
        raise RunFailure("EnvironmentBuildFailed", f"The image {plan['image']['name']} is not there after all.")
    return found


def pull(run: Run) -> None:
    assert run.container is not None
    reference = names(run.plan["environment"]["image"]["name"])[-1]
    run.activity(f"pulling the image {reference}")
    code, said = logged(run, [*run.container["command"], "pull", reference])
    if code:
        message = image_causes.of_pull(reference, run.container["kind"], said)
        raise RunFailure("EnvironmentBuildFailed", f"{message}\nFrom {LOG}:\n{last_lines(said)}")


def build(run: Run) -> None:
    assert run.container is not None
    plan = run.plan["environment"]
    image = plan["image"]
    run.activity(f"building the image of environment {plan['name']}")
    began = time.monotonic()
    dockerfile = os.path.join(image["context"], image["dockerfile"])
    options = ["--network", "host", "--tag", image["name"], "--file", dockerfile]
    code, said = logged(run, [*run.container["command"], "build", *options, image["context"]])
    if code:
        message = image_causes.of_build(plan["name"], run.container["kind"], said)
        raise RunFailure("EnvironmentBuildFailed", f"{message}\nFrom {LOG}:\n{last_lines(said)}")
    run.log(f"image of environment {plan['name']} built in {time.monotonic() - began:.1f} s")


def logged(run: Run, command: list[str]) -> tuple[int, str]:
    """Run with its words in the build log. (exit code, what it said)."""
    log = run.artifact(LOG)
    with open(log, "a", encoding="utf-8") as file:
        file.write(" ".join(command) + "\n")
    begin = os.path.getsize(log)
    code = spawn.run_logged(command, log, dict(os.environ), run.folder, run.tick)
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        return code, file.read()


def last_lines(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if line.strip())[-2000:]
