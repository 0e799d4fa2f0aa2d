"""The list of cases: what to run, what it needs beforehand, and what its jobs must come to."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

KINDS = ("notebook", "job", "script")
ROOTS = ("labs", "mlops", "examples")


class ManifestError(Exception):
    """The manifest cannot be used; the message names the case and the field."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Every match of the regular expression `pattern` in a cell or file becomes `replacement`.

    The replacement may hold {subscription}, {group} and {workspace}, and {account} and {key}: name and key of the
    workspace's storage account.
    """

    pattern: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one job must come to: its status, and what must be found of it.

    `log` are regular expressions its user log must match, `outputs` names of outputs that must hold a file, `metrics`
    names of metrics that MLflow must know of it, `children` how many jobs it must have run, all of which completed.
    """

    status: str = "Completed"
    log: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    children: int | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """A data asset that must exist; `path` lies in the checkout."""

    name: str
    path: str
    type: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of the checkout that must lie in the default datastore."""

    file: str
    to: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """A public address that a file of the checkout stands for, by the setting `url_mirror`: the case needs no network."""

    url: str
    file: str


@dataclass(frozen=True, slots=True)
class Case:
    """One lab notebook, job or script; all paths are relative to the checkout `root` names."""

    name: str
    root: str
    path: str
    kind: str
    #: A file beside the manifest that is laid at `path`, where the checkout has none.
    own: str = ""
    #: Folders of the checkout it reads besides its own.
    also: tuple[str, ...] = ()
    #: What its notebook's kernel needs besides the SDK, MLflow and pandas.
    packages: tuple[str, ...] = ()
    #: Folders of a checkout of Azure/azureml-assets that are loaded into the registry `azureml` beforehand.
    public_assets: tuple[str, ...] = ()
    computes: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    assets: tuple[Asset, ...] = ()
    uploads: tuple[Upload, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    patches: tuple[Patch, ...] = ()
    #: Cells with a match are left out; the table says so.
    skip_cells: tuple[str, ...] = ()
    #: One for each job it submits, in that order.
    jobs: tuple[Expectation, ...] = field(default=(Expectation(),))
    timeout_minutes: float = 20


def load(path: Path) -> list[Case]:
    """The cases of a TOML manifest, in its order. Raises ManifestError."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path} is not TOML: {error}") from None
    cases = [_case(entry) for entry in document.get("case", [])]
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"two cases are called '{name}'")
    return cases


def _case(entry: dict[str, Any]) -> Case:
    where = f"case '{entry.get('name', entry.get('path', '?'))}'"
    values: dict[str, Any] = {}
    for key, value in entry.items():
        kind = _LISTS.get(key)
        if kind is not None:
            values[key] = tuple(_build(kind, item, f"{where}, {key}") for item in value)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    case: Case = _build(Case, values, where)
    if case.kind not in KINDS:
        raise ManifestError(f"{where}: kind is '{case.kind}' and must be one of {', '.join(KINDS)}")
    if case.root not in ROOTS:
        raise ManifestError(f"{where}: root is '{case.root}' and must be one of {', '.join(ROOTS)}")
    return case


def _build(kind: type, values: dict[str, Any], where: str) -> Any:
    known = {one.name for one in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ManifestError(f"{where}: there is no field '{unknown[0]}'; there is {', '.join(sorted(known))}")
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        raise ManifestError(f"{where}: {error}") from None


_LISTS: dict[str, type] = {
    "assets": Asset,
    "uploads": Upload,
    "mirrors": Mirror,
    "patches": Patch,
    "jobs": Expectation,
}
