import json
from pathlib import Path

import pytest
from conformance.manifest import Case, Patch
from conformance.sandbox import MissingFile, config, copy, patched


def a_case(**given: object) -> Case:
    values = {"name": "a", "root": "examples", "path": "cli/jobs/job.yml", "kind": "job"} | given
    return Case(**values)  # type: ignore[arg-type]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("cli/jobs/job.yml", "cli/jobs/src/a.py", "cli/model/MLmodel", "cli/other/b"):
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "checkout"


def test_a_case_gets_its_folder_and_those_it_names_in_the_same_layout(checkout: Path, tmp_path: Path) -> None:
    file = copy(a_case(also=("cli/model",)), checkout, tmp_path / "scratch")
    assert file.read_text() == "cli/jobs/job.yml"
    assert (file.parent / "src" / "a.py").exists()
    assert (file.parent / "../model/MLmodel").resolve().exists()
    assert not (tmp_path / "scratch/cli/other").exists()


def test_what_the_checkout_lacks_is_named(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="nothing"):
        copy(a_case(also=("cli/nothing",)), checkout, tmp_path / "scratch")


def test_patches_are_filled_and_taken_literally() -> None:
    patches = (Patch("NAME-\\d", "{account}"), Patch("KEY", "{key}"))
    assert patched("NAME-1 KEY NAME-2", patches, {"account": "acct", "key": "a\\1b=="}) == "acct a\\1b== acct"


def test_config_is_what_the_sdk_reads(tmp_path: Path) -> None:
    config(tmp_path, "s", "g", "w")
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "subscription_id": "s",
        "resource_group": "g",
        "workspace_name": "w",
    }
