"""Which job gets which nodes, and how clusters grow and shrink. Pure.

Nodes are bookkeeping: they say how many jobs run at a time and what a client sees of a cluster. Dedicated clusters are
served before low-priority ones; within that by priority, then in turns: those whose pipeline, sweep or job holds the
fewest nodes of the compute come first, in the order of submission. A job that does not fit yet holds back those behind it
on its own cluster, so that a large one is not starved by small ones.
"""

from __future__ import annotations

from collections import Counter
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
    root: str = ""
    """What was submitted that the job is a part of, a pipeline or sweep; empty for itself."""


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
    """Place what can be placed at `now`. `node_limit` bounds the nodes that jobs hold at a time, all computes together;
    a single job may exceed it when nothing else runs, so that none waits for ever.
    """
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
        self.full = False
        self.reserved = 0
        self.held = sum(demand.count for demand in demands if demand.nodes is not None)
        self.taken = Counter(demand.pool for demand in demands if demand.nodes is not None)

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
                if node.id in pool.preempted and node.state not in ("preempted", "leaving"):
                    self._preempt(node.id, f"node {node.id} of '{pool.name}' was pre-empted", node.job)
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
        waiting = sorted((d for d in self.demands if d.nodes is None and not d.evicted), key=self._urgency)
        turns = self._turns(waiting)
        for demand in sorted(waiting, key=lambda d: (*self._urgency(d)[:2], turns[d.job])):  # stable: then as submitted
            self._serve(demand)

    def _urgency(self, demand: Demand) -> tuple[bool, int, int]:
        return (self._low(demand), -demand.priority, demand.sequence)

    def _turns(self, waiting: list[Demand]) -> dict[str, int]:
        """How many nodes of its compute the root of each job will hold before the job is served."""
        used: Counter[tuple[str | None, str]] = Counter()
        for demand in self.demands:
            if demand.nodes is not None:
                used[demand.pool, demand.root or demand.job] += demand.count
        turns = {}
        for demand in waiting:
            turns[demand.job] = used[demand.pool, demand.root or demand.job]
            used[demand.pool, demand.root or demand.job] += demand.count
        return turns

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
        if self._room(demand):
            self.done.placed[demand.job] = ()
            self.reserved += demand.count
        else:
            self.done.waiting[demand.job] = self._no_room(demand)

    def _serve_slots(self, demand: Demand, pool: Pool) -> None:
        taken = self.taken[pool.id]
        if pool.kind == "instance" and demand.count > 1:
            message = f"The job asks for {demand.count} nodes; '{pool.name}' is a compute instance, which is one node."
            self.done.failed[demand.job] = ("NotEnoughNodes", message)
        elif not pool.running:
            self.done.waiting[demand.job] = f"waits: the compute '{pool.name}' is not running; start it"
        elif taken >= pool.slots:
            self.done.waiting[demand.job] = f"waits: '{pool.name}' runs {taken} job(s) already"
        else:
            self.taken[pool.id] += 1
            self.done.placed[demand.job] = ()

    def _serve_cluster(self, demand: Demand, pool: Pool) -> None:
        if demand.count > pool.most:
            message = (
                f"The job asks for {demand.count} node(s) and the cluster '{pool.name}' has at most {pool.most}. "
                "Raise max_instances of the cluster or lower instance_count of the job."
            )
            self.done.failed[demand.job] = ("NotEnoughNodes", message)
            return
        if not self._room(demand):
            self.done.waiting[demand.job] = self._no_room(demand)
            return
        held = self.wanted.get(pool.id, 0)
        self._grow(pool.id, held + demand.count - self._count(pool.id, "idle", "preparing"))
        idle = [node for node in self.pools[pool.id].nodes if node.state == "idle"]
        if pool.id not in self.blocked and len(idle) >= demand.count:
            self.reserved += demand.count
            self._place(demand, pool.id, [node.id for node in idle[: demand.count]])
            return
        self.blocked.add(pool.id)
        self.wanted[pool.id] = held + demand.count
        text = f"waits for {demand.count} node(s) of '{pool.name}'"
        if len(idle) + self._count(pool.id, "preparing") >= held + demand.count:
            self.reserved += demand.count  # its nodes are on their way: nobody else takes its room
            self.done.waiting[demand.job] = f"{text}, which are coming up"
        else:
            # No figures that change with every node: each change would be written to every waiting job.
            self.done.waiting[demand.job] = f"{text}, which has at most {pool.most}"

    def _room(self, demand: Demand) -> bool:
        """Whether the limit leaves room; if not, a dedicated job pre-empts low-priority ones, and all later ones wait."""
        if self.node_limit is None:
            return True
        used = self.held + self.reserved
        if not self.full and (used == 0 or used + demand.count <= self.node_limit):
            return True
        if not self.full and not self._low(demand):
            self._make_room(used + demand.count - self.node_limit)
        self.full = True
        return False

    def _no_room(self, demand: Demand) -> str:
        return f"waits for {demand.count} of the {self.node_limit} nodes that this machine runs at a time"

    def _make_room(self, count: int) -> None:
        """Send low-priority jobs back into the queue, the latest first, until `count` nodes are on their way."""
        count -= sum(d.count for d in self.demands if d.nodes is not None and self._leaves(d))
        holders = [d for d in self.demands if d.nodes is not None and self._low(d) and not self._leaves(d)]
        for demand in sorted(holders, key=lambda d: -d.sequence):
            if count <= 0:
                return
            count -= demand.count
            for node in demand.nodes or ():
                self._preempt(node, "a dedicated compute needed its place", demand.job)
            self.done.evicted[demand.job] = _preempted("a dedicated compute needed its place")

    def _leaves(self, demand: Demand) -> bool:
        return demand.evicted or demand.job in self.done.evicted

    def _place(self, demand: Demand, pool_id: str, ids: list[str]) -> None:
        pool = self.pools[pool_id]
        taken = [Node(n.id, "running", self.now, demand.job) if n.id in ids else n for n in pool.nodes]
        self._set(pool, taken)
        self.done.placed[demand.job] = tuple(ids)

    def _grow(self, pool_id: str, count: int) -> None:
        pool = self.pools[pool_id]
        count = min(count, pool.most - len(pool.nodes))
        if count <= 0:
            return
        state: NodeState = "preparing" if self.boot_s > 0 else "idle"
        new = [Node(_node_id(pool, pool.born + n), state, self.now) for n in range(count)]
        self.pools[pool_id] = replace(pool, nodes=(*pool.nodes, *new), born=pool.born + count)

    def _preempt(self, node_id: str, reason: str, job: str | None) -> None:
        """Mark a node as taken away; its job leaves all its nodes and is queued again. A free node goes at once."""
        for pool in self.pools.values():
            marked = [
                replace(node, state="preempted", since=self.now) if node.id == node_id else node
                for node in pool.nodes
                if node.id != node_id or node.job is not None
            ]
            self._set(pool, marked)
        if job is not None:
            self.done.evicted[job] = _preempted(reason)

    def shrink(self) -> None:
        """Let nodes go that were idle for long, down to the least; at once those beyond a most that was lowered."""
        for pool in self._clusters():
            idle = sorted((n for n in pool.nodes if n.state == "idle"), key=lambda n: n.since)
            over = max(0, len(pool.nodes) - pool.most)
            spare = max(over, len(pool.nodes) - pool.least - self.wanted.get(pool.id, 0), 0)
            gone = [n for at, n in enumerate(idle[:spare]) if at < over or self.now >= n.since + pool.idle_s]
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


def _preempted(reason: str) -> Eviction:
    return Eviction("Preempted", f"Queued again: {reason}.", requeue=True)


def _node_id(pool: Pool, number: int) -> str:
    """As Azure Batch names nodes; the number makes it unique for the life of the cluster."""
    return f"tvmps_{pool.name.lower()}_{number:04d}_{'p' if pool.low_priority else 'd'}"


def _name(pool_id: str) -> str:
    return pool_id.rsplit("/", 1)[-1]
