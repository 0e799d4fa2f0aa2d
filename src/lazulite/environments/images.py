"""Which Python a container image holds, from its name: there is no container here, only an interpreter. Pure."""

from __future__ import annotations

import re

from lazulite.environments.spec import Packages, Unresolvable

DEFAULT = "3.10"
RULES = (
    (r"(?:^|/)python(?::(?P<python>3\.\d+)[\w.-]*)$", None),
    (r"(?:^|/)python(?::[\w.-]*)?$", "latest"),
    (r"-py(?P<major>3)(?P<minor>\d{1,2})(?:\b|-|_)", None),
    (r"ubuntu18\.04", "3.8"),
    (r"ubuntu20\.04", "3.9"),
    (r"ubuntu22\.04", "3.10"),
    (r"ubuntu24\.04", "3.12"),
    (r"(?:^|/)pytorch/pytorch", "3.11"),
    (r"(?:^|/)tensorflow/tensorflow", "3.11"),
    (r"(?:^|/)(?:continuumio|condaforge)/", "3.12"),
)
CONTENTS = (
    (r"(?:^|/)pytorch/pytorch(?::|$)", ["torch", "torchvision", "numpy"]),
    (r"(?:^|/)tensorflow/tensorflow(?::|$)", ["tensorflow-cpu", "numpy"]),
)


#: Images that are there for another language: by the name before the tag.
OTHERS = {
    "R": r"(?:^|/)(?:r-base|r-ver|rocker/[\w.-]+|rstudio/[\w.-]+)$",
    "Julia": r"(?:^|/)julia$",
    "Java": r"(?:^|/)(?:openjdk|eclipse-temurin|amazoncorretto|maven|gradle)$",
    "JavaScript": r"(?:^|/)node$",
    "another language": r"(?:^|/)(?:golang|rust|ruby|php|perl|mono|swift|haskell|octave|dotnet/(?:sdk|runtime|aspnet))$",
}


def packages(image: str) -> Packages:
    """The Python and the packages that matter of a public image; a base image has no packages.

    Raises Unresolvable for an image of another language.
    """
    bare = image.partition("@")[0].lower()
    for language, pattern in OTHERS.items():
        if re.search(pattern, re.sub(r":[\w.-]+$", "", bare)):
            raise Unresolvable(
                f"The image {image} is there for {language}, and here an image is its Python and packages. Let the image "
                'itself run: runtime = "container" in settings.toml.'
            )
    found = Packages(python=DEFAULT)
    for pattern, version in RULES:
        if match := re.search(pattern, bare):
            found.python = version or python_in(match)
            break
    else:
        found.notes.append(f"The image {image} is not known here: it stands for a bare Python {DEFAULT}.")
    for pattern, requirements in CONTENTS:
        if re.search(pattern, bare):
            found.requirements += requirements
    which = "the newest Python of this machine" if found.python == "latest" else f"Python {found.python}"
    found.notes.append(
        f"The image {image} is not run as a container: {which} and pip stand for it, without its system packages."
    )
    found.python = None if found.python == "latest" else found.python
    return found


def python_in(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return groups.get("python") or f"{groups['major']}.{groups['minor']}"
