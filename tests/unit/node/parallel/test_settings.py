from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from lazulite.node import parallel
from lazulite.node.parallel import results, settings
from lazulite.node.parallel.settings import InputError, Settings


def load(folder: Path, arguments: list[str], **given: object) -> Settings:
    path = folder / "settings.json"
    path.write_text(json.dumps({"entry_script": "s.py", "data": "in", **given}))
    return settings.load(arguments, str(path))


def test_azures_settings_among_the_arguments(tmp_path: Path) -> None:
    arguments = [
        "--model",
        "m",
        "--error_threshold",
        "5",
        "--allowed_failed_percent=30",
        "--task_overhead_timeout",
        "1200",
    ]
    found = load(tmp_path, arguments, error_threshold=-1)
    assert (found.error_threshold, found.allowed_failed_percent, found.task_overhead_timeout) == (5, 30.0, 1200.0)
    assert found.arguments == arguments


def test_a_setting_of_the_job_counts_more_than_an_argument(tmp_path: Path) -> None:
    assert load(tmp_path, ["--error_threshold", "5"], error_threshold=2).error_threshold == 2


def test_an_argument_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--error_threshold is 'many'"):
        load(tmp_path, ["--error_threshold", "many"])


def test_the_package_is_python_3_7() -> None:
    sources = list(Path(parallel.__file__).parent.glob("*.py"))
    assert len(sources) > 8
    for source in sources:
        ast.parse(source.read_text(), feature_version=(3, 7))


def test_results_of_lists_and_tables() -> None:
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    assert (results.count(frame), results.lines(frame)) == (2, b"1 a\n2 b\n")
    assert (results.count(["a", 1]), results.lines(["a", 1])) == (2, b"a\n1\n")
    assert (results.count(np.array([1, 2])), results.lines(np.array([1, 2]))) == (2, b"1\n2\n")
    assert results.lines(frame.x) == b"1\n2\n"


def test_results_come_back_as_they_are() -> None:
    import pandas as pd

    text = "one\x0cline\u2028only"
    assert results.lines(pd.DataFrame({"x": [text]})).decode() == f"{text}\n"
    assert results.lines([os.fsdecode(b"no-\xff-text")]) == b"no-\xff-text\n"


@pytest.mark.parametrize("result", [None, "text", {"a": 1}, 3, b"x"])
def test_what_is_no_list_of_results(result: object) -> None:
    with pytest.raises(TypeError, match="run\\(\\) returned"):
        results.count(result)


def test_appended_lines_wait_for_those_before_them(tmp_path: Path) -> None:
    target = tmp_path / "rows.txt"
    appended = results.Appended(str(target))
    appended.add(2, b"c\n")
    appended.add(0, b"a\nb\n")
    appended.add(1, b"")
    appended.add(5, b"z\n")
    appended.close()
    assert target.read_text() == "a\nb\nc\nz\n"
