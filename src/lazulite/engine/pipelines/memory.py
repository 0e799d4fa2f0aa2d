"""What is known of one pipeline while it runs; all of it can be read from the store again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lazulite.engine.pipelines.births import Gathered
from lazulite.engine.pipelines.progress import Needs, Progress
from lazulite.engine.pipelines.unfold import Unfolded, Unfolding
from lazulite.model.job_status import JobState
from lazulite.model.pipeline_flow import Flow, Source
from lazulite.store.resources import Resource


@dataclass(slots=True)
class Memory:
    """`stale`: the pipeline's own row changed. `dirty`: jobs that changed. `whole`: all jobs are to be read again."""

    job: Resource
    graph: dict[str, Needs]
    log: Path | None
    lines: list[str]
    told: set[str]  # "<job> <state>" of what stands in the log
    progress: Progress | Unfolding  # the latter where there are choices or loops
    nodes: dict[str, tuple[str, int]] = field(default_factory=dict)  # step and attempt by the name of its job
    latest: dict[str, tuple[str, JobState]] = field(default_factory=dict)  # the last job of each step, by the step
    lost: dict[str, int] = field(default_factory=dict)  # steps to be tried again, with the attempts that were made
    reasons: dict[str, str] = field(default_factory=dict)  # why jobs failed, in a line
    stopped: set[str] = field(default_factory=set)  # jobs whose end was asked for
    stale: bool = False
    whole: bool = True
    dirty: set[str] = field(default_factory=set)
    written: int | None = None
    flow: Flow = field(default_factory=Flow)
    gathered: dict[str, Gathered] = field(default_factory=dict)  # the loops over items that are over
    texts: dict[tuple[Source, str | None], str] = field(default_factory=dict)  # what they decided by

    def learn(self, states: Mapping[str, JobState]) -> set[str]:
        """Take in states by the names of jobs; return the steps whose latest job is news."""
        changed = set()
        for name, state in states.items():
            step, attempt = self.nodes[name]
            known = self.latest.get(step)
            if known == (name, state) or (known is not None and self.nodes[known[0]][1] > attempt):
                continue
            self.latest[step] = (name, state)
            self.lost.pop(step, None)
            self._tell(step, state)
            changed.add(step)
        return changed

    def lose(self, step: str, attempts: int) -> None:
        """The step's job counts no more: it is to have another one."""
        self.lost[step] = attempts
        self._tell(step, None)

    def forget(self, names: set[str]) -> None:
        """These jobs are gone."""
        for step in [step for step, (name, _) in self.latest.items() if name in names]:
            del self.latest[step]
            self.lost.pop(step, None)
            self._tell(step, None)

    def loops_over(self, unfolded: Unfolded) -> dict[str, Gathered]:
        """The loops over items that are over, by their names."""
        for body, loop in self.flow.bodies.items():
            if body in unfolded.states and loop.name in unfolded.gathered and loop.name not in self.gathered:
                jobs = tuple(self.latest[step][0] for step in unfolded.gathered[loop.name])
                self.gathered[loop.name] = Gathered(body, jobs)
        return self.gathered

    def _tell(self, step: str, state: JobState | None) -> None:
        if state is None:
            self.gathered.clear()
        self.progress.learn(step, state)
