"""Use the registered model on rows of the table."""

import argparse

import mlflow
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--predictions", required=True)
arguments = parser.parse_args()

rows = pd.read_csv(arguments.data).sample(5, random_state=3)
model = mlflow.sklearn.load_model(arguments.model)
probability = model.predict_proba(rows.drop(columns="malignant"))[:, 1]
table = pd.DataFrame({"row": rows.index, "truth": rows["malignant"], "probability": probability.round(3)})
table.to_csv(f"{arguments.predictions}/predictions.csv", index=False)
print(f"Predicted {len(table)} rows")
