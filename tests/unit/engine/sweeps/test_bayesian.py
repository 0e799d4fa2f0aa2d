from __future__ import annotations

import pytest
from optuna.search_space import IntersectionSearchSpace

from lazulite.engine.sweeps.bayesian import Bayesian
from lazulite.engine.sweeps.sampling import Known
from lazulite.model import sweep
from lazulite.model.search_space import Values

SPACE = {
    "x": ["uniform", [-5, 5]],
    "one": ["choice", [["only"]]],
    "kind": ["choice", [["a", {"name": "b", "q": ["normal", [0, 1]]}]]],
}
SETTINGS = sweep.read(
    "s",
    {
        "searchSpace": SPACE,
        "samplingAlgorithm": {"samplingAlgorithmType": "bayesian", "seed": 1},
        "objective": {"goal": "minimize", "primaryMetric": "m"},
    },
)


def loss(values: Values) -> float:
    return float(values["x"] - 2) ** 2


def test_made_again_among_running_and_failed_trials_it_goes_on_as_before() -> None:
    first = Bayesian(SETTINGS, [])
    drawn, known, running = [], {}, []
    for number in range(27):
        point, values = first.draw(number)
        drawn.append(values)
        known[number] = Known(number, point)
        running.append(number)
        if number < 26 and len(running) > 4:
            over = running.pop(number % 4)
            score = None if over % 7 == 0 else loss(drawn[over])
            first.tell(over, score)
            known[over] = Known(over, known[over].point, True, score)
    del known[26]
    assert Bayesian(SETTINGS, known.values()).draw(26)[1] == drawn[26]


def test_what_is_drawn_together_is_known_and_not_found_by_comparing_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*_: object, **__: object) -> None:
        raise AssertionError("every trial was looked at")

    monkeypatch.setattr(IntersectionSearchSpace, "calculate", compared)
    learning = Bayesian(SETTINGS, [])
    drawn = []
    for number in range(30):
        drawn.append(learning.draw(number)[1])
        learning.tell(number, loss(drawn[-1]))
    assert sum(map(loss, drawn[20:])) < sum(map(loss, drawn[:10])) / 2
