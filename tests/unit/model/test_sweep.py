from __future__ import annotations

import math
from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model import sweep
from lazulite.model.sweep import Policy


def document(**changes: Any) -> dict[str, Any]:
    return {
        "searchSpace": {"x": ["uniform", [0, 1]]},
        "objective": {"goal": "Minimize", "primaryMetric": "loss"},
        "trial": {
            "command": "python t.py ${{search_space.x}} ${{ search_space.x }} ${{inputs.y}}",
            "environmentId": "e",
        },
        **changes,
    }


def test_defaults_are_azures() -> None:
    found = sweep.read("s", document())
    assert (found.algorithm, found.trials, found.concurrent, found.maximize) == ("random", 1000, 1000, False)
    assert (found.policy, found.timeout_s) == (None, None)
    assert found.seed == sweep.read("S", document()).seed != sweep.read("other", document()).seed


@pytest.mark.parametrize(
    ("sampling", "algorithm"),
    [
        ({"samplingAlgorithmType": "Random"}, "random"),
        ({"samplingAlgorithmType": "Random", "rule": "Sobol", "seed": 3}, "sobol"),
        ({"samplingAlgorithmType": "Bayesian"}, "bayesian"),
    ],
)
def test_algorithms(sampling: dict[str, Any], algorithm: str) -> None:
    assert sweep.read("s", document(samplingAlgorithm=sampling)).algorithm == algorithm


def test_a_grid_has_no_more_trials_than_points() -> None:
    grid = {"samplingAlgorithm": {"samplingAlgorithmType": "Grid"}, "searchSpace": {"x": ["choice", [[1, 2, 3]]]}}
    assert sweep.read("s", document(**grid, limits={"maxTotalTrials": 4})).trials == 3
    assert sweep.read("s", document(**grid, limits={"maxTotalTrials": 2})).trials == 2


def test_logbase_is_the_base_of_logarithmic_scales() -> None:
    space = {"x": ["loguniform", [1, 3]]}
    given = {"samplingAlgorithmType": "Random", "logbase": 10}
    assert sweep.read("s", document(searchSpace=space, samplingAlgorithm=given)).space.values({"x": 0.5})["x"] == 100
    natural = sweep.read("s", document(searchSpace=space, samplingAlgorithm={**given, "logbase": "e"}))
    assert natural.space.values({"x": 0.5})["x"] == pytest.approx(math.e**2)


def test_policies() -> None:
    def read(**policy: Any) -> Policy | None:
        return sweep.read("s", document(earlyTermination=policy)).policy

    assert read(policyType="Bandit", slackFactor=0.1, evaluationInterval=2, delayEvaluation=5) == Policy(
        "bandit", interval=2, delay=5, slack_factor=0.1
    )
    assert read(policyType="MedianStopping", evaluationInterval=0) == Policy("medianstopping", interval=1)
    assert read(policyType="TruncationSelection", truncationPercentage=20) == Policy(
        "truncationselection", percentage=20
    )


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"samplingAlgorithm": {"samplingAlgorithmType": "Genetic"}}, "samplingAlgorithm"),
        ({"samplingAlgorithm": {"samplingAlgorithmType": "Grid"}}, "searchSpace.x"),
        ({"samplingAlgorithm": {"samplingAlgorithmType": "Random", "seed": -1}}, "samplingAlgorithm.seed"),
        ({"samplingAlgorithm": {"samplingAlgorithmType": "Random", "logbase": 1}}, "samplingAlgorithm.logbase"),
        ({"objective": None}, "objective"),
        ({"objective": {"goal": "best", "primaryMetric": "loss"}}, "objective.goal"),
        ({"limits": {"maxTotalTrials": 0}}, "limits.maxTotalTrials"),
        ({"limits": {"maxTotalTrials": 2, "maxConcurrentTrials": 3}}, "limits.maxConcurrentTrials"),
        ({"limits": {"timeout": "an hour"}}, "limits.timeout"),
        ({"limits": {"trialTimeout": "an hour"}}, "limits.trialTimeout"),
        ({"earlyTermination": {"policyType": "Patience"}}, "earlyTermination.policyType"),
        ({"earlyTermination": {"policyType": "Bandit", "slackFactor": -1}}, "earlyTermination.slackFactor"),
        (
            {"earlyTermination": {"policyType": "Bandit", "slackFactor": 1, "slackAmount": 1}},
            "earlyTermination.slackAmount",
        ),
        (
            {"earlyTermination": {"policyType": "TruncationSelection", "truncationPercentage": 100}},
            "earlyTermination.truncationPercentage",
        ),
        ({"limits": [1]}, "limits"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], target: str) -> None:
    with pytest.raises(ApiError) as refusal:
        sweep.read("s", document(**changes))
    assert (refusal.value.status, refusal.value.target) == (400, f"properties.{target}")


def test_a_trial_is_a_command_job_with_the_values_as_inputs_and_variables() -> None:
    given = document(
        computeId="c",
        inputs={"y": {"jobInputType": "literal", "value": "1"}},
        outputs={"o": {"jobOutputType": "uri_folder", "assetName": "best", "assetVersion": "2"}},
        limits={"trialTimeout": "PT1M"},
        resources={"instanceCount": 2},
    )
    found = sweep.trial_properties(given, {"x": 0.5, "z": {"k": [1]}})
    assert found["command"] == "python t.py ${{inputs.x}} ${{inputs.x}} ${{inputs.y}}"
    assert {name: one["value"] for name, one in found["inputs"].items()} == {"y": "1", "x": "0.5", "z": '{"k": [1]}'}
    assert found["outputs"] == {"o": {"jobOutputType": "uri_folder"}}
    assert found["environmentVariables"] == {"AZUREML_SWEEP_x": "0.5", "AZUREML_SWEEP_z": '{"k": [1]}'}
    assert (found["limits"]["timeout"], found["resources"], found["computeId"]) == ("PT1M", {"instanceCount": 2}, "c")
