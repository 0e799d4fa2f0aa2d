"""Data assets as mltable asks for them, through the same generated client."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml._restclient.dataset_dataplane import DatasetDataplaneClient
from azure.ai.ml.entities import Data
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, RunningServer

pytestmark = pytest.mark.clients


def test_an_mltable_is_found_by_name_and_version(ml_client: MLClient, server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "MLTable").write_text("paths:\n  - file: ./a.csv\ntransformations:\n  - read_delimited:\n")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    made = ml_client.data.create_or_update(Data(name="a-table", path=str(tmp_path), type="mltable"))
    scope = "https://ml.azure.com/.default"
    client = DatasetDataplaneClient(DefaultAzureCredential(), base_url=server.https_url, credential_scopes=[scope])
    where = (SUBSCRIPTION, GROUP, WORKSPACE, "a-table")

    found = client.data_version_ops.get(*where, made.version)

    assert found["isV2"] is True
    assert found.data_version.data_type == "MLTable"
    assert found.data_version.data_uri.endswith(made.path.removeprefix("azureml:/"))
    assert found.data_version.data_uri.startswith(f"azureml://subscriptions/{SUBSCRIPTION}/")
    with pytest.raises(ResourceNotFoundError):
        client.data_version_ops.get(*where, "99")
