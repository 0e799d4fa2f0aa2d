"""What a pipeline adds to its steps: a chain, a fan-out, both again with every step reused, and a very large one.

`python -m benchmarks.pipelines [--steps N] [--large N] [--metaflow PYTHON]`. Every step runs `true` in a bare environment
on serverless compute, as a process of its own; `beyond` is what is left of a step without that process. The large
pipeline is submitted to a real server, then run by a real engine over a backend whose runs are over at once. With
`--metaflow`, an interpreter that has Metaflow, the same two graphs run there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from conformance import venvs
from tests.clients.test_bad_input import Bad, send
from tests.server_fixture import WORKSPACE_ID, RunningServer

from benchmarks import large_pipeline, metaflow_flows

ENVIRONMENT = f"{WORKSPACE_ID}/environments/bare/versions/1"
COMPONENT = f"{WORKSPACE_ID}/components/step/versions/1"
METAFLOW = "metaflow==2.19.39"
ENDED = ("Completed", "Failed", "Canceled")
SPEC = {
    "type": "command",
    "command": "true",
    "environment": f"azureml:{ENVIRONMENT}",
    "inputs": {"text": {"type": "string"}, "data": {"type": "uri_folder", "optional": True}},
    "outputs": {"made": {"type": "uri_folder"}},
}
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of the chain and the fan-out; 0 leaves them out")
    parser.add_argument("--large", type=int, default=30_000, help="steps of the large pipeline; 0 leaves it out")
    parser.add_argument("--metaflow", metavar="PYTHON", help="an interpreter that has Metaflow")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lazulite-bench-", ignore_cleanup_errors=True) as folder:
        if options.steps:
            rows += small(Path(folder), options.steps)
            rows += beside(Path(folder), options.steps, options.metaflow)
        if options.large:
            rows += large(Path(folder), options.large)
    return rows


def small(folder: Path, steps: int) -> list[Row]:
    """The chain and the fan-out, run and reused, on a real server."""
    process = process_ms()
    rows = []
    with Served(folder / "home") as server:
        timed(server, "warm", shape(1, chain=True))
        for name, chain in (("chain", True), ("fan-out", False)):
            nodes = shape(steps, chain=chain)
            for what in ("run", "reused"):
                before = cpu_s(server)
                each = timed(server, f"{name}-{what}", nodes) / steps * 1000
                beyond = f"{each - process:.0f} ms" if what == "run" else f"{each:.0f} ms"
                cpu = f"{(cpu_s(server) - before) / steps * 1000:.0f} ms"
                rows.append(row(f"a step of a {name} of {steps}, {what}", f"{each:.0f} ms", beyond, cpu))
    return rows


def beside(folder: Path, steps: int, python: str | None) -> list[Row]:
    try:
        python = python or venvs.interpreter(folder, [METAFLOW])
    except venvs.NoEnvironment as error:
        print(f"{METAFLOW} could not be installed, and is left out: {error}")
        return []
    return [
        row(
            f"a step of a {name} of {steps} in Metaflow",
            f"{metaflow_flows.seconds(folder, python, steps, name) / steps * 1000:.0f} ms",
        )
        for name in metaflow_flows.SHAPES
    ]


def large(folder: Path, steps: int) -> list[Row]:
    """Submitted and looked at on a real server, cancelled; then run to its end over a fake backend."""
    rows, path = [], f"{WORKSPACE_ID}/jobs/large"
    with Served(folder / "large-home") as server:
        began = time.monotonic()
        submit(server, path, shape(steps, chain=True))
        rows.append(row(f"a pipeline of {steps} nodes, submitted", f"{time.monotonic() - began:.1f} s"))
        for what, url in (
            ("its job while it runs", path),
            ("its run while it runs", f"/history/v1.0{WORKSPACE_ID}/runs/large"),
            ("a page of its children", f"/history/v1.0{WORKSPACE_ID}/runs/large/children?$top=1000"),
        ):
            began = time.monotonic()
            send(server, Bad("", "GET", url))
            rows.append(row(f"... {what}", f"{(time.monotonic() - began) * 1000:.0f} ms"))
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "lazulite.cli.main", "job", "graph", "large", "--home", str(server.home)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        rows.append(row("... its graph by the command line while it runs", f"{time.monotonic() - began:.1f} s"))
        send(server, Bad("", "POST", f"{path}/cancel", {}))
        rows.append(row("... the server's memory, at most", f"{peak_mib(server)} MiB"))
    found = large_pipeline.run(folder / "large", steps)
    each = f"{found.seconds / steps * 1000:.1f} ms"
    rows.append(row(f"a step of {steps} over a fake backend", each, cpu=f"{found.cpu_s / steps * 1000:.1f} ms"))
    rows.append(row("... the engine's memory, at most", f"{found.peak_mib} MiB"))
    return rows


class Served:
    """A server with an environment and a component."""

    def __init__(self, home: Path) -> None:
        self._server = RunningServer(home)

    def __enter__(self) -> RunningServer:
        self._server.home.mkdir()
        self._server.start()
        put(self._server, ENVIRONMENT, {"image": "library/python:3.11"})
        put(self._server, COMPONENT, {"componentSpec": SPEC})
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def row(what: str, value: str, beyond: str = "", cpu: str = "") -> Row:
    """One measurement, also printed; `cpu` is the server's own, without the agents beside the steps."""
    print(f"{what:<60}{value:>12}{beyond:>12}{cpu:>12}", flush=True)
    return {"what": what, "value": value, "beyond the process": beyond, "server's CPU": cpu}


def shape(steps: int, *, chain: bool) -> dict[str, Any]:
    nodes = {}
    for number in range(steps):
        inputs: dict[str, Any] = {"text": {"job_input_type": "literal", "value": f"{chain} {number}"}}
        if chain and number:
            inputs["data"] = {"job_input_type": "literal", "value": f"${{{{parent.jobs.n{number - 1}.outputs.made}}}}"}
        nodes[f"n{number}"] = {"type": "command", "componentId": COMPONENT, "inputs": inputs, "outputs": {}}
    return nodes


def timed(server: RunningServer, name: str, nodes: dict[str, Any]) -> float:
    """Seconds from submission to the end."""
    path = f"{WORKSPACE_ID}/jobs/{name}"
    began = time.monotonic()
    submit(server, path, nodes)
    while (state := send(server, Bad("", "GET", path))[1]["properties"]["status"]) not in ENDED:
        time.sleep(0.1)
    if state != "Completed":
        raise RuntimeError(f"the pipeline {name} is {state}")
    return time.monotonic() - began


def submit(server: RunningServer, path: str, nodes: dict[str, Any]) -> None:
    put(server, path, {"jobType": "Pipeline", "jobs": nodes, "inputs": {}, "outputs": {}, "settings": {}})


def put(server: RunningServer, path: str, properties: dict[str, Any]) -> None:
    status, answer = send(server, Bad("", "PUT", path, {"properties": properties}))
    if status not in (200, 201):
        raise RuntimeError(f"{path}: {answer}")


def process_ms(count: int = 50) -> float:
    """What the step's own process takes."""
    began = time.monotonic()
    for _ in range(count):
        subprocess.run(["/bin/bash", "-c", "true"], check=True)
    return (time.monotonic() - began) / count * 1000


def cpu_s(server: RunningServer) -> float:
    """Seconds of processor time of the server and of the children it waited for."""
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def peak_mib(server: RunningServer) -> int:
    assert server.process is not None
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
