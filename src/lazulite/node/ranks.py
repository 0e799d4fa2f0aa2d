"""The processes of a distributed job and the variables that tell each who it is. Pure; every node is this machine."""

import json
from typing import Any, NamedTuple

HOST = "127.0.0.1"


class Rank(NamedTuple):
    number: int
    variables: dict[str, str]
    log: str
    decides: bool = True
    """A parameter server does not end by itself: the job ends when the others have."""
    node: int = 0


def ports_needed(distribution: dict[str, Any]) -> int:
    """Free ports that `plan` wants: TensorFlow one a process, the others one."""
    kind = (distribution["type"] or "").lower()
    if kind == "tensorflow":
        return int(distribution["worker_count"] + distribution["parameter_server_count"])
    return 1 if kind else 0


def plan(distribution: dict[str, Any], ports: list[int]) -> list[Rank]:
    """One Rank a process, in the order of their numbers."""
    kind = (distribution["type"] or "").lower()
    if kind == "tensorflow":
        ranks = tensorflow(distribution["worker_count"], distribution["parameter_server_count"], ports)
        return [rank._replace(node=rank.number % distribution["nodes"]) for rank in ranks]
    nodes, per_node = distribution["nodes"], distribution["processes_per_node"]
    if kind not in ("pytorch", "mpi"):
        nodes, per_node, kind = nodes, 1, ""
    size = nodes * per_node
    ranks = []
    for number in range(size):
        node, local = divmod(number, per_node)
        variables = {"NODE_RANK": str(node), "AZUREML_NODE_COUNT": str(nodes)} if size > 1 or kind else {}
        if kind == "pytorch":
            variables |= pytorch(number, local, size, per_node, ports[0])
        elif kind == "mpi":
            variables |= mpi(number, local, size, per_node, ports[0])
        ranks.append(Rank(number, variables, log_name(number, size), node=node))
    return ranks


def log_name(number: int, size: int, role: str = "") -> str:
    """The SDK streams the one whose number is all zeros."""
    if size == 1:
        return "user_logs/std_log.txt"
    return f"user_logs/std_log_process_{number:0{max(2, len(str(size - 1)))}d}{role}.txt"


def pytorch(number: int, local: int, size: int, per_node: int, port: int) -> dict[str, str]:
    return {
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
        "RANK": str(number),
        "LOCAL_RANK": str(local),
        "LOCAL_WORLD_SIZE": str(per_node),
    }


def mpi(number: int, local: int, size: int, per_node: int, port: int) -> dict[str, str]:
    return {
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(local),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(per_node),
        "AZ_BATCHAI_MPI_MASTER_NODE": HOST,
        "AZ_BATCH_MASTER_NODE": f"{HOST}:{port}",
        "AZ_BATCH_NODE_LIST": HOST,
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
    }


def tensorflow(workers: int, servers: int, ports: list[int]) -> list[Rank]:
    cluster = {"worker": [f"{HOST}:{port}" for port in ports[:workers]]}
    if servers:
        cluster["ps"] = [f"{HOST}:{port}" for port in ports[workers : workers + servers]]
    ranks = []
    for number in range(workers + servers):
        kind, index = ("worker", number) if number < workers else ("ps", number - workers)
        task = {"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"}
        name = log_name(number, workers + servers, "" if kind == "worker" else "_ps")
        ranks.append(Rank(number, {"TF_CONFIG": json.dumps(task)}, name, decides=kind == "worker"))
    return ranks
