"""What a pipeline adds to its steps: a chain, a fan-out, and both again with every step reused.

`python -m benchmarks.pipelines [--steps N]`. Every step runs `true` in a bare environment on serverless compute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.clients.test_bad_input import Bad, send
from tests.server_fixture import WORKSPACE_ID, RunningServer

ENVIRONMENT = f"{WORKSPACE_ID}/environments/bare/versions/1"
COMPONENT = f"{WORKSPACE_ID}/components/step/versions/1"
ENDED = ("Completed", "Failed", "Canceled")
SPEC = {
    "type": "command",
    "command": "true",
    "environment": f"azureml:{ENVIRONMENT}",
    "inputs": {"text": {"type": "string"}, "data": {"type": "uri_folder", "optional": True}},
    "outputs": {"made": {"type": "uri_folder"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        server = RunningServer(Path(folder) / "home")
        server.home.mkdir()
        server.start()
        try:
            put(server, ENVIRONMENT, {"image": "library/python:3.11"})
            put(server, COMPONENT, {"componentSpec": SPEC})
            timed(server, "warm", shape(1, chain=True))
            for name, chain in (("chain", True), ("fan-out", False)):
                nodes = shape(steps, chain=chain)
                for what in ("run", "reused"):
                    seconds = timed(server, f"{name}-{what}", nodes)
                    print(
                        f"{name} of {steps}, {what}: {seconds:.1f} s, {seconds / steps * 1000:.0f} ms a step",
                        flush=True,
                    )
        finally:
            server.stop()


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
    put(server, path, {"jobType": "Pipeline", "jobs": nodes, "inputs": {}, "outputs": {}, "settings": {}})
    while (state := send(server, Bad("", "GET", path))[1]["properties"]["status"]) not in ENDED:
        time.sleep(0.05)
    if state != "Completed":
        raise RuntimeError(f"the pipeline {name} is {state}")
    return time.monotonic() - began


def put(server: RunningServer, path: str, properties: dict[str, Any]) -> None:
    status, answer = send(server, Bad("", "PUT", path, {"properties": properties}))
    if status not in (200, 201):
        raise RuntimeError(f"{path}: {answer}")


if __name__ == "__main__":
    main()
