from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model import parallel_task

SPEC: dict[str, Any] = {
    "inputs": {"data": {"type": "mltable"}, "size": {"type": "integer", "default": "7"}},
    "outputs": {"rows": {"type": "uri_file"}},
    "input_data": "${{inputs.data}}",
    "mini_batch_size": 10240,
    "partition_keys": '["Store", "Brand"]',
    "retry_settings": {"max_retries": 1, "timeout": 30},
    "resources": {"instance_count": 2},
    "max_concurrency_per_instance": 3,
    "task": {
        "type": "run_function",
        "code": "azureml:code:1",
        "entry_script": "score.py",
        "append_row_to": "${{outputs.rows}}",
        "program_arguments": "--a ${{inputs.size}}\n  --b",
    },
}
DATA = {"data": {"jobInputType": "mltable", "uri": "azureml://x", "mode": "Direct"}}


def test_what_a_component_says() -> None:
    found = parallel_task.settings({}, SPEC, DATA)
    assert found == {
        "entry_script": "score.py",
        "input": "data",
        "as_files": False,
        "append_to": "rows",
        "mini_batch_size": 10240,
        "partition_keys": ["Store", "Brand"],
        "instances": 2,
        "workers_per_instance": 3,
        "max_retries": 1,
        "timeout": 30.0,
        "error_threshold": -1,
        "mini_batch_error_threshold": -1,
        "logging_level": "INFO",
    }
    assert parallel_task.command({}, SPEC) == "python ../lazulite_parallel --a ${{inputs.size}} --b"


def test_arguments_on_several_lines_are_one_command_and_quoted_ones_stay_as_they_are() -> None:
    sent = {"task": {"program_arguments": "--a 'b  c'\n  --d e \\\n  --f\n"}}
    assert parallel_task.command(sent, SPEC).endswith("lazulite_parallel --a 'b  c' --d e --f")


def test_what_a_node_says_counts_more() -> None:
    sent = {
        "mini_batch_size": "1MB",
        "retry_settings": {"timeout": "90", "max_retries": None},
        "resources": {"instance_count": 5, "instance_type": None},
        "max_concurrency_per_instance": "4",
        "error_threshold": 0,
        "mini_batch_error_threshold": "2",
        "logging_level": "debug",
        "partition_keys": '"[\\"Store\\"]"',
        "task": {"program_arguments": "--c", "entry_script": "other.py", "append_row_to": None},
    }
    found = parallel_task.settings(sent, SPEC, DATA)
    assert (found["mini_batch_size"], found["timeout"], found["max_retries"]) == (1 << 20, 90.0, 1)
    assert (found["instances"], found["workers_per_instance"], found["logging_level"]) == (5, 4, "DEBUG")
    assert (found["error_threshold"], found["mini_batch_error_threshold"]) == (0, 2)
    assert found["partition_keys"] == ["Store"]
    assert (found["entry_script"], found["append_to"]) == ("other.py", "rows")
    assert parallel_task.command(sent, SPEC).endswith("lazulite_parallel --c")


def test_a_setting_may_be_an_input_of_the_component() -> None:
    sent = {"mini_batch_size": "${{inputs.size}}"}
    literal = {"size": {"jobInputType": "literal", "value": "7"}}
    assert parallel_task.settings(sent, SPEC, DATA | literal)["mini_batch_size"] == 7
    assert parallel_task.settings(sent, SPEC, DATA)["mini_batch_size"] is None


def test_zero_is_azures_word_for_not_given() -> None:
    found = parallel_task.settings({"mini_batch_size": 0, "max_concurrency_per_instance": 0}, SPEC, DATA)
    assert (found["mini_batch_size"], found["workers_per_instance"]) == (None, 1)


@pytest.mark.parametrize(("mode", "expected"), [("EvalMount", True), ("EvalDownload", True), ("ReadOnlyMount", False)])
def test_an_evaluated_table_is_its_files(mode: str, expected: bool) -> None:
    data = {"data": {**DATA["data"], "mode": mode}}
    assert parallel_task.settings({}, SPEC, data)["as_files"] is expected


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mini_batch_size": "ten"}, "mini_batch_size is 'ten' and must be a number of files, or a size"),
        ({"error_threshold": "few"}, "error_threshold is 'few' and must be a number"),
        ({"error_threshold": "inf"}, "error_threshold is 'inf' and must be a number"),
        ({"retry_settings": {"timeout": -2}}, "retry_settings.timeout is -2 and must be at least 0"),
        ({"retry_settings": {"max_retries": -1}}, "retry_settings.max_retries is -1 and must be at least 0"),
        ({"max_concurrency_per_instance": -2}, "max_concurrency_per_instance is -2 and must be at least 1"),
        ({"partition_keys": "Store"}, "partition_keys is 'Store' and must be a list of names"),
        ({"input_data": "${{inputs.gone}}"}, "needs input_data"),
        ({"task": {**SPEC["task"], "append_row_to": "${{outputs.gone}}"}}, "append_row_to .* must name an output"),
        ({"task": {**SPEC["task"], "entry_script": None}}, "needs a task with code and entry_script"),
    ],
)
def test_what_cannot_be_is_refused_naming_the_node(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ApiError, match=why) as refusal:
        parallel_task.check("score", {}, SPEC | change, "properties.jobs.score")
    assert "'score'" in str(refusal.value)
    assert refusal.value.status == 400


def test_another_kind_of_task_is_not_built() -> None:
    with pytest.raises(ApiError, match="The task 'model' of the parallel node 'score'") as refusal:
        parallel_task.check("score", {}, SPEC | {"task": {"type": "model"}}, "t")
    assert refusal.value.status == 501
