"""Train a model while MLflow logs by itself, and say what became of the run: `python autolog.py FRAMEWORK`.

In a job it logs to the job's run, outside to a run of its own. Prints the run's id.
"""

# Runs where other packages and other Pythons are.
# mypy: ignore-errors

import sys

import mlflow
import numpy

FEATURES = numpy.random.default_rng(0).normal(size=(200, 4)).astype("float32")
TARGET = (FEATURES[:, 0] > 0).astype("int64")


def scikit_learn():
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog()
    LogisticRegression().fit(FEATURES, TARGET)


def xgboost():
    import xgboost

    mlflow.xgboost.autolog()
    data = xgboost.DMatrix(FEATURES, label=TARGET)
    xgboost.train({"objective": "binary:logistic"}, data, num_boost_round=3, evals=[(data, "train")])


def lightgbm():
    import lightgbm

    mlflow.lightgbm.autolog()
    data = lightgbm.Dataset(FEATURES, label=TARGET)
    lightgbm.train({"objective": "binary", "verbose": -1}, data, num_boost_round=3, valid_sets=[data])


def lightning():
    import lightning
    import torch

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, features):
            return self.layer(features)

        def training_step(self, batch, _index):
            features, target = batch
            loss = torch.nn.functional.mse_loss(self(features).squeeze(1), target.float())
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    mlflow.pytorch.autolog()
    data = torch.utils.data.TensorDataset(torch.from_numpy(FEATURES), torch.from_numpy(TARGET))
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(Line(), torch.utils.data.DataLoader(data, batch_size=50))


FRAMEWORKS = {"scikit-learn": scikit_learn, "xgboost": xgboost, "lightgbm": lightgbm, "lightning": lightning}


def main(framework):
    with mlflow.start_run() as run:
        FRAMEWORKS[framework]()
    found = mlflow.MlflowClient().get_run(run.info.run_id)
    assert found.data.params, "no parameter was logged"
    assert found.data.metrics, "no metric was logged"
    models = mlflow.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", output_format="list"
    )
    assert models, "no model was logged"
    loaded = mlflow.pyfunc.load_model(models[0].model_uri)
    assert len(loaded.predict(FEATURES)) == len(FEATURES)
    print(f"{framework} logged {len(found.data.params)} parameters, {len(found.data.metrics)} metrics")


main(sys.argv[1])
