"""What the controller knows of one sweep. All of it can be read from the store again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import Connection

from lazulite.engine.sweeps import trials
from lazulite.engine.sweeps.policies import Evaluation, best_value, evaluate
from lazulite.engine.sweeps.sampling import Sampler, sampler
from lazulite.model import sweep
from lazulite.model.job_status import TERMINAL, JobState
from lazulite.model.search_space import Point
from lazulite.model.sweep import SweepSettings
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

_EVENT = "sweep"


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the log, and what it is the trace of: a trial that is `over`, or whose end was asked for."""

    line: str
    over: int | None = None
    stop: int | None = None

    def record(self, c: Connection, job: Resource) -> None:
        data: Json = {"line": self.line, "over": self.over, "stop": self.stop}
        resources.record(c, job.id, _EVENT, {key: value for key, value in data.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of a sweep beside its job: made into a `Memory` off the store's threads."""

    events: list[Json]
    points: dict[int, Point]
    histories: dict[int, list[float]]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the trials: `over` are those that ended since the look before."""

    states: dict[int, JobState]
    histories: dict[int, list[float]]
    over: list[int]

    @property
    def active(self) -> list[int]:
        return [number for number, state in self.states.items() if state not in TERMINAL]


@dataclass(slots=True)
class Memory:
    """`scores` and `histories` are those of the trials that are over, `stopping` whose end was asked for."""

    row: int  # the number of the sweep's row
    settings: SweepSettings
    sampler: Sampler
    log: Path | None
    lines: list[str]
    scores: dict[int, float | None]
    histories: dict[int, list[float]]
    stopping: set[int] = field(default_factory=set)
    written: int | None = None

    def learn(self, look: Look) -> None:
        """Take the trials that ended into account."""
        for number in look.over:
            values = look.histories.get(number, [])
            self.scores[number] = best_value(values, self.settings.maximize)
            self.sampler.tell(number, self.scores[number])
            if self.settings.policy is not None:
                self.histories[number] = values

    def judge(self, look: Look, judged: dict[int, int]) -> Evaluation:
        """What the policy says of the running trials; `judged` has the interval each was last judged at."""
        if self.settings.policy is None:
            return Evaluation({}, {})
        histories = {**self.histories, **look.histories}
        return evaluate(self.settings.policy, self.settings.maximize, histories, look.active, judged)

    def stored(self, events: list[Event]) -> None:
        """These events are in the store."""
        self.lines += [event.line for event in events]
        self.stopping |= {event.stop for event in events if event.stop is not None}


def read(c: Connection, job: Resource, metric: str) -> Stored:
    events = [event["data"] for event in resources.history(c, job.id) if event["kind"] == _EVENT]
    over = [int(event["over"]) for event in events if "over" in event]
    return Stored(events, trials.drawn(c, job), trials.histories(c, job, over, metric))


def remember(job: Resource, stored: Stored, log: Path | None) -> Memory:
    settings = sweep.read(job.name, job.properties)
    scores = {
        int(event["over"]): best_value(stored.histories.get(int(event["over"]), []), settings.maximize)
        for event in stored.events
        if "over" in event
    }
    return Memory(
        job.sequence,
        settings,
        sampler(settings, trials.known(stored.points, scores)),
        log,
        [str(event["line"]) for event in stored.events],
        scores,
        stored.histories if settings.policy is not None else {},
        {int(event["stop"]) for event in stored.events if "stop" in event},
    )


def look(c: Connection, job: Resource, memory: Memory) -> Look:
    states = trials.states(c, job)
    over = [number for number, state in states.items() if state in TERMINAL and number not in memory.scores]
    running = [number for number, state in states.items() if state not in TERMINAL]
    wanted = [*over, *running] if memory.settings.policy is not None else over
    return Look(states, trials.histories(c, job, wanted, memory.settings.metric), over)
