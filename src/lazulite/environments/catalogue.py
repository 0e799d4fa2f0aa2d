"""Microsoft's curated environments as package lists, from `catalogue.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from lazulite.core.numbers import whole_number
from lazulite.environments.spec import EnvironmentSpec, Packages

_IN_WORKSPACES = "AzureML-"


class CuratedEnvironment(msgspec.Struct, kw_only=True, frozen=True):
    """One curated environment. `versions` holds the numbers that were published as far as known, newest last."""

    name: str
    aliases: tuple[str, ...] = ()
    versions: tuple[str, ...]
    description: str
    image: str
    python: str
    tags: dict[str, str] = {}
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    base: str | None = None
    """The name of the entry whose requirements come before this one's own."""
    listed: bool = True
    """False for what only serves as a base."""

    @property
    def latest(self) -> str:
        return self.versions[-1]

    def named(self, name: str, version: str) -> CuratedEnvironment:
        return msgspec.structs.replace(self, name=name, versions=(version,))

    def spec(self) -> EnvironmentSpec:
        """To be given to `resolve`."""
        return EnvironmentSpec(name=self.name, version=self.latest, image=self.image, curated=self.name)

    def packages(self) -> Packages:
        notes = [f"The curated environment {self.name} is built from its list of packages, not from its image."]
        return Packages(
            python=self.python,
            requirements=list(self.requirements),
            constraints=list(self.constraints),
            overrides=list(self.overrides),
            variables=dict(self.variables),
            notes=notes,
        )


def lookup(name: str, version: str | None = None, registry: str | None = None) -> CuratedEnvironment | None:
    """The environment under its workspace name (`AzureML-sklearn-1.5`) or registry name (`sklearn-1.5`), any case.

    `version` is a number, `latest` or None. Any number up to the newest is answered, from the same package list;
    the result carries the name and version asked for. None when there is no such environment or version, or when
    `registry` is one other than `azureml`.
    """
    if registry is not None and registry.lower() not in ("azureml", "azureml-dev", "azureml-staging"):
        return None
    found = by_name().get(name.lower())
    if found is None:
        return None
    asked = found.latest if version in (None, "", "latest") else str(version)
    if whole_number(asked, 1, int(found.latest)) is None:
        return None
    return found.named(spelled(found, name), asked)


def all() -> list[CuratedEnvironment]:
    """Every curated environment once under each of its workspace names, newest version, by name."""
    named = [entry.named(name, entry.latest) for entry in entries() if entry.listed for name in workspace_names(entry)]
    return sorted(named, key=lambda entry: entry.name.lower())


def registry_names() -> list[str]:
    """Every curated environment's names in the registry `azureml`."""
    named = {name for entry in entries() if entry.listed for name in names(entry)}
    return sorted(name for name in named if not name.startswith(_IN_WORKSPACES))


def of_image(image: str) -> CuratedEnvironment | None:
    """The entry whose image this is, whatever the tag."""
    bare = image.partition("@")[0].rpartition("/")
    stem = f"{bare[0]}/{bare[2].partition(':')[0]}".lower()
    return next((entry for entry in entries() if entry.image.rpartition(":")[0].lower() == stem), None)


@cache
def entries() -> tuple[CuratedEnvironment, ...]:
    text = resources.files("lazulite.environments").joinpath("catalogue.toml").read_text(encoding="utf-8")
    listed = msgspec.convert(tomllib.loads(text)["environment"], tuple[CuratedEnvironment, ...])
    known = {entry.name: entry for entry in listed}
    return tuple(flatten(entry, known) for entry in listed)


def flatten(entry: CuratedEnvironment, known: dict[str, CuratedEnvironment]) -> CuratedEnvironment:
    if entry.base is None:
        return entry
    base = flatten(known[entry.base], known)
    return msgspec.structs.replace(
        entry,
        requirements=base.requirements + entry.requirements,
        constraints=base.constraints + entry.constraints,
        overrides=base.overrides + entry.overrides,
        base=None,
    )


@cache
def by_name() -> dict[str, CuratedEnvironment]:
    return {name.lower(): entry for entry in entries() if entry.listed for name in names(entry)}


def spelled(entry: CuratedEnvironment, name: str) -> str:
    return next(known for known in names(entry) if known.lower() == name.lower())


def names(entry: CuratedEnvironment) -> tuple[str, ...]:
    """Its own and its aliases, and those without the prefix that workspaces give: so they are called in the registry."""
    return (entry.name, *entry.aliases, *(alias.removeprefix(_IN_WORKSPACES) for alias in entry.aliases))


def workspace_names(entry: CuratedEnvironment) -> tuple[str, ...]:
    return tuple(name for name in entry.aliases if name.startswith(_IN_WORKSPACES)) or (entry.name,)
