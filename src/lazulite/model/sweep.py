"""A sweep job's settings as its document says them, and the command job that one of its trials is. Pure."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import Any

from lazulite.core.clock import parse_duration
from lazulite.core.errors import nearest, validation
from lazulite.model import search_space
from lazulite.model.search_space import Space, Values

Json = dict[str, Any]

#: Azure's limits where a sweep does not set them.
DEFAULT_TRIALS = 1000
_ALGORITHMS = ("random", "grid", "bayesian")
_RULES = ("random", "sobol")
_POLICIES = ("bandit", "medianstopping", "truncationselection")
_SEARCHED = re.compile(r"\$\{\{\s*search_space\.([A-Za-z0-9_]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Policy:
    """When trials that do badly are ended early. An interval is one logged value of the primary metric."""

    kind: str  # bandit | medianstopping | truncationselection
    interval: int = 1
    delay: int = 0
    slack_factor: float = 0.0
    slack_amount: float = 0.0
    percentage: int = 0


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """`algorithm` is random, sobol, grid or bayesian; times are seconds."""

    space: Space
    algorithm: str
    seed: int
    metric: str
    maximize: bool
    trials: int
    concurrent: int
    timeout_s: float | None = None
    policy: Policy | None = None


def read(name: str, properties: Json) -> SweepSettings:
    """The settings of the sweep job of that name. Raises ApiError 400 naming the field that cannot be."""
    sampling = _object(properties, "samplingAlgorithm")
    algorithm = _word(sampling.get("samplingAlgorithmType") or "random", _ALGORITHMS, "samplingAlgorithm")
    if algorithm == "random" and sampling.get("rule"):
        algorithm = _word(sampling["rule"], _RULES, "samplingAlgorithm.rule")
    space = search_space.parse(properties.get("searchSpace"), base=_base(sampling.get("logbase")))
    objective = _object(properties, "objective")
    metric = objective.get("primaryMetric")
    if not isinstance(metric, str) or not metric:
        raise validation("A sweep needs objective.primaryMetric, a metric its trials log.", _at("objective"))
    goal = _word(objective.get("goal") or "", ("minimize", "maximize"), "objective.goal")
    limits = _object(properties, "limits")
    trials = _count(limits.get("maxTotalTrials"), DEFAULT_TRIALS, "limits.maxTotalTrials")
    concurrent = _count(limits.get("maxConcurrentTrials"), trials, "limits.maxConcurrentTrials")
    if concurrent > trials:
        raise validation(
            f"maxConcurrentTrials is {concurrent} and must not be more than maxTotalTrials, {trials}.",
            _at("limits.maxConcurrentTrials"),
        )
    _duration(limits.get("trialTimeout"), "limits.trialTimeout")
    return SweepSettings(
        space=space,
        algorithm=algorithm,
        seed=_seed(sampling.get("seed"), name),
        metric=metric,
        maximize=goal == "maximize",
        trials=min(trials, _grid(space)) if algorithm == "grid" else trials,
        concurrent=concurrent,
        timeout_s=_duration(limits.get("timeout"), "limits.timeout"),
        policy=_policy(_object(properties, "earlyTermination")),
    )


def trial_properties(properties: Json, values: Values) -> Json:
    """The command job of one trial: what is searched becomes literal inputs, and variables `AZUREML_SWEEP_<name>`."""
    trial = properties.get("trial") or {}
    literals = {name: _text(value) for name, value in values.items()}
    limits = properties.get("limits") or {}
    timeout = limits.get("trialTimeout")
    return {
        "jobType": "Command",
        "command": _SEARCHED.sub(r"${{inputs.\1}}", str(trial.get("command") or "")),
        "codeId": trial.get("codeId"),
        "environmentId": trial.get("environmentId"),
        "computeId": properties.get("computeId"),
        "distribution": trial.get("distribution"),
        "resources": properties.get("resources") or trial.get("resources"),
        "identity": properties.get("identity"),
        "queueSettings": properties.get("queueSettings"),
        "limits": {"jobLimitsType": "Command", "timeout": timeout} if timeout else None,
        "inputs": {
            **(properties.get("inputs") or {}),
            **{name: {"jobInputType": "literal", "value": text} for name, text in literals.items()},
        },
        "outputs": {name: _unnamed(output) for name, output in (properties.get("outputs") or {}).items()},
        "environmentVariables": {
            **(trial.get("environmentVariables") or {}),
            **{f"AZUREML_SWEEP_{name}": text for name, text in literals.items()},
        },
    }


def searched_names(command: str) -> list[str]:
    """The entries of the search space that a trial's command uses."""
    return _SEARCHED.findall(command)


def texts(values: Values) -> dict[str, str]:
    """Values as a command line gets them."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _unnamed(output: Any) -> Any:
    """A trial's output without the asset it is to be registered as: that is the best trial's alone."""
    if not isinstance(output, dict):
        return output
    return {key: value for key, value in output.items() if key not in ("assetName", "assetVersion")}


def _policy(given: Json) -> Policy | None:
    if not given:
        return None
    kind = _word(given.get("policyType") or "", _POLICIES, "earlyTermination.policyType", shown=_POLICY_NAMES)
    at = "earlyTermination."
    policy = Policy(
        kind,
        interval=max(1, _count(given.get("evaluationInterval"), 1, at + "evaluationInterval", least=0)),
        delay=_count(given.get("delayEvaluation"), 0, at + "delayEvaluation", least=0),
        slack_factor=_slack(given.get("slackFactor"), at + "slackFactor"),
        slack_amount=_slack(given.get("slackAmount"), at + "slackAmount"),
        percentage=_count(given.get("truncationPercentage"), 0, at + "truncationPercentage", least=0),
    )
    if kind == "bandit" and policy.slack_factor and policy.slack_amount:
        raise validation("A bandit policy takes slackFactor or slackAmount, not both.", _at(at + "slackAmount"))
    if kind == "truncationselection" and not 1 <= policy.percentage <= 99:
        raise validation(
            f"truncationPercentage is {policy.percentage} and must be from 1 to 99.", _at(at + "truncationPercentage")
        )
    return policy


_POLICY_NAMES = ("Bandit", "MedianStopping", "TruncationSelection")


def _grid(space: Space) -> int:
    size = space.grid_size()
    if size is not None:
        return size
    endless = next(name for name, entry in space.entries if Space(((name, entry),)).grid_size() is None)
    raise validation(
        f"Grid sampling tries every combination, and '{endless}' has no end of values: "
        "use choice, randint or quniform there, or another sampling algorithm.",
        f"properties.searchSpace.{endless}",
    )


def _base(given: Any) -> float:
    if given is None or given == "e":
        return math.e
    try:
        base = float(given)
    except (TypeError, ValueError):
        base = 0.0
    if base <= 0 or base == 1 or not math.isfinite(base):
        raise validation(
            f"logbase is '{given}' and must be a positive number other than 1, or 'e'.",
            _at("samplingAlgorithm.logbase"),
        )
    return base


def _seed(given: Any, name: str) -> int:
    if given is None:
        return zlib.crc32(name.lower().encode())
    return _count(given, 0, "samplingAlgorithm.seed", least=0)


def _slack(given: Any, field: str) -> float:
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given < 0:
        raise validation(f"{field} is {given!r} and must be a number from 0.", _at(field))
    return float(given)


def _count(given: Any, otherwise: int, field: str, *, least: int = 1) -> int:
    if given is None:
        return otherwise
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise validation(f"{field} is {given!r} and must be a whole number from {least}.", _at(field))
    return given


def _duration(given: Any, field: str) -> float | None:
    if given is None:
        return None
    try:
        return parse_duration(str(given))
    except ValueError as error:
        raise validation(f"{field}: {error}.", _at(field)) from None


def _object(properties: Json, field: str) -> Json:
    found = properties.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise validation(f"{field} must be an object.", _at(field))
    return found


def _word(given: Any, allowed: tuple[str, ...], field: str, *, shown: tuple[str, ...] | None = None) -> str:
    word = str(given).lower()
    if word not in allowed:
        names = shown or allowed
        raise validation(
            f"{field} is '{given}' and must be one of {', '.join(names)}.{nearest(str(given), names)}", _at(field)
        )
    return word


def _at(field: str) -> str:
    return f"properties.{field}"
