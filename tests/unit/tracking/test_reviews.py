"""Issues, label schemas and review queues over MLflow's REST API."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api
from .test_evaluation_datasets import refused, v3
from .test_trace_metrics import a_trace

INVALID, GONE, TAKEN = (
    (400, "INVALID_PARAMETER_VALUE"),
    (404, "RESOURCE_DOES_NOT_EXIST"),
    (400, "RESOURCE_ALREADY_EXISTS"),
)


async def an_issue(api: Api, name: str = "slow", **more: Any) -> Any:
    sent = {"experiment_id": "0", "name": name, "description": "d", **more}
    return (await v3(api, "POST", "issues", **sent))["issue"]


async def a_schema(api: Api, name: str = "correct", **more: Any) -> Any:
    thumbs = {"pass_fail": {"positive_label": "Yes", "negative_label": "No"}}
    sent = {"experiment_id": "0", "name": name, "type": "FEEDBACK", "input": thumbs, **more}
    return (await v3(api, "POST", "label-schemas/create", **sent))["label_schema"]


async def a_queue(api: Api, name: str = "Weekly", **more: Any) -> Any:
    sent = {"experiment_id": "0", "name": name, "queue_type": "CUSTOM", **more}
    return (await v3(api, "POST", "review-queues/create", **sent))["review_queue"]


async def test_an_issue_is_kept_and_changed(api: Api) -> None:
    made = await an_issue(api, root_causes=["r"], categories=["c"], created_by="ada", source_run_id="run")
    assert made["issue_id"].startswith("iss-")
    found = (await v3(api, "GET", f"issues/{made['issue_id']}"))["issue"]
    assert found == made
    assert (found["status"], found["root_causes"], found["categories"]) == ("pending", ["r"], ["c"])
    changed = (await v3(api, "PATCH", f"issues/{made['issue_id']}", status="resolved", severity="high"))["issue"]
    assert (changed["status"], changed["severity"], changed["name"]) == ("resolved", "high", "slow")
    assert await refused(api, "GET", "issues/iss-no") == GONE
    assert await refused(api, "PATCH", f"issues/{made['issue_id']}", status="asleep") == INVALID
    other = Api(api.http, workspace=api.workspace.replace("/ws", "/other"))
    assert await refused(other, "GET", f"issues/{made['issue_id']}") == GONE


async def test_issues_are_searched_the_worst_first(api: Api) -> None:
    for name, severity in (("a", "low"), ("b", None), ("c", "high"), ("d", "low")):
        await an_issue(api, name, severity=severity, status="resolved" if name == "d" else "pending")

    async def names(**sent: Any) -> list[str]:
        return [one["name"] for one in (await v3(api, "POST", "issues/search", **sent))["issues"]]

    assert await names(experiment_id="0") == ["c", "d", "a", "b"]
    assert await names(filter_string="status = 'pending'") == ["c", "a", "b"]
    assert await names(filter_string="status != 'pending' AND source_run_id = 'x'") == []
    first = await v3(api, "POST", "issues/search", max_results=3)
    assert await names(max_results=3, page_token=first["next_page_token"]) == ["b"]
    assert await refused(api, "POST", "issues/search", filter_string="name = 'a'") == INVALID
    assert await refused(api, "POST", "issues/search", filter_string="status LIKE 'p%'") == INVALID


async def test_issues_count_their_traces(api: Api) -> None:
    rare, common = await an_issue(api, "rare"), await an_issue(api, "common")
    await an_issue(api, "newest")
    for n, issue in ((0, rare), (0, common), (1, common), (1, common)):
        await a_trace(api, n, 1)
        sent = {"assessment_name": issue["issue_id"], "issue": {"issue_name": issue["name"]}}
        await v3(api, "POST", f"traces/tr-{n}/assessments", assessment=sent)
    found = (await v3(api, "POST", "issues/search", include_trace_count=True))["issues"]
    assert [(one["name"], one["trace_count"]) for one in found] == [("common", 2), ("rare", 1), ("newest", 0)]
    assert "trace_count" not in (await v3(api, "POST", "issues/search"))["issues"][0]


async def test_a_label_schema_is_kept_and_changed(api: Api) -> None:
    made = await a_schema(api, instruction="Is it?", enable_comment=True)
    for path, query in (
        ("get", {"schema_id": made["schema_id"]}),
        ("get-by-name", {"experiment_id": "0", "name": "correct"}),
    ):
        assert (await v3(api, "GET", f"label-schemas/{path}", **query))["label_schema"] == made
    new = {"pass_fail": {"positive_label": "Good", "negative_label": "Bad"}}
    changed = await v3(api, "PATCH", "label-schemas/update", schema_id=made["schema_id"], name="right", input=new)
    assert (changed["label_schema"]["name"], changed["label_schema"]["input"]) == ("right", new)
    assert changed["label_schema"]["instruction"] == "Is it?"
    text = {"text": {"max_length": 5}}
    assert await refused(api, "PATCH", "label-schemas/update", schema_id=made["schema_id"], input=text) == INVALID
    await a_schema(api, "other")
    sent = {"schema_id": made["schema_id"], "name": "other"}
    assert await refused(api, "PATCH", "label-schemas/update", **sent) == TAKEN
    for _ in range(2):
        await v3(api, "DELETE", "label-schemas/delete", schema_id=made["schema_id"])
    assert await refused(api, "GET", "label-schemas/get", schema_id=made["schema_id"]) == GONE


async def test_an_experiment_has_a_question_of_its_own(api: Api) -> None:
    await a_schema(api)
    for _ in range(2):
        found = (await v3(api, "GET", "label-schemas/list", experiment_id="0"))["label_schemas"]
        assert sorted((one["name"], one["is_default"]) for one in found) == [("Feedback", True), ("correct", False)]
    own = next(one["schema_id"] for one in found if one["is_default"])
    assert await refused(api, "DELETE", "label-schemas/delete", schema_id=own) == INVALID
    assert await refused(api, "PATCH", "label-schemas/update", schema_id=own, name="x") == INVALID


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "feedback "},
        {"name": "x" * 251},
        {"type": "WISH"},
        {"instruction": "x" * 1001},
        {"input": None},
        {"input": {}},
        {"input": {"text": {}, "numeric": {}}},
        {"input": {"text": {"max_length": 0}}},
        {"input": {"numeric": {"min_value": 2, "max_value": 2}}},
        {"input": {"categorical": {"options": []}}},
        {"input": {"categorical": {"options": ["a", "a"]}}},
        {"input": {"categorical": {"options": [str(n) for n in range(11)]}}},
        {"input": {"pass_fail": {"positive_label": "a", "negative_label": "a"}}},
        {"input": {"pass_fail": {"positive_label": "a"}}},
    ],
)
async def test_label_schemas_that_are_refused(api: Api, wrong: dict[str, Any]) -> None:
    sent = {"experiment_id": "0", "name": "n", "type": "FEEDBACK", "input": {"text": {}}, **wrong}
    assert await refused(api, "POST", "label-schemas/create", **sent) == INVALID


async def test_every_kind_of_input(api: Api) -> None:
    for name, input_ in (
        ("c", {"categorical": {"options": ["a", "b"], "multi_select": True}}),
        ("n", {"numeric": {"min_value": 0.0, "max_value": 5.0}}),
        ("t", {"text": {"max_length": 7}}),
    ):
        assert (await a_schema(api, name, input=input_, type="EXPECTATION"))["input"] == input_
    sent = {"experiment_id": "0", "name": "c", "type": 1, "input": {"text": {}}}
    assert await refused(api, "POST", "label-schemas/create", **sent) == TAKEN


async def test_a_queue_is_kept_found_and_changed(api: Api) -> None:
    schema = await a_schema(api)
    made = await a_queue(api, users=[" Bob", "ada", "bob"], schema_ids=[schema["schema_id"]])
    assert (made["users"], made["created_by"], made["queue_type"]) == (["ada", "bob"], "ada", "CUSTOM")
    assert (await v3(api, "GET", "review-queues/get", queue_id=made["queue_id"]))["review_queue"] == made
    named = await v3(api, "GET", "review-queues/get-by-name", experiment_id="0", name="WEEKLY")
    assert named["review_queue"] == made
    sent = {"experiment_id": "0", "name": "weekly", "queue_type": "CUSTOM"}
    assert await refused(api, "POST", "review-queues/create", **sent) == TAKEN
    more = {"queue_id": made["queue_id"], "name": "Monthly", "update_users": True, "users": ["eve"]}
    changed = (await v3(api, "POST", "review-queues/update", **more, new_owner="Eve"))["review_queue"]
    assert (changed["name"], changed["users"], changed["created_by"]) == ("Monthly", ["eve"], "Eve")
    assert changed["schema_ids"] == [schema["schema_id"]]
    for user, count in (("EVE", 1), ("bob", 0)):
        found = await v3(api, "GET", "review-queues/list", experiment_id="0", user=user)
        assert len(found["review_queues"]) == count, user
    for _ in range(2):
        await v3(api, "POST", "review-queues/delete", queue_id=made["queue_id"])
    assert await refused(api, "GET", "review-queues/get", queue_id=made["queue_id"]) == GONE


async def test_a_user_has_one_queue(api: Api) -> None:
    sent = {"experiment_id": "0", "user": " Ada"}
    first = (await v3(api, "POST", "review-queues/get-or-create-user", **sent))["review_queue"]
    assert (first["name"], first["users"], first["queue_type"], first["created_by"]) == ("ada", ["ada"], "USER", "ada")
    assert (await v3(api, "POST", "review-queues/get-or-create-user", **sent))["review_queue"] == first
    assert await refused(api, "POST", "review-queues/update", queue_id=first["queue_id"], name="x") == INVALID
    await a_queue(api, "bob")
    assert await refused(api, "POST", "review-queues/get-or-create-user", experiment_id="0", user="bob") == TAKEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Default"},
        {"name": " "},
        {"queue_type": "HEAP"},
        {"queue_type": None},
        {"schema_ids": ["ls-no"]},
        {"users": [str(n) for n in range(11)]},
        {"queue_type": "USER", "users": ["other"]},
        {"queue_type": "USER", "schema_ids": ["ls-x"]},
    ],
)
async def test_queues_that_are_refused(api: Api, wrong: dict[str, Any]) -> None:
    sent = {"experiment_id": "0", "name": "q", "queue_type": "CUSTOM", **wrong}
    assert await refused(api, "POST", "review-queues/create", **sent) == INVALID


async def test_items_are_added_reviewed_and_removed(api: Api) -> None:
    queue = (await a_queue(api))["queue_id"]
    for n in range(3):
        await a_trace(api, n, 1)
    for _ in range(2):
        added = await v3(api, "POST", "review-queues/items/add", queue_id=queue, item_ids=["tr-0", "tr-1", "tr-0"])
        assert [(one["item_id"], one["status"]) for one in added["items"]] == [("tr-0", "PENDING"), ("tr-1", "PENDING")]
    done = {"queue_id": queue, "item_id": "tr-1", "status": "COMPLETE", "completed_by": "Bob"}
    item = (await v3(api, "POST", "review-queues/items/set-status", **done))["item"]
    assert (item["status"], item["completed_by"]) == ("COMPLETE", "bob")
    again = await v3(api, "POST", "review-queues/items/set-status", **{**done, "completed_by": "eve"})
    assert again["item"] == item

    async def listed(**query: str) -> list[str]:
        found = await v3(api, "GET", "review-queues/items/list", queue_id=queue, **query)
        return [one["item_id"] for one in found["items"]]

    assert await listed(status="PENDING") == ["tr-0"]
    reopened = {"queue_id": queue, "item_id": "tr-1", "status": "PENDING"}
    item = (await v3(api, "POST", "review-queues/items/set-status", **reopened))["item"]
    assert "completed_by" not in item
    assert await refused(api, "POST", "review-queues/items/set-status", **reopened, completed_by="x") == INVALID
    held = await v3(api, "GET", "review-queues/list", experiment_id="0", item_id="tr-1")
    assert [one["queue_id"] for one in held["review_queues"]] == [queue]
    await api.post("traces/delete-traces", experiment_id="0", request_ids=["tr-0"])
    assert await listed() == ["tr-1"]
    await v3(api, "POST", "review-queues/items/remove", queue_id=queue, item_ids=["tr-1"])
    assert await listed() == []


async def test_items_that_are_refused(api: Api) -> None:
    queue = (await a_queue(api))["queue_id"]
    other = (await api.post("experiments/create", name="other"))["experiment_id"]
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": other}}
    await a_trace(api, 0, 1, trace_location=place)
    for ids, answer in ((["tr-0"], GONE), (["tr-no"], GONE), ([], INVALID), (["x" * 51], INVALID)):
        assert await refused(api, "POST", "review-queues/items/add", queue_id=queue, item_ids=ids) == answer
    sent = {"queue_id": queue, "item_id": "tr-no", "status": "COMPLETE"}
    assert await refused(api, "POST", "review-queues/items/set-status", **sent) == GONE
    assert await refused(api, "POST", "review-queues/items/set-status", **{**sent, "status": "LOST"}) == INVALID


async def test_questions_are_fixed_once_there_are_items(api: Api) -> None:
    schema, queue = await a_schema(api), (await a_queue(api))["queue_id"]
    sent = {"queue_id": queue, "update_schema_ids": True, "schema_ids": [schema["schema_id"]]}
    await v3(api, "POST", "review-queues/update", **sent)
    await a_trace(api, 0, 1)
    await v3(api, "POST", "review-queues/items/add", queue_id=queue, item_ids=["tr-0"])
    assert await refused(api, "POST", "review-queues/update", **sent) == INVALID
