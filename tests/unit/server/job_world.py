"""A server in process without MLflow's pages, with a pipeline in it that runs, one of whose two steps has failed."""

from __future__ import annotations

from typing import Any

import httpx
from sqlalchemy.engine import Connection

from lazulite.server.compose import DEFAULT_WORKSPACE
from lazulite.store import resources, runs

BASE = "http://localhost:8080"
GRAPH = f"/mlflow/graphs{DEFAULT_WORKSPACE}/jobs/p"
PAGE = f"/mlflow/pages{DEFAULT_WORKSPACE}/jobs/p"
JOBS = "Microsoft.MachineLearningServices/workspaces/jobs"
NODES = {
    "load": {"type": "command"},
    "train": {"type": "command", "inputs": {"data": "${{parent.jobs.load.outputs.made}}"}},
}


def store_pipeline(c: Connection) -> None:
    """A pipeline that runs, one of whose two steps has failed."""
    failure = {"code": "UserError", "message": "Execution failed.\nError: <b>no disk</b>"}
    job(c, "p", {"jobType": "Pipeline", "jobs": NODES}, {"state": "Running"})
    job(
        c,
        "r1",
        {"jobType": "Command", "properties": {"azureml.nodeid": "load"}},
        {"state": "Failed", "error": failure},
        "p",
    )


def job(
    c: Connection, name: str, properties: dict[str, Any], status: dict[str, Any], parent: str | None = None
) -> None:
    made = resources.new(
        f"{DEFAULT_WORKSPACE}/jobs/{name}", JOBS, {"properties": properties}, status=status, state=status["state"]
    )
    resources.insert(c, made, by="test")
    runs.create(c, DEFAULT_WORKSPACE, name, experiment_name="prices", name=name, user="test", parent=parent, job=True)


async def sign_in(browser: httpx.AsyncClient, secret: str, **wanted: str) -> httpx.Response:
    token = (await browser.get("/msi/token?resource=x", headers={"X-IDENTITY-HEADER": secret})).json()["access_token"]
    code = await browser.post(
        "/lazulite/sign-in-codes",
        json={"workspace": DEFAULT_WORKSPACE, **wanted},
        headers={"Authorization": f"Bearer {token}"},
    )
    if code.status_code != 200:
        return code
    return await browser.post(
        "/lazulite/sign-in", data={"code": code.json()["code"]}, headers={"Sec-Fetch-Site": "same-origin"}
    )
