"""One asset of a checkout into a registry, by the Azure ML SDK. Imports azure-ai-ml."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient, load_component, load_data, load_environment
from azure.ai.ml.entities import BuildContext, Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential

from lazulite.cli import asset_checkout
from lazulite.cli.asset_checkout import Asset, TemplateError
from lazulite.core.numbers import whole_number

_ENVIRONMENT = re.compile(
    r"azureml://registries/(?P<registry>[^/\s]+)/environments/(?P<name>[^/\s]+)/(?:versions|labels)/(?P<version>[^/\s'\"]+)"
    r"|azureml:(?P<short>[\w.-]+)[:@](?P<short_version>[\w.-]+)"
)
#: A component of the same registry, as publishers name it.
_STEP = re.compile(
    r"^(?P<lead>\s*component:\s*)azureml:(?P<name>[\w.-]+)(?P<mark>[:@])(?P<version>[\w.-]+)\s*$", re.MULTILINE
)
_NAMED = re.compile(r"^(?P<lead>\s*environment:\s*)(?P<reference>azureml\S+)", re.MULTILINE)
_FIRST = "1"


@dataclass(frozen=True, slots=True)
class Result:
    """`how` it went, in a word or two; `said` is why it failed, or what is not as in the checkout."""

    how: str
    version: str = ""
    said: str = ""
    failed: bool = False


class Loading:
    """Loads assets of one checkout into one registry; environments that components name come with them."""

    def __init__(self, registry: str, assets: list[Asset]) -> None:
        logging.disable(logging.CRITICAL)  # the SDK's loggers write to the terminal by handlers of their own
        warnings.filterwarnings("ignore")
        self._registry = registry
        self._client = MLClient(DefaultAzureCredential(), registry_name=registry, show_progress=False)
        self._environments = {one.name: one for one in assets if one.kind == "environment"}
        self._components = [one for one in assets if one.kind == "component"]
        self._notes: list[str] = []

    def load(self, asset: Asset) -> Result:
        self._notes = []
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                how, version = getattr(self, f"_load_{asset.kind}")(asset)
        except HttpResponseError as error:
            return Result("failed", said=(error.error and error.error.message) or _line(error), failed=True)
        except Exception as error:
            return Result("failed", said=_line(error), failed=True)
        return Result(how, version, "; ".join(dict.fromkeys(self._notes)))

    def _load_component(self, asset: Asset) -> tuple[str, str]:
        version = asset.version or _FIRST
        text = _NAMED.sub(
            lambda found: found["lead"] + self._environment_of(found["reference"]),
            asset_checkout.specification(asset, version),
        )
        text = _STEP.sub(self._step, text)
        component = load_component(source=io.StringIO(text), relative_origin=str(asset.spec))
        component.version = version
        return "loaded", str(self._client.components.create_or_update(component).version)

    def _step(self, found: re.Match[str]) -> str:
        name, version = found["name"], found["version"]
        kind = "versions" if found["mark"] == ":" else "labels"
        if kind == "versions" and (there := self._in_place_of(name, version)):
            self._notes.append(f"with version {there} of its component '{name}' in place of {version}")
            version = there
        return f"{found['lead']}azureml://registries/{self._registry}/components/{name}/{kind}/{version}"

    def _in_place_of(self, name: str, version: str) -> str | None:
        """The version made last of a component: a checkout has one version of each, and its pipelines may name others."""
        components = self._client.components
        if any((one.name, one.version) == (name, version) for one in self._components) or _exists(
            components, name, version
        ):
            return None
        return _latest(components, name)

    def _load_data(self, asset: Asset) -> tuple[str, str]:
        version = asset.version or _FIRST
        text = asset_checkout.specification(asset, version)
        data = load_data(source=io.StringIO(text), relative_origin=str(asset.spec))
        return "loaded", str(self._client.data.create_or_update(data).version)

    def _load_environment(self, asset: Asset) -> tuple[str, str]:
        if there := _latest(self._client.environments, asset.name):
            return "there already", there
        asked = {version for one in self._components for version in self._asked(one, asset.name)}
        version = asset.version or max(asked, key=int, default=_FIRST)
        self._make(asset, version)
        return "loaded", version

    def _asked(self, component: Asset, name: str) -> Iterator[str]:
        """The version numbers of an environment that a component names."""
        for reference in _NAMED.finditer(component.spec.read_text(encoding="utf-8")):
            found = _ENVIRONMENT.fullmatch(reference["reference"])
            version = (found["version"] or found["short_version"]) if found else ""
            if found and (found["name"] or found["short"]) == name and whole_number(version) is not None:
                yield version

    def _environment_of(self, reference: str) -> str:
        """The reference to put in its place: to what there is, or was just loaded. Raises LookupError."""
        found = _ENVIRONMENT.fullmatch(reference)
        if found is None:
            return reference
        name, version = found["name"] or found["short"], found["version"] or found["short_version"]
        registry = found["registry"] or self._registry
        if registry == self._registry:
            if _exists(self._client.environments, name, version):
                return f"azureml://registries/{registry}/environments/{name}/versions/{version}"
            if there := _latest(self._client.environments, name):
                if version != "latest":
                    self._notes.append(f"with version {there} of its environment '{name}' in place of {version}")
                return f"azureml://registries/{registry}/environments/{name}/versions/{there}"
        elif name not in self._environments:
            return reference
        asset = self._environments.get(name)
        if asset is None:
            raise LookupError(
                f"its environment '{name}' (version {version}) is neither in the registry nor in the folder"
            )
        made = version if whole_number(version) is not None else asset.version or _FIRST
        self._make(asset, made)
        self._notes.append(f"with its environment '{name}' {made}")
        return f"azureml://registries/{self._registry}/environments/{name}/versions/{made}"

    def _make(self, asset: Asset, version: str) -> None:
        if asset.context is None:
            text = asset_checkout.specification(asset, version)
            self._client.environments.create_or_update(
                load_environment(source=io.StringIO(text), relative_origin=str(asset.spec))
            )
            return
        with tempfile.TemporaryDirectory() as folder:
            asset_checkout.copy_context(asset, Path(folder))
            build = BuildContext(path=folder, dockerfile_path=asset.dockerfile)
            self._client.environments.create_or_update(Environment(name=asset.name, version=version, build=build))


def _exists(assets: Any, name: str, version: str) -> bool:
    try:
        assets.get(name, version)
    except ResourceNotFoundError:
        return False
    return True


def _latest(assets: Any, name: str) -> str | None:
    """The version made last of an asset of the registry, the catalogue's environments among them."""
    try:
        found = [str(one.version) for one in assets.list(name)]
    except ResourceNotFoundError:
        return None
    return found[0] if found else None


def _line(error: Exception) -> str:
    if isinstance(error, TemplateError | LookupError):
        return str(error.args[0])
    text = " ".join(str(error).split())
    return text[:300] + ("..." if len(text) > 300 else "") or type(error).__name__
