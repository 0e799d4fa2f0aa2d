import json
import re
from typing import Any

from lazulite.node import ranks

STREAMED = re.compile(r"user_logs/std_log[\D]*[0]*(?:_ps)?\.txt")
"""The files that the SDK prints while it waits for a job."""


def distribution(kind: str | None, **changes: int) -> dict[str, Any]:
    base = {"nodes": 1, "processes_per_node": 1, "worker_count": 1, "parameter_server_count": 0}
    return {"type": kind, **base, **changes}


def test_a_plain_command_is_one_process() -> None:
    (rank,) = ranks.plan(distribution(None), [])
    assert rank.log == "user_logs/std_log.txt"
    assert rank.variables == {}


def test_several_nodes_without_distribution_run_the_command_once_a_node() -> None:
    assert [
        rank.variables["NODE_RANK"] for rank in ranks.plan(distribution(None, nodes=2, processes_per_node=4), [])
    ] == ["0", "1"]


def test_pytorch_two_nodes_of_two() -> None:
    found = ranks.plan(distribution("PyTorch", nodes=2, processes_per_node=2), [4000])
    seen = [(r.variables["RANK"], r.variables["NODE_RANK"], r.variables["LOCAL_RANK"]) for r in found]
    assert seen == [("0", "0", "0"), ("1", "0", "1"), ("2", "1", "0"), ("3", "1", "1")]
    assert {r.variables["WORLD_SIZE"] for r in found} == {"4"}
    assert {r.variables["LOCAL_WORLD_SIZE"] for r in found} == {"2"}
    assert {(r.variables["MASTER_ADDR"], r.variables["MASTER_PORT"]) for r in found} == {("127.0.0.1", "4000")}


def test_mpi() -> None:
    found = ranks.plan(distribution("Mpi", nodes=1, processes_per_node=2), [4000])
    assert [r.variables["OMPI_COMM_WORLD_RANK"] for r in found] == ["0", "1"]
    assert {r.variables["OMPI_COMM_WORLD_SIZE"] for r in found} == {"2"}


def test_tensorflow_workers_and_parameter_servers() -> None:
    asked = distribution("TensorFlow", worker_count=2, parameter_server_count=1)
    assert ranks.ports_needed(asked) == 3
    found = ranks.plan(asked, [1, 2, 3])
    configs = [json.loads(rank.variables["TF_CONFIG"]) for rank in found]
    assert configs[0]["cluster"] == {"worker": ["127.0.0.1:1", "127.0.0.1:2"], "ps": ["127.0.0.1:3"]}
    assert [c["task"] for c in configs] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "ps", "index": 0},
    ]
    assert [rank.decides for rank in found] == [True, True, False]


def test_only_the_first_ranks_log_is_streamed() -> None:
    for size in (1, 2, 12, 120):
        names = [ranks.log_name(number, size) for number in range(size)]
        assert len(set(names)) == size
        assert [name for name in names if STREAMED.fullmatch(name)] == names[:1]
