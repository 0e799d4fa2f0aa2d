from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lazulite.engine.allocation import Allocation, Demand, Node, Pool, allocate

NOW = 1000.0


def a_pool(name: str = "c", **more: object) -> Pool:
    return replace(Pool(id=f"/computes/{name}", name=name, kind="cluster", most=2), **more)  # type: ignore[arg-type]


def a_demand(job: str = "j", pool: str | None = "c", **more: object) -> Demand:
    return replace(Demand(job=job, pool=f"/computes/{pool}" if pool else None), **more)  # type: ignore[arg-type]


def held(job: str, node: Node, **more: object) -> Demand:
    return a_demand(job, nodes=(node.id,), **more)


def states(done: Allocation, name: str = "c") -> list[tuple[str, str | None]]:
    return [(node.state, node.job) for node in done.pools[f"/computes/{name}"].nodes]


def idle(id_: str = "n0", since: float = NOW) -> Node:
    return Node(id_, "idle", since)


def busy(job: str, id_: str = "n0", since: float = NOW) -> Node:
    return Node(id_, "running", since, job)


def test_a_cluster_grows_from_zero_for_a_job_and_gives_it_the_node() -> None:
    done = allocate([a_pool()], [a_demand()], NOW)
    assert states(done) == [("running", "j")]
    assert done.placed == {"j": (done.pools["/computes/c"].nodes[0].id,)}


def test_a_booting_node_is_waited_for() -> None:
    done = allocate([a_pool()], [a_demand()], NOW, boot_s=30)
    assert states(done) == [("preparing", None)]
    assert "coming up" in done.waiting["j"]
    assert done.again == 30
    later = allocate(done.pools.values(), [a_demand()], NOW + 30, boot_s=30)
    assert states(later) == [("running", "j")]


def test_a_cluster_grows_no_further_than_its_most() -> None:
    demands = [a_demand(f"j{n}", sequence=n) for n in range(5)]
    done = allocate([a_pool(most=2)], demands, NOW)
    assert sorted(done.placed) == ["j0", "j1"]
    assert sorted(done.waiting) == ["j2", "j3", "j4"]


def test_a_job_of_two_nodes_gets_both_at_once() -> None:
    node = busy("other")
    demands = [held("other", node), a_demand("pair", count=2)]
    done = allocate([a_pool(most=2, nodes=(node,))], demands, NOW)
    assert "pair" in done.waiting
    after = allocate(done.pools.values(), demands[1:], NOW)
    assert len(after.placed["pair"]) == 2


def test_a_large_job_is_not_starved_by_later_small_ones() -> None:
    node = busy("other")
    demands = [held("other", node), a_demand("pair", count=2, sequence=1), a_demand("small", sequence=2)]
    done = allocate([a_pool(most=2, nodes=(node,))], demands, NOW)
    assert done.placed == {}


def test_a_job_larger_than_the_cluster_fails_saying_so() -> None:
    done = allocate([a_pool(most=2)], [a_demand(count=3)], NOW)
    code, message = done.failed["j"]
    assert code == "NotEnoughNodes"
    assert "at most 2" in message


def test_a_job_on_a_deleted_compute_fails_when_waiting_and_leaves_when_running() -> None:
    done = allocate([], [a_demand("w"), a_demand("r", nodes=("n0",))], NOW)
    assert done.failed["w"][0] == "ComputeNotFound"
    assert done.evicted["r"].code == "ComputeDeleted"
    assert not done.evicted["r"].requeue


def test_priority_comes_before_the_order_of_submission() -> None:
    demands = [a_demand("early", sequence=1), a_demand("urgent", sequence=2, priority=3)]
    done = allocate([a_pool(most=1)], demands, NOW)
    assert list(done.placed) == ["urgent"]


def sweep(count: int, running: int, first: int = 1) -> list[Demand]:
    """The trials of one sweep, of which some hold the nodes n0, n1, ..."""
    return [
        a_demand(f"t{n}", root="sweep", sequence=first + n, nodes=(f"n{n}",) if n < running else None)
        for n in range(count)
    ]


def test_a_job_does_not_wait_for_all_trials_of_a_sweep() -> None:
    """The next node goes to who holds none, although the sweep's trials were there before."""
    free = [busy(f"t{n}", f"n{n}") for n in range(1, 4)] + [idle()]
    trials = [d for d in sweep(20, running=4) if d.job != "t0"]
    done = allocate([a_pool(nodes=tuple(free), most=4)], [*trials, a_demand("step", root="pipeline", sequence=99)], NOW)
    assert list(done.placed) == ["step"]


def test_sweeps_that_wait_together_take_turns() -> None:
    one, other = sweep(4, running=0), [replace(d, job=f"o{d.job}", root="other") for d in sweep(4, 0, first=50)]
    done = allocate([a_pool(most=4)], [*one, *other], NOW)
    assert sorted(done.placed) == ["ot0", "ot1", "t0", "t1"]


def test_priority_comes_before_turns_and_other_computes_do_not_count() -> None:
    nodes = tuple(busy(f"t{n}", f"n{n}") for n in range(3))
    trials = [replace(d, priority=3) for d in sweep(5, running=3)]
    done = allocate([a_pool(nodes=nodes, most=4)], [*trials, a_demand("late", sequence=99)], NOW)
    assert list(done.placed) == ["t3"]
    elsewhere = a_demand("held", "b", root="first", nodes=("x",))
    waiting = [a_demand("first", root="first", sequence=1), a_demand("second", sequence=2)]
    pools = [a_pool(most=1), a_pool("b", nodes=(busy("held", "x"),), most=1)]
    assert list(allocate(pools, [elsewhere, *waiting], NOW).placed) == ["first"]


def test_a_large_step_is_not_starved_by_those_who_come_later() -> None:
    """While the pipeline's other step runs it has its share; after that the large one is the first."""
    nodes = (busy("small", "n0"), idle("n1"))
    steps = [a_demand("small", root="p", nodes=("n0",)), a_demand("large", root="p", count=2, sequence=1)]
    done = allocate([a_pool(nodes=nodes)], [*steps, a_demand("later", sequence=2)], NOW)
    assert list(done.placed) == ["later"]
    nodes = (idle("n0"), busy("later", "n1"))
    done = allocate([a_pool(nodes=nodes)], [steps[1], held("later", nodes[1]), a_demand("last", sequence=3)], NOW)
    assert (done.placed, sorted(done.waiting)) == ({}, ["large", "last"])


def test_a_node_whose_job_is_over_is_idle_and_goes_after_the_idle_time() -> None:
    pool = a_pool(nodes=(busy("done"),), idle_s=60)
    done = allocate([pool], [], NOW)
    assert states(done) == [("idle", None)]
    assert done.again == 60
    kept = allocate(done.pools.values(), [], NOW + 59)
    assert states(kept) == [("idle", None)]
    assert states(allocate(kept.pools.values(), [], NOW + 60)) == []


def test_the_least_nodes_are_there_without_jobs_and_stay() -> None:
    done = allocate([a_pool(least=1, idle_s=0)], [], NOW)
    assert states(done) == [("idle", None)]
    assert states(allocate(done.pools.values(), [], NOW + 9999)) == [("idle", None)]


def test_idle_nodes_beyond_a_lowered_most_go_at_once() -> None:
    pool = a_pool(most=1, nodes=(idle("a"), idle("b")))
    assert len(states(allocate([pool], [], NOW))) == 1


def test_an_idle_node_is_used_before_a_new_one() -> None:
    done = allocate([a_pool(most=4, nodes=(idle("n7"),))], [a_demand()], NOW)
    assert done.placed == {"j": ("n7",)}
    assert len(states(done)) == 1


def test_node_ids_are_never_used_again() -> None:
    first = allocate([a_pool(idle_s=0)], [a_demand()], NOW)
    emptied = allocate(first.pools.values(), [], NOW + 1)
    second = allocate(emptied.pools.values(), [a_demand("k")], NOW + 2)
    assert first.placed["j"] != second.placed["k"]


def test_a_node_that_is_taken_away_sends_its_job_back_and_goes_when_the_job_has_left() -> None:
    node = busy("j")
    pool = a_pool(nodes=(node,), preempted=frozenset({"n0"}))
    done = allocate([pool], [held("j", node)], NOW)
    assert done.evicted["j"].requeue
    assert states(done) == [("preempted", "j")]
    again = allocate(done.pools.values(), [held("j", node, evicted=True)], NOW)
    assert again.evicted == {}
    requeued = allocate(again.pools.values(), [a_demand("j")], NOW)
    assert requeued.placed["j"] != ("n0",)
    assert states(requeued) == [("running", "j")]


def test_dedicated_clusters_are_served_before_low_priority_ones() -> None:
    pools = [a_pool("low", low_priority=True), a_pool("ded")]
    demands = [a_demand("l", "low", sequence=1), a_demand("d", "ded", sequence=2)]
    assert list(allocate(pools, demands, NOW, node_limit=1).placed) == ["d"]


def test_a_dedicated_job_preempts_the_latest_low_priority_job() -> None:
    old, young = busy("l1", "a", NOW - 50), busy("l2", "b", NOW - 5)
    pools = [a_pool("low", low_priority=True, nodes=(old, young)), a_pool("ded")]
    demands = [
        a_demand("l1", "low", nodes=("a",), sequence=1),
        a_demand("l2", "low", nodes=("b",), sequence=2),
        a_demand("d", "ded", sequence=9),
    ]
    done = allocate(pools, demands, NOW, node_limit=2)
    assert list(done.evicted) == ["l2"]
    assert "d" in done.waiting
    demands[1] = a_demand("l2", "low", sequence=2)
    after = allocate(done.pools.values(), demands, NOW, node_limit=2)
    assert list(after.placed) == ["d"]
    assert "l2" in after.waiting


def test_idle_nodes_do_not_count_against_the_limit() -> None:
    pools = [a_pool("low", low_priority=True, nodes=(idle("a"), busy("l", "b"))), a_pool("ded")]
    demands = [a_demand("l", "low", nodes=("b",)), a_demand("d", "ded")]
    done = allocate(pools, demands, NOW, node_limit=2)
    assert done.evicted == {}
    assert list(done.placed) == ["d"]


def test_a_job_that_finds_no_room_holds_back_later_ones_of_all_computes() -> None:
    demands = [
        a_demand("running", None, nodes=()),
        a_demand("large", None, count=2, sequence=1),
        a_demand("small", None, sequence=2),
    ]
    assert allocate([], demands, NOW, node_limit=2).placed == {}


def test_a_queue_before_a_full_cluster_takes_no_room_from_other_computes() -> None:
    node = busy("running")
    demands = [held("running", node), a_demand("next", sequence=1), a_demand("free", None, sequence=2)]
    assert list(allocate([a_pool(most=1, nodes=(node,))], demands, NOW, node_limit=2).placed) == ["free"]


def test_serverless_jobs_run_at_once_within_the_limit() -> None:
    demands = [a_demand(f"j{n}", None, sequence=n) for n in range(3)]
    assert len(allocate([], demands, NOW).placed) == 3
    assert len(allocate([], demands, NOW, node_limit=2).placed) == 2


def test_one_job_may_run_whatever_the_limit() -> None:
    assert list(allocate([], [a_demand("big", None, count=9)], NOW, node_limit=2).placed) == ["big"]
    assert list(allocate([a_pool(most=9)], [a_demand("big", count=9)], NOW, node_limit=2).placed) == ["big"]


def test_an_instance_runs_as_many_jobs_as_it_has_cores_and_none_while_it_is_stopped() -> None:
    pool = a_pool(kind="instance", slots=2)
    demands = [a_demand(f"j{n}", sequence=n) for n in range(3)]
    done = allocate([pool], demands, NOW)
    assert sorted(done.placed) == ["j0", "j1"]
    stopped = allocate([replace(pool, running=False)], [a_demand("j0", nodes=()), a_demand("j1")], NOW)
    assert stopped.evicted["j0"].code == "ComputeStopped"
    assert "start it" in stopped.waiting["j1"]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_nodes_are_held_by_one_job_limits_hold_and_every_job_gets_its_turn(seed: int) -> None:
    """A random life of clusters: jobs come and end, nodes are pre-empted, time passes."""
    dice = random.Random(seed)
    limit = dice.choice([None, 2, 4])
    pools = {p.id: p for p in (a_pool("a", most=3), a_pool("b", most=2, low_priority=True, least=dice.choice([0, 1])))}
    boot_s = dice.choice([0.0, 5.0])
    jobs: dict[str, Demand] = {}
    now = NOW
    for turn in range(60):
        now += dice.choice([0, 1, 30])
        if turn < 25 and dice.random() < 0.6:
            pool = dice.choice(["a", "b", None])
            jobs[f"j{turn}"] = a_demand(
                f"j{turn}", pool, count=dice.choice([1, 1, 2]), sequence=turn, root=dice.choice(["", "p", "s"])
            )
        for name in [name for name, job in jobs.items() if job.nodes is not None and dice.random() < 0.4]:
            if jobs[name].evicted:
                jobs[name] = replace(jobs[name], nodes=None, evicted=False)
            else:
                del jobs[name]
        done = allocate(pools.values(), jobs.values(), now, boot_s=boot_s, node_limit=limit)
        pools = done.pools
        assert not done.failed
        for name, nodes in done.placed.items():
            assert jobs[name].nodes is None
            jobs[name] = replace(jobs[name], nodes=nodes)
        for name in done.evicted:
            jobs[name] = replace(jobs[name], evicted=True)
        check(pools, jobs)
    for _ in range(200):
        now += 10
        jobs = {name: job for name, job in jobs.items() if job.nodes is None}
        done = allocate(pools.values(), jobs.values(), now, boot_s=boot_s, node_limit=limit)
        pools = done.pools
        jobs = {name: replace(job, nodes=done.placed.get(name)) for name, job in jobs.items()}
    assert jobs == {}
    assert [len(pool.nodes) for pool in pools.values()] == [pool.least for pool in pools.values()]


def check(pools: dict[str, Pool], jobs: dict[str, Demand]) -> None:
    for pool in pools.values():
        assert len(pool.nodes) <= pool.most
        assert len({node.id for node in pool.nodes}) == len(pool.nodes)
    of_nodes = {node.id: node.job for pool in pools.values() for node in pool.nodes if node.job}
    for name, job in jobs.items():
        for node in job.nodes or ():
            assert of_nodes[node] == name
    for node, name in of_nodes.items():
        assert node in (jobs[str(name)].nodes or ())
