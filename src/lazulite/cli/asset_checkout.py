"""A checkout of the public asset repository's form: folders with an `asset.yaml` that names a kind and a `spec.yaml`.

Specifications and build contexts hold templates that the publisher fills in; here they become what a server can build.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazulite.cli.errors import CommandError

_TEMPLATE = re.compile(r"\{\{\s*(?P<name>[\w.-]+)(?::[^}]*)?\s*\}\}")
#: A requirement pinned to whatever is newest when it is published: here, when it is built.
_NEWEST = re.compile(r"[=~<>!]=\s*\{\{\s*latest-pypi-version[^}]*\}\}")
_BLANKS = re.compile(r"\$?\{\{\s*latest-image-tag[^}]*\}\}")
_AUTO = "auto"


class TemplateError(Exception):
    """A template that only the publisher could fill in."""


@dataclass(frozen=True, slots=True)
class Asset:
    """`version` is None where the publisher counts; `image` is the section of that name in an environment's extra file."""

    kind: str
    name: str
    version: str | None
    spec: Path
    image: dict[str, Any]

    @property
    def context(self) -> Path | None:
        """The folder of an environment's build context."""
        found = self.image.get("context")
        return self.spec.parent / str(found.get("dir", ".")) if isinstance(found, dict) else None

    @property
    def dockerfile(self) -> str:
        return str((self.image.get("context") or {}).get("dockerfile") or "Dockerfile")


def read(folder: Path) -> list[Asset]:
    """The assets below a folder, in order of path. Raises CommandError where there is none or one cannot be read."""
    if not folder.is_dir():
        raise CommandError(f"there is no folder '{folder}'")
    found = [_asset(path) for path in sorted(folder.rglob("asset.yaml"))]
    if not found:
        raise CommandError(
            f"there is no asset.yaml in '{folder}' or below it",
            "give a folder of a checkout of Azure/azureml-assets, such as azureml-assets/assets/responsibleai",
        )
    return found


def specification(asset: Asset, version: str) -> str:
    """The text of an asset's specification, its templates filled in. Raises TemplateError."""
    known = {
        "asset.name": asset.name,
        "asset.version": version,
        "image.name": str(asset.image.get("name", "")),
        "image.context.path": str((asset.image.get("context") or {}).get("dir", ".")),
        "image.dockerfile.path": asset.dockerfile,
    }
    return _filled(asset.spec.read_text(encoding="utf-8"), known)


def copy_context(asset: Asset, to: Path) -> None:
    """Copy an environment's build context, its templates filled in. Raises TemplateError."""
    assert asset.context is not None
    shutil.copytree(asset.context, to, dirs_exist_ok=True)
    for name in asset.image["context"].get("template_files") or [asset.dockerfile]:
        file = to / str(name)
        file.write_text(_filled(file.read_text(encoding="utf-8"), {}), encoding="utf-8")


def _filled(text: str, known: dict[str, str]) -> str:
    text = _BLANKS.sub("latest", _NEWEST.sub("", text))

    def value(match: re.Match[str]) -> str:
        # `${{inputs.x}}` is an expression of a command, not a template.
        if match.start() and text[match.start() - 1] == "$":
            return match[0]
        if match["name"] not in known:
            raise TemplateError(f"the template '{match[0]}' is filled in by the publisher alone")
        return known[match["name"]]

    return _TEMPLATE.sub(value, text)


def _asset(path: Path) -> Asset:
    document = _yaml(path)
    spec = path.parent / str(document.get("spec") or "spec.yaml")
    extra = path.parent / str(document["extra_config"]) if document.get("extra_config") else None
    kind, name, version = (document.get(key) for key in ("type", "name", "version"))
    if not name or version is None:
        inner = _yaml(spec)
        name, version = name or inner.get("name"), version if version is not None else inner.get("version")
    automatic = version is None or str(version) == _AUTO or "{{" in str(version)
    image = (_yaml(extra).get("image") or {}) if extra is not None and extra.is_file() else {}
    return Asset(str(kind), str(name or path.parent.name), None if automatic else str(version), spec, image)


def _yaml(path: Path) -> dict[str, Any]:
    import yaml  # slow, and no other command needs it

    try:
        # The base loader takes every value as text: a version 1.10 stays 1.10.
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        raise CommandError(f"'{path}' cannot be read: {error}") from None
    return document if isinstance(document, dict) else {}
