"""Environments that a container engine can run as they are: an image alone, or a build context."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from lazulite.core.paths import open_file
from lazulite.environments.spec import EnvironmentSpec
from lazulite.model.run_plan import EnvironmentPlan, ImagePlan

STAYS_A_PROCESS = (
    "The runtime is 'container', but {what} holds packages beside its image: the job runs as a process in a virtual "
    "environment made of them."
)


def plan(spec: EnvironmentSpec) -> EnvironmentPlan | None:
    """The plan of a container; None where the environment is more than an image."""
    if reason_against(spec) is not None:
        return None
    if spec.build is not None and spec.build.folder is not None:
        digest = context_hash(Path(spec.build.folder), spec.build.path)
        image = ImagePlan(name=f"lazulite-build:{digest}", context=spec.build.folder, dockerfile=spec.build.path)
    elif spec.image:
        image = ImagePlan(name=spec.image)
    else:
        return None
    key = hashlib.sha256(image.name.encode()).hexdigest()[:32]
    return EnvironmentPlan(key=f"image-{key}", name=spec.label, python="", interpreter="", image=image)


def reason_against(spec: EnvironmentSpec) -> str | None:
    """Why this environment runs as a process all the same, for the job's system log."""
    if spec.curated is not None:
        return STAYS_A_PROCESS.format(what="a curated environment")
    if spec.conda_file is not None:
        return STAYS_A_PROCESS.format(what="an environment with a conda_file")
    return None


def context_hash(folder: Path, dockerfile: str) -> str:
    """Of everything in a build context, links as links: what decides the image, as far as the context does."""
    digest = hashlib.sha256(f"{dockerfile}\n".encode())
    for path in sorted(entries(folder)):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            digest.update(f"#{name}>{os.readlink(path)}".encode())
            continue
        if not path.is_file():
            continue
        with os.fdopen(open_file(path), "rb") as file:
            found = os.fstat(file.fileno())
            digest.update(f"#{name}#{found.st_size}#{bool(found.st_mode & 0o100)}".encode())
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()[:32]


def entries(folder: Path) -> Iterator[Path]:
    """Files and links, none of them followed."""
    for root, folders, names in os.walk(folder):
        linked = (name for name in folders if os.path.islink(os.path.join(root, name)))
        yield from (Path(root, name) for name in (*names, *linked))
