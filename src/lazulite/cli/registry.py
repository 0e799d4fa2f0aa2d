"""`lazulite registry load`: public components and environments from a checkout, for servers without a network."""

from __future__ import annotations

import argparse
import fnmatch
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lazulite.cli import activation, asset_checkout
from lazulite.cli.asset_checkout import Asset
from lazulite.cli.client import call
from lazulite.cli.errors import FAILED, OK, CommandError
from lazulite.cli.home import home_folder, required_server
from lazulite.cli.parser import add_command
from lazulite.core.extras import install_command

KINDS = ("environment", "data", "component")
_EXAMPLES = """\
  lazulite registry load azureml-assets/assets/responsibleai
  lazulite registry load azureml-assets/assets --only 'rai_tabular_*'
  lazulite registry load my-assets --registry team"""


def add_registry(commands: Any) -> None:
    group = add_command(commands, "registry", None, "fill registries", home=False)
    verbs = group.add_subparsers(title="commands", metavar="COMMAND")
    parser = add_command(
        verbs,
        "load",
        load,
        "load a checkout of public assets into a registry",
        description="Load components, environments and data from a checkout of the form of github.com/Azure/azureml-assets\n"
        "into a registry, so that azureml://registries/azureml/components/... runs without a network. What is there\n"
        "already stays. Needs azure-ai-ml.",
        examples=_EXAMPLES,
    )
    parser.add_argument("folder", metavar="FOLDER", help="a folder with asset.yaml files in it or below it")
    parser.add_argument("--registry", default="azureml", metavar="R", help="where to load them (default: azureml)")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="assets of these names; * and ? match")


def load(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    assets = asset_checkout.read(Path(arguments.folder))
    wanted = [one for one in assets if any(fnmatch.fnmatchcase(one.name, glob) for glob in arguments.only)]
    if not wanted:
        raise CommandError(f"none of the {len(assets)} assets is called {' or '.join(arguments.only)}")
    # Pipelines of the public assets choose and loop, which the SDK reads from YAML only with this.
    os.environ["AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED"] = "True"
    try:
        from lazulite.cli.asset_loading import Loading
    except ImportError as error:
        raise CommandError(
            f"loading needs azure-ai-ml ({error})", f"install it beside lazulite: {install_command('sdk')}"
        ) from None
    # The registry is looked for first: its refusal says the nearest name and how to make one.
    call(server, "GET", f"/registrymanagement/v1.0/registries/{quote(arguments.registry, safe='')}/discovery")
    activation.activate(arguments.home)
    return _load(Loading(arguments.registry, assets), wanted)


def _load(loading: Any, wanted: list[Asset]) -> int:
    """Load what can be loaded, again and again while that brings in what others need. Returns the exit code."""
    waiting = [one for kind in KINDS for one in wanted if one.kind == kind]
    skipped = Counter(one.kind for one in wanted if one.kind not in KINDS)
    done: Counter[str] = Counter()
    failures: dict[str, str] = {}
    while waiting:
        failures = {}
        again = [one for one in waiting if not _one(loading, one, done, failures)]
        waiting = again if len(again) < len(waiting) else []
    _report(done, skipped, failures)
    return FAILED if failures else OK


def _one(loading: Any, asset: Asset, done: Counter[str], failures: dict[str, str]) -> bool:
    began = time.monotonic()
    label = f"{asset.kind} {asset.name}"
    result = loading.load(asset)
    took = time.monotonic() - began
    if result.failed:
        failures[label] = result.said
        return False
    done[result.how] += 1
    said = f" ({result.said})" if result.said else ""
    print(f"{label} {result.version}: {result.how} in {took:.1f} s{said}", flush=True)
    return True


def _report(done: Counter[str], skipped: Counter[str], failures: dict[str, str]) -> None:
    print()
    for how, count in sorted(done.items()):
        print(f"{count} {how}")
    for kind, count in sorted(skipped.items()):
        print(f"{count} of kind '{kind}' passed over: only {', '.join(KINDS)} are loaded")
    for label, reason in failures.items():
        print(f"not loaded: {label}: {reason}")
