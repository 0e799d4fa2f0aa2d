# What the exercise's setup-mlops-envs.sh does by `az`, by the SDK: groups, workspaces for dev and prod, data in each, and
# a registry that both share. It ends with an error where anything is not as it was asked for.
set -eu
python - <<'END'
import os
import uuid
from pathlib import Path

import requests
from azure.ai.ml import MLClient, load_registry
from azure.ai.ml.entities import AmlCompute, ComputeInstance, Data, Model, Workspace
from azure.identity import DefaultAzureCredential

credential = DefaultAzureCredential()
subscription = MLClient.from_config(credential).subscription_id
suffix = uuid.uuid4().hex[:8]
arm = requests.get(os.environ["ARM_CLOUD_METADATA_URL"], timeout=30).json()[0]["resourceManager"].rstrip("/")


def group(name):
    token = credential.get_token("https://management.azure.com/.default").token
    url = f"{arm}/subscriptions/{subscription}/resourcegroups/{name}?api-version=2021-04-01"
    made = requests.put(url, json={"location": "local"}, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    made.raise_for_status()
    return name


def workspace(stage):
    name = group(f"rg-ai300-{stage}-{suffix}")
    client = MLClient(credential, subscription, name, f"mlw-ai300-{stage}-{suffix}")
    client.workspaces.begin_create(Workspace(name=client.workspace_name, location="local")).result()
    return client


def registered(client, name, path, type):
    client.data.create_or_update(Data(name=name, path=path, type=type))
    assert client.data.get(name, label="latest").type == type


dev, prod = workspace("dev"), workspace("prod")
dev.compute.begin_create_or_update(ComputeInstance(name=f"ci{suffix}", size="STANDARD_DS11_V2")).result()
dev.compute.begin_create_or_update(AmlCompute(name="aml-cluster", size="STANDARD_DS11_V2", max_instances=2)).result()
registered(dev, "diabetes-training", "../data/diabetes-data", "mltable")
registered(dev, "diabetes-data", "../data/diabetes-data/diabetes.csv", "uri_file")
registered(dev, "diabetes-dev-folder", "../data/diabetes-data", "uri_folder")
registered(prod, "diabetes-prod-folder", "../production/data", "uri_folder")

rendered = Path("registry.yml").read_text()
for placeholder, value in (("REGISTRY_NAME_PLACEHOLDER", f"mlr-ai300-{suffix}"), ("PRIMARY_REGION_PLACEHOLDER", "local")):
    rendered = rendered.replace(placeholder, value)
Path("registry.generated.yml").write_text(rendered)
registries = MLClient(credential, subscription, group(f"rg-ai300-reg-{suffix}"))
made = registries.registries.begin_create(load_registry("registry.generated.yml")).result()
shared = MLClient(credential, subscription, registry_name=made.name)
shared.models.create_or_update(Model(name="diabetes", version="1", path="../model", type="mlflow_model"))
assert [model.name for model in shared.models.list()] == ["diabetes"]

for client in (dev, prod):
    client.workspaces.begin_delete(client.workspace_name, delete_dependent_resources=True).result()
END
