"""Choices, loops and control outputs through the unmodified SDK, in the DSL and in YAML."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import BARE, ended, log, steps
from tests.clients.test_stepping_in import lazulite
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients

TWICE = {"type": "do_while", "body": "${{parent.jobs.single}}", "mapping": {}, "limits": {"max_iteration_count": 2}}


@pytest.fixture(scope="module")
def submitted(ml_client: MLClient) -> dict[str, str]:
    """The names of the jobs of all pipelines, which run at the same time."""
    ml_client.environments.create_or_update(BARE)
    # The cache, which comes with these features, would name components of another test run's server.
    wanted = {"AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED": "true", "AZURE_ML_DISABLE_ON_DISK_CACHE": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.clients.control_flow_pipelines"],
        env={**os.environ, **wanted},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def execution(server: RunningServer, job: Any) -> str:
    return log(server, job, "logs/azureml/executionlogs.txt")


def properties_of(server: RunningServer, name: str) -> dict[str, Any]:
    status, answer = send(server, Bad("", "GET", f"{WORKSPACE_ID}/jobs/{name}"))
    assert status == 200, answer
    found: dict[str, Any] = answer["properties"]
    return found


def resubmit(server: RunningServer, name: str, new: str, **changes: Any) -> tuple[int, dict[str, Any]]:
    sent = {k: v for k, v in properties_of(server, name).items() if k not in ("status", "services", "properties")}
    for output in sent["outputs"].values():
        output.pop("uri", None)  # where the first one wrote
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = sent
        for parent in parents:
            place = place[parent]
        place[last] = value
    return send(server, Bad("", "PUT", f"{WORKSPACE_ID}/jobs/{new}", {"properties": sent}))


def test_a_choice_runs_one_of_its_blocks(server: RunningServer, ml_client: MLClient, submitted: dict[str, str]) -> None:
    done = ended(ml_client, submitted["choosing"])
    assert done.status == "Completed", execution(server, done)
    assert set(steps(ml_client, done.name)) == {"first", "low", "after", "onward"}
    assert "Step 'high' is skipped: the condition of 'conditionnode' is true" in execution(server, done)
    assert done.properties["lazulite.skipped"] == "high"
    assert resubmit(server, done.name, "other", inputs__n={"jobInputType": "literal", "value": "7"})[0] == 201
    other = ended(ml_client, "other")
    assert set(steps(ml_client, "other")) == {"first", "high", "after", "onward"}, execution(server, other)
    assert other.jobs["conditionnode"].type == "if_else"


def test_a_loop_until_a_control_output_is_false(
    server: RunningServer, ml_client: MLClient, submitted: dict[str, str]
) -> None:
    done = ended(ml_client, submitted["looping"])
    assert done.status == "Completed", execution(server, done)
    found = steps(ml_client, done.name)
    assert sorted(found) == ["inner[0]", "inner[1]", "single[0]", "single[1]"]
    # 2 -> 3, again; 3 -> 4, enough; then 4 -> 5 and 5 -> 6
    assert properties_of(server, found["single[1]"].name)["inputs"]["n"]["value"] == "5"
    assert done.jobs["dowhile"].limits.max_iteration_count == 10


def test_a_loop_over_items_gathers_its_outputs(
    server: RunningServer, ml_client: MLClient, submitted: dict[str, str], tmp_path: Path
) -> None:
    done = ended(ml_client, submitted["spreading"])
    assert done.status == "Completed", execution(server, done)
    found = steps(ml_client, done.name)
    assert sorted(found) == ["collected", "each[0]", "each[1]", "word[0]", "word[1]"]
    said = log(server, found["collected"])
    assert "- folder: ./1" in said
    assert "one\nseen.txt\nthree\nseen.txt\n[3, 5]" in said
    ml_client.jobs.download(done.name, output_name="folder", download_path=str(tmp_path))
    assert {path.parent.name for path in tmp_path.rglob("a.txt")} == {"0", "1"}
    assert resubmit(server, done.name, "spread-again")[0] == 201
    assert ended(ml_client, "spread-again").status == "Completed"
    again = steps(ml_client, "spread-again")
    assert {name for name, child in again.items() if "azureml.isreused" in child.properties} == set(found)


def test_a_choice_in_a_loop_over_items(server: RunningServer, ml_client: MLClient, submitted: dict[str, str]) -> None:
    done = ended(ml_client, submitted["nested"])
    assert done.status == "Completed", execution(server, done)
    found = steps(ml_client, done.name)
    assert sorted(found) == ["inner[0]", "inner[1]", "tell"]
    assert set(steps(ml_client, found["inner[0]"].name)) == {"one", "small"}
    assert set(steps(ml_client, found["inner[1]"].name)) == {"one"}
    assert log(server, found["tell"]).strip() == "[2, 6]"


def test_yaml_with_items_from_a_file(server: RunningServer, ml_client: MLClient, submitted: dict[str, str]) -> None:
    done = ended(ml_client, submitted["from_yaml"])
    assert done.status == "Completed", execution(server, done)
    found = steps(ml_client, done.name)
    assert sorted(found) == ["each[0]", "each[1]", "each[2]", "write"]
    assert log(server, found["each[2]"]).strip() == "z"


def test_rerun_of_a_loop(server: RunningServer, ml_client: MLClient, submitted: dict[str, str]) -> None:
    first = ended(ml_client, submitted["looping"])
    path = f"{WORKSPACE_ID}/jobs/{first.name}/rerun"
    status, answer = send(server, Bad("", "POST", path, {"from": "dowhile_1"}))
    assert status == 201, answer
    again = ended(ml_client, answer["name"])
    assert again.status == "Completed", execution(server, again)
    fresh = {n for n, c in steps(ml_client, again.name).items() if "azureml.isreused" not in c.properties}
    assert fresh >= {"single[0]", "single[1]"}
    status, answer = send(server, Bad("", "POST", path, {"from": "inner[1]"}))
    assert status == 201, answer
    again = ended(ml_client, answer["name"])
    assert again.status == "Completed", execution(server, again)
    fresh = {n for n, c in steps(ml_client, again.name).items() if "azureml.isreused" not in c.properties}
    assert fresh == {"inner[1]", "single[0]", "single[1]"}


def test_stepping_into_an_iteration(server: RunningServer, submitted: dict[str, str]) -> None:
    node = ("job", "debug", submitted["looping"], "--node", "inner[1]/once")
    done = lazulite(server, *node, "--", "echo stepped into $AZUREML_RUN_ID")
    assert (done.returncode, "stepped into" in done.stdout) == (0, True), done.stderr


def test_server_killed_in_a_loop(server: RunningServer, ml_client: MLClient, submitted: dict[str, str]) -> None:
    start = {"jobInputType": "literal", "value": "-2"}
    assert resubmit(server, submitted["looping"], "killed", inputs__start=start)[0] == 201
    deadline = time.monotonic() + 60
    while "inner[1]" not in steps(ml_client, "killed"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.kill()
    server.start(same_ports=True)
    done = ended(ml_client, "killed")
    assert done.status == "Completed", execution(server, done)
    listed = sorted(child.display_name for child in ml_client.jobs.list(parent_job_name="killed"))
    assert listed == [*(f"inner[{n}]" for n in range(6)), "single[0]", "single[1]"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("choosing", {"jobs__conditionnode__condition": "${{parent.jobs.first.outputs.next}}"}, "type integer"),
        ("choosing", {"jobs__conditionnode__condition": "${{parent.jobs.first.outputs.agian}}"}, "mean 'again'"),
        ("choosing", {"jobs__conditionnode__condition": "x > 1"}, "one reference such as"),
        ("choosing", {"jobs__conditionnode__true_block": "${{parent.jobs.lo}}"}, "Did you mean 'low'"),
        ("choosing", {"jobs__conditionnode__true_block": "${{parent.jobs.high}}"}, "in both of its blocks"),
        ("choosing", {"jobs__conditionnode__true_block": "${{parent.jobs.first}}"}, "wait for each other"),
        ("looping", {"jobs__dowhile__limits": {}}, "max_iteration_count of the loop 'dowhile' is None"),
        ("looping", {"jobs__dowhile__limits": {"max_iteration_count": 1001}}, "must be from 1 to 1000"),
        ("looping", {"jobs__dowhile__condition": "next"}, "type integer and must be boolean"),
        ("looping", {"jobs__dowhile__mapping": {"nxt": ["n"]}}, "no output 'nxt'"),
        ("looping", {"jobs__dowhile__mapping": {"next": ["m"]}}, "no input 'm'"),
        ("looping", {"jobs__dowhile": TWICE}, "both have the body 'single'"),
        ("spreading", {"jobs__every__items": None}, "needs items"),
        ("spreading", {"jobs__every__items": "[]"}, "has no items"),
        ("spreading", {"jobs__every__items": '[{"txt": "x"}]'}, "Did you mean 'text'"),
        ("spreading", {"jobs__every__items": '[{"text": "x"}, {}]'}, "the same inputs in each item"),
        ("spreading", {"jobs__every__max_concurrency": 0}, "max_concurrency of the loop"),
        ("spreading", {"inputs__words": {"jobInputType": "literal", "value": "[{"}}, "is no JSON"),
        ("nested", {"jobs__numbers__items": '[{"n": "many"}]'}, "item 0 of the loop 'numbers' is 'many'"),
    ],
)
def test_refusals_name_the_node(
    server: RunningServer, submitted: dict[str, str], name: str, changes: dict[str, Any], message: str
) -> None:
    status, answer = resubmit(server, submitted[name], f"{name}-bad", **changes)
    assert status == 400, answer
    assert message in answer["error"]["message"]
