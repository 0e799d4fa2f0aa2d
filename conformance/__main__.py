"""`python -m conformance --labs DIR --examples DIR`: run the manifest's cases and print what came of them.

`--mlflow DIR` runs MLflow's own tests of its client.
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import lazulite
from conformance import clients, jobs, mirror, mlflow_tests, notebooks, platform, sandbox, scripts
from conformance.manifest import ROOTS, Case, ManifestError, load
from conformance.report import Result, exit_code, table
from lazulite.cli.home import required_server
from lazulite.cli.process import stop

T = TypeVar("T", Case, clients.Client)
_WHERE = "The platform's log is {}/server.log; what the case read and wrote is in {}."


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--labs", type=Path, metavar="DIR", help="a checkout of MicrosoftLearning/mslearn-azure-ml")
    parser.add_argument("--mlops", type=Path, metavar="DIR", help="a checkout of MicrosoftLearning/mslearn-mlops")
    parser.add_argument("--examples", type=Path, metavar="DIR", help="a checkout of Azure/azureml-examples")
    parser.add_argument(
        "--assets", type=Path, metavar="DIR", help="a checkout of Azure/azureml-assets, for cases that load it"
    )
    parser.add_argument("--mlflow", type=Path, metavar="DIR", help="a checkout of a release of mlflow/mlflow")
    parser.add_argument(
        "--clients", action="store_true", help="run MLflow's and azureml-mlflow's clients of clients.toml"
    )
    parser.add_argument("--manifest", type=Path, default=Path(__file__).with_name("manifest.toml"), metavar="FILE")
    parser.add_argument("--only", default="", metavar="REGEX", help="run the cases whose name matches")
    parser.add_argument("--home", type=Path, default=Path(".conformance"), metavar="DIR", help="the platform's folder")
    given = parser.parse_args(arguments)
    checkouts = {name: path.absolute() for name in ROOTS if (path := getattr(given, name))}
    if not checkouts and not given.mlflow and not given.clients:
        parser.error("name a checkout (--labs DIR, --mlops DIR, --examples DIR, --mlflow DIR), or give --clients")
    failed = _cases(parser, given, checkouts) if checkouts else 0
    failed |= _clients(given.home.absolute(), given.only) if given.clients else 0
    return failed | (_mlflow(given.mlflow.absolute(), given.home.absolute(), given.only) if given.mlflow else 0)


def _cases(parser: argparse.ArgumentParser, given: argparse.Namespace, checkouts: dict[str, Path]) -> int:
    try:
        cases = load(given.manifest)
    except ManifestError as error:
        parser.error(str(error))
    chosen = [case for case in cases if re.search(given.only, case.name)]
    runnable = [case for case in chosen if case.root in checkouts and (given.assets or not case.public_assets)]
    public = given.assets.absolute() if given.assets else Path()
    results = _run_all(runnable, checkouts, public, given.home.absolute())
    print("\n" + table(results))
    if len(runnable) < len(chosen):
        print(f"({len(chosen) - len(runnable)} cases left out, whose checkout was not named)")
    return exit_code(results)


def _clients(home: Path, only: str) -> int:
    chosen = [client for client in clients.load() if re.search(only, client.name)]
    results = _results(home, chosen, lambda activation, client, scratch: clients.run(client, activation, scratch))
    print("\n" + table(results))
    return exit_code(results)


def _mlflow(checkout: Path, home: Path, only: str) -> int:
    activation = lazulite.activate(home)
    scratch = Path(tempfile.mkdtemp(prefix="lazulite-mlflow-"))
    try:
        text, code = mlflow_tests.run(checkout, activation, scratch, only)
    except mlflow_tests.CannotRun as error:
        text, code = str(error), 1
    finally:
        if activation.started:
            stop(required_server(home))
    print(f"\n{text}\n\nWhat pytest said is in {scratch}/pytest.log." if code else f"\n{text}")
    if not code:
        shutil.rmtree(scratch)
    return code


def _run_all(cases: list[Case], checkouts: dict[str, Path], public: Path, home: Path) -> list[Result]:
    mirror.lay_out(home, cases, checkouts)
    return _results(
        home, cases, lambda activation, case, scratch: _run(case, checkouts[case.root], public, activation, scratch)
    )


def _results(home: Path, cases: list[T], run: Callable[[lazulite.Activation, T, Path], Result]) -> list[Result]:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    activation = lazulite.activate(home)
    scratch = Path(tempfile.mkdtemp(prefix="lazulite-conformance-"))
    results = []
    try:
        for case in cases:
            print(f"{case.name} ...", end=" ", flush=True)
            result = run(activation, case, scratch / re.sub(r"\W+", "-", case.name))
            print(f"{'passed' if result.passed else 'FAILED'} ({result.seconds:.1f} s)", flush=True)
            if not result.passed:
                print("    " + result.reason.strip().splitlines()[0], flush=True)
            results.append(result)
    finally:
        if activation.started:
            stop(required_server(home))
        if all(result.passed for result in results):
            shutil.rmtree(scratch)
    return results


def _run(case: Case, checkout: Path, public: Path, activation: lazulite.Activation, scratch: Path) -> Result:
    began = time.monotonic()
    notes = [f"mapped {public.url}" for public in case.mirrors]
    submitted = 0
    try:
        platform.load_public_assets(activation, [sandbox.required(public, folder) for folder in case.public_assets])
        file = sandbox.copy(case, checkout, scratch)
        place = platform.make(activation, case, checkout)
        sandbox.config(file.parent, place.subscription, place.group, place.workspace)
        if case.kind == "notebook":
            notes += notebooks.run(case, file, place, activation.home / "kernels")
        elif case.kind == "job":
            notes += jobs.run(case, file, place)
        else:
            notes += scripts.run(case, file, place)
        made = platform.wait(place.client, 0, time.monotonic())
        submitted = len(made)
        platform.check(place, made, case.jobs, scratch)
        platform.remove(place)
    except Exception as error:
        # A case may fail in any way a client can; the others go on.
        reason = f"{type(error).__name__}: {error}\n" + _WHERE.format(activation.home, scratch)
        return Result(case.name, time.monotonic() - began, submitted, reason, notes)
    return Result(case.name, time.monotonic() - began, submitted, "", notes)


if __name__ == "__main__":
    sys.exit(main())
