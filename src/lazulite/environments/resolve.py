"""An environment asset resolved to the plan of one virtual environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lazulite.core.paths import open_file
from lazulite.environments import catalogue, conda, containers, dockerfile, images, rules
from lazulite.environments.interpreters import Interpreter, choose
from lazulite.environments.spec import EnvironmentSpec, Packages, Unresolvable
from lazulite.model.run_plan import CopyStep, EnvironmentPlan

FORMAT = 1
"""Raised when the same plan would be built differently: old builds are then left alone."""


def resolve(
    spec: EnvironmentSpec, *, interpreters: Sequence[Interpreter], in_containers: bool = False
) -> EnvironmentPlan:
    """The plan for `spec` with the interpreters there are. Raises Unresolvable naming what to change.

    With `in_containers` what is an image and no more is planned as one.
    """
    if in_containers and (container := containers.plan(spec)) is not None:
        return container
    against = containers.reason_against(spec) if in_containers else None
    packages, copies = gather(spec)
    packages = rules.apply(packages)
    interpreter, note = choose(packages.python, interpreters)
    context = spec.build.folder if spec.build and copies else None
    plan = EnvironmentPlan(
        key="",
        name=spec.label,
        python=packages.python or interpreter.minor,
        interpreter=interpreter.path,
        requirements=packages.requirements,
        constraints=packages.constraints,
        overrides=packages.overrides,
        installs=packages.installs,
        context=context,
        copies=copies,
        variables=packages.variables,
        notes=[*packages.notes, *(each for each in (note, against) if each)],
    )
    return msgspec.structs.replace(plan, key=content_key(plan))


def gather(spec: EnvironmentSpec) -> tuple[Packages, list[CopyStep]]:
    """What the spec's sources ask for together. Raises Unresolvable."""
    if spec.curated is not None:
        found = catalogue.lookup(spec.curated)
        if found is None:
            raise Unresolvable(f"There is no curated environment '{spec.curated}'.")
        return found.packages(), []
    if spec.build is not None:
        image = dockerfile.parse(spec.build)
        packages = of_image(image.base or "")
        packages.add(image.packages)
        return packages, image.copies
    if spec.image is None and spec.conda_file is None:
        raise Unresolvable(f"The environment {spec.label} has neither an image, a conda_file nor a build context.")
    if spec.conda_file is None:
        return of_image(spec.image or ""), []
    packages = images.packages(spec.image) if spec.image else Packages(python=images.DEFAULT)
    # Azure gives a conda_file an environment of its own beside the image's packages.
    packages.requirements = []
    packages.notes = [f"The image {spec.image} is not run as a container: the conda_file's packages stand for it."]
    packages.add(conda.parse(spec.conda_file, unreadable))
    return packages, []


def of_image(image: str) -> Packages:
    curated = catalogue.of_image(image)
    return curated.packages() if curated else images.packages(image)


def unreadable(name: str) -> str:
    raise Unresolvable(
        f"conda_file: its pip section includes '{name}', which an environment asset does not hold: list the packages "
        "in the conda_file, or use a build context."
    )


def content_key(plan: EnvironmentPlan) -> str:
    """The hash of everything that decides what is installed; names, notes and variables do not."""
    deciding: list[Any] = [
        FORMAT,
        plan.interpreter,
        plan.requirements,
        plan.constraints,
        plan.overrides,
        [[install.requirements, install.options] for install in plan.installs],
        plan.exclude_newer,
        [[step.source, step.destination] for step in plan.copies],
    ]
    digest = hashlib.sha256(msgspec.json.encode(deciding))
    for step in plan.copies:
        for path in sorted(files_of(Path(plan.context or "") / step.source)):
            with os.fdopen(open_file(os.path.realpath(path)), "rb") as file:
                digest.update(f"#{path}#{os.fstat(file.fileno()).st_size}".encode())
                digest.update(file.read())
    return digest.hexdigest()[:32]


def files_of(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
