"""Checkouts of public assets: what is found in one, and how its templates are filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.cli import asset_checkout
from lazulite.cli.asset_checkout import Asset, TemplateError
from lazulite.cli.errors import CommandError

_ENVIRONMENT = {
    "asset.yaml": "name: e\nversion: auto\ntype: environment\nspec: spec.yaml\nextra_config: environment.yaml\n",
    "environment.yaml": "image:\n  context:\n    dir: context\n    template_files: [Dockerfile, conda.yaml]\n",
    "spec.yaml": 'name: "{{asset.name}}"\nversion: "{{ asset.version }}"\nbuild: {path: "{{image.context.path}}"}\n',
    "context/Dockerfile": "FROM mcr/x:{{latest-image-tag:2024.*}}\nRUN pip install 'a=={{latest-pypi-version}}' b==1\n",
    "context/conda.yaml": "dependencies:\n- pip: [c~={{latest-pypi-version}}]\n",
    "context/other": "{{kept}}",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def only(folder: Path) -> Asset:
    (asset,) = asset_checkout.read(folder)
    return asset


def test_assets_are_found_at_any_depth_in_order(tmp_path: Path) -> None:
    written(tmp_path / "b" / "deep", {"asset.yaml": "type: model\nname: m\nversion: 1.10\n"})
    component = {"asset.yaml": "type: component\nspec: s.yml", "s.yml": "name: c\nversion: 0.1.0\n"}
    written(tmp_path / "a", component)
    first, second = asset_checkout.read(tmp_path)
    assert (first.kind, first.name, first.version, first.spec) == ("component", "c", "0.1.0", tmp_path / "a" / "s.yml")
    assert (second.kind, second.name, second.version) == ("model", "m", "1.10")


def test_templates_of_a_specification(tmp_path: Path) -> None:
    asset = only(written(tmp_path, _ENVIRONMENT))
    assert asset.version is None
    assert asset_checkout.specification(asset, "7") == 'name: "e"\nversion: "7"\nbuild: {path: "context"}\n'


def test_expressions_of_commands_are_not_templates(tmp_path: Path) -> None:
    spec = "name: c\nversion: 1\ncommand: echo ${{inputs.x}} $[[ ${{ inputs.y }} ]]\n"
    asset = only(written(tmp_path, {"asset.yaml": "type: component", "spec.yaml": spec}))
    assert asset_checkout.specification(asset, "1") == spec


def test_what_only_the_publisher_knows_is_refused(tmp_path: Path) -> None:
    spec = "name: c\nversion: 1\nimage: '{{image.digest}}'\n"
    asset = only(written(tmp_path, {"asset.yaml": "type: environment", "spec.yaml": spec}))
    with pytest.raises(TemplateError, match=r"image.digest.*is filled in by the publisher"):
        asset_checkout.specification(asset, "1")


def test_context_is_copied_with_newest_for_what_the_publisher_pins(tmp_path: Path) -> None:
    asset = only(written(tmp_path / "in", _ENVIRONMENT))
    asset_checkout.copy_context(asset, tmp_path / "out")
    assert (tmp_path / "out" / "Dockerfile").read_text() == "FROM mcr/x:latest\nRUN pip install 'a' b==1\n"
    assert (tmp_path / "out" / "conda.yaml").read_text() == "dependencies:\n- pip: [c]\n"
    assert (tmp_path / "out" / "other").read_text() == "{{kept}}"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no asset.yaml"),
        ({"asset.yaml": "type: [", "spec.yaml": ""}, "cannot be read"),
        ({"asset.yaml": "type: component"}, "spec.yaml' cannot be read"),
    ],
)
def test_what_is_no_checkout(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        asset_checkout.read(written(tmp_path, files))
    with pytest.raises(CommandError, match="no folder"):
        asset_checkout.read(tmp_path / "none")
