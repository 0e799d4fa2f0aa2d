from pathlib import Path

import pytest
from conformance import clients, mlflow_tests
from conformance.mlflow_tests import CannotRun, Manifest, Outcome

FILE = "tests/tracking/test_a.py"
MANIFEST = Manifest((FILE,), (), {}, {"*/test_a.py::test_known": "It is known.", "*::test_some[x-1]": "Only that one."})


def test_the_projects_own_manifests_are_sound() -> None:
    manifest = mlflow_tests.load(Path(mlflow_tests.__file__).with_name("mlflow.toml"))
    assert all(reason.endswith(".") for reason in (*manifest.left_out.values(), *manifest.differing.values()))
    assert all((client.packages, client.python) for client in clients.load())


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (f"{FILE}::test_known", "It is known."),
        (f"{FILE}::test_known[sqlalchemy]", "It is known."),
        (f"{FILE}::test_some[x-1]", "Only that one."),
        (f"{FILE}::test_some[x-2]", ""),
        (f"{FILE}::test_known_too", ""),
    ],
)
def test_a_pattern_names_a_test_with_or_without_its_parameters(test: str, reason: str) -> None:
    assert MANIFEST.reason(test) == reason


def test_what_fails_and_is_not_known_fails_the_run() -> None:
    outcomes = [
        Outcome(f"{FILE}::test_known", "failed", "no"),
        Outcome(f"{FILE}::test_new", "failed", "AssertionError"),
    ]
    text, code = mlflow_tests.report(outcomes, MANIFEST, "3.10.1")
    assert code == 1
    assert f"FAILED {FILE}::test_new" in text
    assert "1 differ: It is known." in text


def test_a_known_difference_that_is_gone_is_told() -> None:
    text, code = mlflow_tests.report([Outcome(f"{FILE}::test_known", "passed")], MANIFEST, "3.10.1")
    assert code == 0
    assert f"No longer differs: {FILE}::test_known" in text


def test_a_test_that_fails_after_it_passed_has_failed(tmp_path: Path) -> None:
    file = tmp_path / "report.jsonl"
    file.write_text(
        '{"test": "t", "outcome": "failed", "reason": "teardown"}\n{"test": "t", "outcome": "passed", "reason": ""}\n'
    )
    assert mlflow_tests.read(file) == [Outcome("t", "failed", "teardown")]


def test_a_checkout_of_no_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "version.py").write_text('VERSION = "3.11.1.dev0"\n')
    with pytest.raises(CannotRun, match="not of a release"):
        mlflow_tests._release(tmp_path)


def test_complaints_are_found_in_what_a_client_prints() -> None:
    said = "INFO fine\nWARNING mlflow.sklearn: MLflow autologging encountered a warning\nall good"
    assert clients.complaints(said) == ["WARNING mlflow.sklearn: MLflow autologging encountered a warning"]
