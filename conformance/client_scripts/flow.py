"""What a notebook does with MLflow, from experiment to loaded model. Runs on every client since 1.26, Python 3.8 and later.

python flow.py ARTIFACT_FOLDER
"""

# Runs where other packages and other Pythons are.
# mypy: ignore-errors

import os
import sys

import mlflow
import numpy
from sklearn.linear_model import LogisticRegression

NAME = "flow-model"


def main(folder):
    mlflow.set_experiment("clients")
    features, target = numpy.arange(20.0).reshape(10, 2), numpy.array([0, 1] * 5)
    model = LogisticRegression().fit(features, target)
    with mlflow.start_run() as run:
        log(model, folder)
    client = mlflow.tracking.MlflowClient()
    found = client.get_run(run.info.run_id)
    expect(found.info.status, "FINISHED")
    expect(found.data.params, {"rate": "0.1", "kind": "lr"})
    expect(found.data.metrics["loss"], 0.0)
    expect(
        [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")], [(0, 2.0), (1, 1.0), (2, 0.0)]
    )
    expect(found.data.tags["stage"], "test")
    paths = {one.path for one in client.list_artifacts(run.info.run_id)}
    expect({"files", "notes"} <= paths, True)
    listed = mlflow.search_runs(filter_string="params.kind = 'lr' and metrics.loss < 0.5 and tags.stage LIKE 'te%'")
    expect(list(listed.run_id), [run.info.run_id])
    expect(client.get_model_version(NAME, "1").run_id, run.info.run_id)
    for uri in (f"runs:/{run.info.run_id}/model", f"models:/{NAME}/1"):
        loaded = mlflow.pyfunc.load_model(uri)
        expect(list(loaded.predict(features)), list(model.predict(features)))
    print(f"mlflow {mlflow.__version__} is content")


def log(model, folder):
    mlflow.log_params({"rate": 0.1, "kind": "lr"})
    for step in range(3):
        mlflow.log_metric("loss", 2.0 - step, step=step)
    mlflow.set_tag("stage", "test")
    with open(os.path.join(folder, "a b.txt"), "w") as file:
        file.write("text")
    mlflow.log_artifacts(folder, "files")
    mlflow.log_text("text", "notes/a.txt")
    # Without the list MLflow loads the model in another process to see what it imports, for a minute.
    mlflow.sklearn.log_model(model, "model", registered_model_name=NAME, pip_requirements=["scikit-learn"])


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


main(sys.argv[1])
