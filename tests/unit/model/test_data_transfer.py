from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model import data_transfer

FOLDER = {"type": "uri_folder"}


def spec(inputs: Any, output: str, **more: Any) -> dict[str, Any]:
    return {
        "inputs": {name: {"type": kind} for name, kind in inputs.items()},
        "outputs": {"o": {"type": output}},
    } | more


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ({"a": "uri_file"}, "uri_file"),
        ({"a": "mltable"}, "mltable"),
        ({"a": "mlflow_model"}, "mlflow_model"),
        ({"a": "uri_file", "b": "mltable"}, "uri_folder"),
    ],
)
def test_what_can_be_copied(inputs: Any, output: str) -> None:
    data_transfer.check("n", {}, spec(inputs, output), "t")


@pytest.mark.parametrize(
    ("sent", "of", "message"),
    [
        ({"data_copy_mode": "merge"}, spec({"a": "uri_file"}, "uri_file"), "must be one of merge_with_overwrite, fail"),
        ({}, spec({"a": "uri_file"}, "uri_folder"), "is uri_folder and must be uri_file, as its input is"),
        ({}, spec({"a": "mltable", "b": "mltable"}, "mltable"), "must be uri_folder, as several inputs"),
        ({}, spec({}, "uri_folder"), "needs one output and at least one input to copy, and has 1 and 0"),
        ({}, {"inputs": {"a": FOLDER}, "outputs": {"o": FOLDER, "p": FOLDER}}, "and has 2 and 1"),
        ({}, spec({"a": "uri_folder", "b": "string"}, "uri_folder"), "'b' of the data_transfer node 'n' is string"),
    ],
)
def test_what_cannot_is_named(sent: Any, of: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        data_transfer.check("n", sent, of, "t")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("sent", "of", "overwrite"),
    [
        ({}, {}, True),
        ({}, {"data_copy_mode": "fail_if_conflict"}, False),
        ({"dataCopyMode": "merge_with_overwrite"}, {"data_copy_mode": "fail_if_conflict"}, True),
    ],
)
def test_the_node_comes_before_its_component(sent: Any, of: Any, overwrite: bool) -> None:
    assert data_transfer.settings(sent, of) == {"overwrite": overwrite, "resumed": False}


def test_other_tasks_are_not_built() -> None:
    data_transfer.check_task("n", {}, {"task": "copy_data"})
    for sent, of in (({"task": "import_data"}, {}), ({}, {"task": "export_data"})):
        with pytest.raises(
            ApiError, match=r"_data' of the data_transfer node 'n' of a pipeline is not built"
        ) as refused:
            data_transfer.check_task("n", sent, of)
        assert refused.value.status == 501
