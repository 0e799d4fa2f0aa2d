"""A sweep as a node of a pipeline says it, in snake_case, made into what a sweep job says. Pure."""

from __future__ import annotations

from typing import Any

from lazulite.core.errors import validation
from lazulite.core.numbers import whole_number
from lazulite.model.pipeline_graph import field

Json = dict[str, Any]

#: The arguments of each distribution, in the order of the REST API.
_ARGUMENTS = {
    "choice": ("values",),
    "randint": ("upper",),
    "uniform": ("min_value", "max_value"),
    "loguniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "qlognormal": ("mu", "sigma", "q"),
}
_POLICY = ("policy_type", "evaluation_interval", "delay_evaluation", "slack_factor", "slack_amount")
_TIMES = ("timeout", "trial_timeout")


def settings(node: Json, target: str) -> Json:
    """`searchSpace`, `samplingAlgorithm`, `objective`, `limits` and `earlyTermination` of a sweep job.

    Raises ApiError 400 where they do not even have the shape; what they say is checked as a job's.
    """
    limits = _object(node, "limits", target)
    found = {
        "searchSpace": {name: _distribution(entry) for name, entry in _object(node, "search_space", target).items()},
        "samplingAlgorithm": _sampling(field(node, "sampling_algorithm"), target),
        "objective": _camel(_object(node, "objective", target), ("goal", "primary_metric")),
        "limits": {
            **_camel(limits, ("max_total_trials", "max_concurrent_trials")),
            **{name: _duration(value) for name, value in _camel(limits, _TIMES).items()},
        },
    }
    policy = _object(node, "early_termination", target)
    if policy:
        found["earlyTermination"] = _camel(policy, (*_POLICY, "truncation_percentage"))
        kind = str(found["earlyTermination"].get("policyType") or policy.get("type") or "")
        found["earlyTermination"]["policyType"] = kind.replace("_", "")
    return found


def _distribution(entry: Any) -> Any:
    """`{"type": "uniform", "min_value": 0, "max_value": 1}` as `["uniform", [0, 1]]`; anything else as it is."""
    kind = str(entry.get("type") or "").lower() if isinstance(entry, dict) else ""
    if kind not in _ARGUMENTS:
        return [kind, []] if kind else entry
    arguments = [field(entry, name) for name in _ARGUMENTS[kind]]
    if kind == "choice" and isinstance(arguments[0], list):
        arguments = [[_option(option) for option in arguments[0]]]
    return [kind, arguments]


def _option(option: Any) -> Any:
    if not isinstance(option, dict):
        return option
    inner = {k: isinstance(v, dict) and str(v.get("type")).lower() in _ARGUMENTS for k, v in option.items()}
    return {name: _distribution(value) if inner[name] else value for name, value in option.items()}


def _sampling(given: Any, target: str) -> Json:
    if given is None or isinstance(given, str):
        return {"samplingAlgorithmType": given or "random"}
    if not isinstance(given, dict):
        raise validation("sampling_algorithm must be a name or an object.", f"{target}.sampling_algorithm")
    found = {name: given[name] for name in ("rule", "seed", "logbase") if given.get(name) is not None}
    kind = field(given, "sampling_algorithm_type") or given.get("type") or "random"
    return {"samplingAlgorithmType": kind, **found}


def _camel(given: Json, names: tuple[str, ...]) -> Json:
    found = {}
    for name in names:
        value = field(given, name)
        if value is not None:
            head, *rest = name.split("_")
            found[head + "".join(word.capitalize() for word in rest)] = value
    return found


def _duration(value: Any) -> str:
    text = str(value)
    return f"PT{text}S" if whole_number(text) is not None else text


def _object(node: Json, name: str, target: str) -> Json:
    found = field(node, name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise validation(f"{name} must be an object.", f"{target}.{name}")
    return found
