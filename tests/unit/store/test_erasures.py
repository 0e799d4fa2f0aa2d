from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Connection

from lazulite.core.arm_id import PROVIDER, workspace_id
from lazulite.store import erasures, experiments, logged_models, resources
from lazulite.store.database import Database
from lazulite.store.erasures import Erasure

WS = workspace_id("s", "g", "w")
JOB = f"{WS}/jobs/train"
FOLDER = "ExperimentRun/dcid.train"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def only(database: Database) -> Erasure:
    found = [database.read_sync(lambda c, n=n: erasures.get(c, n)) for n in database.read_sync(erasures.numbers)]
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def test_it_is_pending_until_it_is_done(database: Database) -> None:
    hints: list[str] = []
    database.subscribe(hints.extend)
    database.write_sync(lambda c: erasures.note(c, JOB, "acct", "azureml", FOLDER, WS))
    found = only(database)
    assert (found.account, found.container, found.path) == ("acct", "azureml", FOLDER)
    assert hints == [f"{erasures.HINT}{found.number}"]
    for scope, pending in ((JOB.upper(), True), (WS, True), (f"{JOB}2", False), (f"{WS}2", False)):
        assert database.read_sync(lambda c, s=scope: erasures.pending(c, s)) is pending
    assert database.read_sync(lambda c: erasures.pending_at(c, WS, FOLDER))
    assert not database.read_sync(lambda c: erasures.pending_at(c, f"{WS}2", FOLDER))
    database.write_sync(lambda c: erasures.done(c, found))
    assert not database.read_sync(lambda c: erasures.pending(c, JOB))


def test_what_assets_and_logged_models_name_is_kept(database: Database) -> None:
    addresses = {
        "models/a/versions/1": {"modelUri": f"azureml:/{WS}/datastores/workspaceartifactstore/paths/{FOLDER}/model"},
        "data/b/versions/1": {"dataUri": f"azureml://datastores/x/paths/{FOLDER}/outputs/a%20b/?v=1"},
        "data/other/versions/1": {"dataUri": f"azureml://datastores/x/paths/{FOLDER}2/outputs"},
        "data/elsewhere/versions/1": {"dataUri": "azureml://datastores/x/paths/outputs"},
    }

    def fill(c: Connection) -> None:
        others = {
            "1": f"azureml:/{WS}/datastores/x/paths/{FOLDER}/b",
            "2": f"https://acct.x/azureml/{FOLDER}/c".replace("/", "%2F"),
        }
        for version, uri in others.items():
            other = f"{WS}2/data/far/versions/{version}"
            type_ = f"{PROVIDER}/workspaces/data/versions"
            resources.insert(c, resources.new(other, type_, {"properties": {"dataUri": uri}}), by="t")
        for path, properties in addresses.items():
            type_ = f"{PROVIDER}/workspaces/{path.split('/')[0]}/versions"
            resources.insert(c, resources.new(f"{WS}/{path}", type_, {"properties": properties}), by="t")
        experiment = experiments.ensure(c, WS, "e")
        logged_models.create(c, WS, "m-1", experiment, name="net", run_id="train", model_type=None, tags={}, params={})
        erasures.note(c, JOB, "acct", "azureml", FOLDER, WS)

    database.write_sync(fill)
    kept = database.read_sync(lambda c: erasures.kept(c, only(database)))
    assert kept == [f"{FOLDER}/b", f"{FOLDER}/c", f"{FOLDER}/model", f"{FOLDER}/net", f"{FOLDER}/outputs/a b"]
