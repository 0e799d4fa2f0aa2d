"""Which job gets which nodes, and how clusters grow and shrink. Pure.

Nodes are bookkeeping: they say how many jobs run at a time and what a client sees of a cluster. Dedicated clusters are
served before low-priority ones; within that by priority, then in the order of submission. A job that does not fit yet
holds back the later ones of its own cluster, so that a large one is not starved by small ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from lazulite.model.job_status import Eviction

NodeState = Literal["preparing", "idle", "running", "leaving", "preempted"]
PoolKind = Literal["cluster", "instance", "attached"]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a cluster. `since` is when it entered its state, in seconds since the epoch; `job` a resource key."""

    id: str
    state: NodeState
    since: float
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A compute as its jobs see it. `slots` is how many jobs an instance or attached compute runs at a time."""

    id: str
    name: str
    kind: PoolKind
    nodes: tuple[Node, ...] = ()
    low_priority: bool = False
    least: int = 0
    most: int = 1
    idle_s: float = 120.0
    slots: int = 1
    running: bool = True
    """False while an instance is stopped or on its way."""
    preempted: frozenset[str] = frozenset()
    """Nodes that are to be taken away."""
    born: int = 0
    """How many nodes this pool ever had: the next one's number."""


@dataclass(frozen=True, slots=True)
class Demand:
    """An active job. `nodes` are those it holds, None while it waits; `pool` None is serverless."""

    job: str
    pool: str | None
    count: int = 1
    priority: int = 2
    sequence: int = 0
    low_priority: bool = False
    nodes: tuple[str, ...] | None = None
    evicted: bool = False


@dataclass(slots=True)
class Allocation:
    """What `allocate` decided: the pools as they are now, and what changes for jobs."""

    pools: dict[str, Pool] = field(default_factory=dict)
    placed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    """Why a job waits, for its owner to read."""
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Jobs that can never be placed: code and message."""
    evicted: dict[str, Eviction] = field(default_factory=dict)
    again: float | None = None
    """Seconds until time alone changes something."""


def allocate(
    pools: Iterable[Pool],
    demands: Iterable[Demand],
    now: float,
    *,
    boot_s: float = 0.0,
    node_limit: int | None = None,
) -> Allocation:
    """Place what can be placed at `now`. `node_limit` bounds the nodes of all clusters and serverless jobs together."""
    work = _Work(list(pools), list(demands), now, boot_s, node_limit)
    work.release()
    work.reclaim()
    work.grow_to_least()
    work.serve()
    work.shrink()
    return work.result()


class _Work:
    """The state of one pass. The methods above call each other's results in order; each leaves a valid allocation."""

    def __init__(
        self, pools: list[Pool], demands: list[Demand], now: float, boot_s: float, node_limit: int | None
    ) -> None:
        self.pools = {pool.id: pool for pool in pools}
        self.demands = demands
        self.now = now
        self.boot_s = boot_s
        self.node_limit = node_limit
        self.done = Allocation()
        self.blocked: set[str] = set()
        self.wanted: dict[str, int] = {}

    def release(self) -> None:
        """Free the nodes of jobs that are over, let booted nodes be idle, drop what was taken away."""
        holders = {(d.job, node) for d in self.demands for node in d.nodes or ()}
        for pool in self.pools.values():
            nodes = [self._released(node, holders) for node in pool.nodes]
            self._set(pool, [node for node in nodes if node is not None])

    def _released(self, node: Node, holders: Collection[tuple[str, str]]) -> Node | None:
        if node.job is not None and (node.job, node.id) not in holders:
            if node.state in ("preempted", "leaving"):
                return None
            return Node(node.id, "idle", self.now)
        if node.job is None and node.state in ("preempted", "leaving"):
            return None
        if node.state == "preparing" and self.now >= node.since + self.boot_s:
            return replace(node, state="idle", since=self.now)
        return node

    def reclaim(self) -> None:
        """Take away nodes that are to be pre-empted, and the places of jobs whose compute is gone or stopped."""
        for pool in self.pools.values():
            for node in pool.nodes:
                if node.id in pool.preempted and node.state != "preempted":
                    self._preempt(pool, node, f"node {node.id} of '{pool.name}' was pre-empted")
        for demand in self.demands:
            pool_now = self.pools.get(demand.pool or "")
            if demand.nodes is None or demand.pool is None or demand.evicted:
                continue
            if pool_now is None:
                message = f"The compute '{_name(demand.pool)}' was deleted while the job was on it."
                self.done.evicted[demand.job] = Eviction("ComputeDeleted", message)
            elif not pool_now.running:
                message = f"The compute '{pool_now.name}' was stopped while the job was running on it."
                self.done.evicted[demand.job] = Eviction("ComputeStopped", message)

    def grow_to_least(self) -> None:
        for pool in self._clusters():
            self._grow(pool.id, pool.least - len(pool.nodes))

    def serve(self) -> None:
        """Give waiting jobs their places, the most urgent first."""
        waiting = [d for d in self.demands if d.nodes is None and not d.evicted]
        for demand in sorted(waiting, key=self._urgency):
            self._serve(demand)

    def _urgency(self, demand: Demand) -> tuple[bool, int, int]:
        return (self._low(demand), -demand.priority, demand.sequence)

    def _serve(self, demand: Demand) -> None:
        if demand.pool is None:
            self._serve_serverless(demand)
            return
        pool = self.pools.get(demand.pool)
        if pool is None:
            message = f"The compute '{_name(demand.pool)}' does not exist any more. Submit the job to another compute."
            self.done.failed[demand.job] = ("ComputeNotFound", message)
        elif pool.kind == "cluster":
            self._serve_cluster(demand, pool)
        else:
            self._serve_slots(demand, pool)

    def _serve_serverless(self, demand: Demand) -> None:
        free = self._free(demand.count)
        if free >= demand.count or self._used() == 0:
            self.done.placed[demand.job] = ()
        else:
            self.done.waiting[demand.job] = f"waits for {demand.count} free node(s) of this machine ({free} free)"

    def _serve_slots(self, demand: Demand, pool: Pool) -> None:
        taken = sum(1 for d in self.demands if d.pool == pool.id and d.nodes is not None)
        taken += sum(1 for d in self.demands if d.pool == pool.id and d.job in self.done.placed)
        if pool.kind == "instance" and demand.count > 1:
            message = f"The job asks for {demand.count} nodes; '{pool.name}' is a compute instance, which is one node."
            self.done.failed[demand.job] = ("NotEnoughNodes", message)
        elif not pool.running:
            self.done.waiting[demand.job] = f"waits: the compute '{pool.name}' is not running; start it"
        elif taken >= pool.slots:
            self.done.waiting[demand.job] = f"waits: '{pool.name}' runs {taken} job(s) already"
        else:
            self.done.placed[demand.job] = ()

    def _serve_cluster(self, demand: Demand, pool: Pool) -> None:
        if demand.count > pool.most:
            message = (
                f"The job asks for {demand.count} node(s) and the cluster '{pool.name}' has at most {pool.most}. "
                "Raise max_instances of the cluster or lower instance_count of the job."
            )
            self.done.failed[demand.job] = ("NotEnoughNodes", message)
            return
        held = self.wanted.get(pool.id, 0)
        self.wanted[pool.id] = held + demand.count
        ready = self._count(pool.id, "idle", "preparing")
        self._grow(pool.id, held + demand.count - ready, for_dedicated=not pool.low_priority)
        idle = [node for node in self.pools[pool.id].nodes if node.state == "idle"]
        if pool.id not in self.blocked and len(idle) >= demand.count:
            self.wanted[pool.id] = held
            self._place(demand, pool.id, [node.id for node in idle[: demand.count]])
        else:
            self.blocked.add(pool.id)
            coming = self._count(pool.id, "preparing")
            self.done.waiting[demand.job] = (
                f"waits for {demand.count} node(s) of '{pool.name}': {len(idle)} idle, {coming} coming up, "
                f"{len(self.pools[pool.id].nodes)} of at most {pool.most} there"
            )

    def _place(self, demand: Demand, pool_id: str, ids: list[str]) -> None:
        pool = self.pools[pool_id]
        taken = [Node(n.id, "running", self.now, demand.job) if n.id in ids else n for n in pool.nodes]
        self._set(pool, taken)
        self.done.placed[demand.job] = tuple(ids)

    def _grow(self, pool_id: str, count: int, *, for_dedicated: bool = False) -> None:
        pool = self.pools[pool_id]
        count = min(count, pool.most - len(pool.nodes))
        if count <= 0:
            return
        free = self._free(count)
        if free < count and for_dedicated:
            self._make_room(pool_id, count - free)
            free = self._free(count)
        if free <= 0 and self._used() == 0:
            free = count  # one job may always run, whatever the limit
        pool = self.pools[pool_id]
        count = min(count, free)
        state: NodeState = "preparing" if self.boot_s > 0 else "idle"
        new = [Node(_node_id(pool, pool.born + n), state, self.now) for n in range(count)]
        self.pools[pool_id] = replace(pool, nodes=(*pool.nodes, *new), born=pool.born + count)

    def _make_room(self, pool_id: str, count: int) -> None:
        """Take `count` nodes from others for a dedicated cluster: idle ones at once, then low-priority ones."""
        others = [pool for pool in self._clusters() if pool.id != pool_id]
        for pool in sorted(others, key=lambda p: not p.low_priority):
            idle = [node for node in pool.nodes if node.state == "idle"]
            spare = idle[: max(0, min(count, len(pool.nodes) - pool.least))]
            count -= len(spare)
            self._set(pool, [node for node in pool.nodes if node not in spare])
        leaving = sum(self._count(p.id, "preempted") for p in self._clusters())
        for pool in (self.pools[p.id] for p in others if p.low_priority):
            for node in sorted((n for n in pool.nodes if n.state == "running"), key=lambda n: -n.since):
                if count - leaving <= 0:
                    return
                count -= self._preempt(self.pools[pool.id], node, f"a dedicated cluster needed node {node.id}")

    def _preempt(self, pool: Pool, node: Node, reason: str) -> int:
        """Mark a node as taken away; its job leaves all its nodes and is queued again. Returns nodes being freed."""
        if node.job is None:
            self._set(pool, [n for n in pool.nodes if n.id != node.id])
            return 1
        marked = [replace(n, state="preempted", since=self.now) if n.id == node.id else n for n in pool.nodes]
        self._set(pool, marked)
        self.done.evicted[node.job] = Eviction("Preempted", f"Queued again: {reason}.", requeue=True)
        return 1

    def shrink(self) -> None:
        """Let nodes go that were idle for long, down to the least."""
        for pool in self._clusters():
            spare = max(0, len(pool.nodes) - pool.least - self.wanted.get(pool.id, 0))
            spare = min(spare, max(0, len(pool.nodes) - pool.least))
            idle = sorted((n for n in pool.nodes if n.state == "idle"), key=lambda n: n.since)
            gone = [n for n in idle if self.now >= n.since + pool.idle_s or len(pool.nodes) > pool.most][:spare]
            self._set(pool, [n for n in pool.nodes if n not in gone])
            for node in idle[len(gone) : spare]:
                self._look_again(node.since + pool.idle_s)
            for node in pool.nodes:
                if node.state == "preparing":
                    self._look_again(node.since + self.boot_s)

    def result(self) -> Allocation:
        self.done.pools = self.pools
        return self.done

    def _look_again(self, at: float) -> None:
        seconds = max(0.01, at - self.now)
        self.done.again = seconds if self.done.again is None else min(self.done.again, seconds)

    def _set(self, pool: Pool, nodes: Iterable[Node]) -> None:
        self.pools[pool.id] = replace(pool, nodes=tuple(nodes))

    def _clusters(self) -> list[Pool]:
        return [pool for pool in self.pools.values() if pool.kind == "cluster"]

    def _count(self, pool_id: str, *states: NodeState) -> int:
        return sum(1 for node in self.pools[pool_id].nodes if node.state in states)

    def _low(self, demand: Demand) -> bool:
        pool = self.pools.get(demand.pool or "")
        return pool.low_priority if pool is not None else demand.low_priority

    def _used(self) -> int:
        serverless = [d for d in self.demands if d.pool is None and (d.nodes is not None or d.job in self.done.placed)]
        return sum(len(pool.nodes) for pool in self._clusters()) + sum(d.count for d in serverless)

    def _free(self, count: int) -> int:
        """How many of `count` further nodes the limit leaves."""
        return count if self.node_limit is None else max(0, min(count, self.node_limit - self._used()))


def _node_id(pool: Pool, number: int) -> str:
    """As Azure Batch names nodes; the number makes it unique for the life of the cluster."""
    return f"tvmps_{pool.name.lower()}_{number:04d}_{'p' if pool.low_priority else 'd'}"


def _name(pool_id: str) -> str:
    return pool_id.rsplit("/", 1)[-1]
