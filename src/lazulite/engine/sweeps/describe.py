"""How a sweep is told of where Azure's clients look: its run's tags, its job's properties, the head of its log. Pure."""

from __future__ import annotations

import json

from lazulite.engine.sweeps.decide import Trial
from lazulite.engine.sweeps.trials import name_of
from lazulite.model.sweep import SweepSettings
from lazulite.store.resources import Resource

_GENERATORS = {"random": "RANDOM", "sobol": "RANDOM", "grid": "GRID", "bayesian": "BAYESIANOPTIMIZATION"}


def properties(job: Resource, settings: SweepSettings, best: Trial | None) -> dict[str, str]:
    """`best_child_run_id` is what the SDK and notebooks read."""
    found = {
        "azureml.runsource": "hyperdrive",
        "platform": "AML",
        "runTemplate": "HyperDrive",
        "primary_metric_config": _objective(settings),
    }
    if best is not None:
        child = name_of(job.name, best.number)
        found |= {
            "best_child_run_id": child,
            "best_data_container_id": f"dcid.{child}",
            "best_metric_status": "Succeeded",
            "score": repr(best.score),
        }
    return found


def tags(job: Resource, settings: SweepSettings) -> dict[str, str]:
    generator = {"name": _GENERATORS[settings.algorithm], "parameter_space": job.properties.get("searchSpace")}
    found = {
        "generator_config": json.dumps(generator),
        "max_concurrent_jobs": str(settings.concurrent),
        "max_total_jobs": str(settings.trials),
        "policy_config": json.dumps(_policy(settings)),
        "primary_metric_config": _objective(settings),
    }
    if settings.timeout_s is not None:
        found["max_duration_minutes"] = f"{settings.timeout_s / 60:g}"
    return found


def plan(settings: SweepSettings) -> str:
    policy = settings.policy.kind if settings.policy else "none"
    return (
        f"Sweep of {settings.trials} trials, {settings.concurrent} at a time, sampled by {settings.algorithm} "
        f"(seed {settings.seed}), to {'maximize' if settings.maximize else 'minimize'} {settings.metric}; "
        f"early termination: {policy}."
    )


def _objective(settings: SweepSettings) -> str:
    return json.dumps({"name": settings.metric, "goal": "maximize" if settings.maximize else "minimize"})


def _policy(settings: SweepSettings) -> dict[str, object]:
    policy = settings.policy
    if policy is None:
        return {"name": "DEFAULT"}
    common = {"evaluation_interval": policy.interval, "delay_evaluation": policy.delay}
    if policy.kind == "bandit":
        return {
            "name": "BANDIT",
            "properties": {**common, "slack_factor": policy.slack_factor, "slack_amount": policy.slack_amount},
        }
    if policy.kind == "medianstopping":
        return {"name": "MEDIAN", "properties": common}
    return {"name": "TRUNCATION", "properties": {**common, "truncation_percentage": policy.percentage}}
