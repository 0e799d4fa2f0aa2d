"""What conda's solver knows and pip's does not: constraints that keep old package lists working. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lazulite.environments.spec import Packages

ALWAYS = ["pip", "setuptools<81", "wheel"]
"""pkg_resources, which setuptools 81 dropped, is imported by much that runs on Azure ML."""

NEEDS_NUMPY_1 = {"scikit-learn": "1.5", "pandas": "2.2", "scipy": "1.13", "matplotlib": "3.9", "pyarrow": "16"}
"""Older than this, a package was compiled for NumPy 1."""


SKLEARN_EXTENSION = "scikit-learn-intelex"


def apply(packages: Packages) -> Packages:
    """The packages with what every environment has, and with the guards that they call for."""
    later = [each for install in packages.installs for each in install.requirements]
    asked = dict(parsed([*packages.requirements, *later]))
    constraints = list(packages.constraints)
    constraints += ["setuptools<81"]
    if not pins(asked, "mlflow") and not pins(asked, "mlflow-skinny"):
        constraints += ["mlflow<3", "mlflow-skinny<3"]
    if "numpy" not in asked and any(older(asked.get(name), limit) for name, limit in NEEDS_NUMPY_1.items()):
        constraints.append("numpy<2")
    if SKLEARN_EXTENSION in asked and older(asked.get("scikit-learn"), "1.0"):
        constraints.append(f"{SKLEARN_EXTENSION}<2023")  # later ones import what scikit-learn 1.0 brought
    always = [each for each in ALWAYS if Requirement(each).name not in asked]
    return msgspec.structs.replace(
        packages, constraints=unique(constraints), requirements=unique([*packages.requirements, *always])
    )


def parsed(requirements: Iterable[str]) -> Iterable[tuple[str, Requirement]]:
    """(canonical name, requirement) of each that has a name."""
    for text in requirements:
        try:
            requirement = Requirement(text.partition(" --hash")[0])
        except InvalidRequirement:
            continue
        yield canonicalize_name(requirement.name), requirement


def pins(asked: dict[str, Requirement], name: str) -> bool:
    return name in asked and (bool(asked[name].specifier) or asked[name].url is not None)


def older(requirement: Requirement | None, limit: str) -> bool:
    """Whether the requirement only admits versions below `limit`."""
    if requirement is None:
        return False
    for each in requirement.specifier:
        try:
            version = Version(each.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        bound = Version(limit)
        if (each.operator in ("==", "===", "~=", "<=") and version < bound) or (
            each.operator == "<" and version <= bound
        ):
            return True
    return False


def unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
