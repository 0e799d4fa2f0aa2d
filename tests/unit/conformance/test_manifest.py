from pathlib import Path

import pytest
from conformance import __main__ as program
from conformance.manifest import Expectation, ManifestError, Patch, load

CASE = '[[case]]\nname = "a"\nroot = "labs"\npath = "a.ipynb"\nkind = "notebook"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    return path


def test_the_projects_own_manifest_is_sound() -> None:
    cases = load(Path(program.__file__).with_name("manifest.toml"))
    assert {case.root for case in cases} == {"labs", "mlops", "examples"}
    assert all(not Path(case.path).is_absolute() for case in cases)


def test_fields_become_what_they_are(tmp_path: Path) -> None:
    text = (
        CASE
        + 'jobs = [{ status = "Failed", log = ["No module"] }, {}]\npatches = [{ pattern = "X", replacement = "Y" }]\n'
    )
    (case,) = load(written(tmp_path, text))
    assert case.jobs == (Expectation("Failed", ("No module",)), Expectation())
    assert case.patches == (Patch("X", "Y"),)


def test_one_job_that_completes_is_expected_unless_said_otherwise(tmp_path: Path) -> None:
    (case,) = load(written(tmp_path, CASE))
    assert case.jobs == (Expectation("Completed"),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (CASE + "colour = 1", "colour"),
        (CASE.replace('kind = "notebook"', 'kind = "poem"'), "poem"),
        (CASE.replace('root = "labs"', 'root = "attic"'), "attic"),
        (CASE.replace('path = "a.ipynb"\n', ""), "path"),
        (CASE + 'uploads = [{ file = "a" }]', "to"),
        (CASE + CASE, "two cases"),
        ("[[case", "TOML"),
    ],
)
def test_mistakes_are_named(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=named):
        load(written(tmp_path, text))


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="none"):
        load(tmp_path / "none.toml")
