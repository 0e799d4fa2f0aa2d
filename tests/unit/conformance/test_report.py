from conformance.report import Result, exit_code, table

PASSED = Result("lab 02", 12.34, 1, notes=["mirrored iris.csv"])
FAILED = Result("lab 03", 1.0, 0, "CellFailed: cell 22\nno such route")


def test_the_table_ends_with_the_count() -> None:
    assert table([PASSED, FAILED]).splitlines()[-1] == "1 passed, 1 failed"


def test_rows_hold_verdict_time_jobs_and_notes() -> None:
    row = table([PASSED]).splitlines()[1]
    assert row.split() == ["lab", "02", "passed", "12.3", "s", "1", "mirrored", "iris.csv"]


def test_reasons_follow_the_table() -> None:
    text = table([PASSED, FAILED])
    assert "lab 03:\n    CellFailed: cell 22\n    no such route" in text


def test_only_cases_that_ran_and_passed_are_success() -> None:
    assert exit_code([PASSED]) == 0
    assert exit_code([PASSED, FAILED]) == 1
    assert exit_code([]) == 1
