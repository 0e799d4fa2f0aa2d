"""An ordinary training script: nothing in it knows where it runs."""

import argparse

import mlflow
import pandas as pd
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--regularization", type=float, default=1.0)
parser.add_argument("--model", required=True)
arguments = parser.parse_args()

table = pd.read_csv(arguments.data)
print(f"Read {len(table)} rows and {table.shape[1]} columns", flush=True)
features, target = table.drop(columns="malignant"), table["malignant"]
train_x, test_x, train_y, test_y = train_test_split(features, target, test_size=0.3, random_state=7, stratify=target)

print(f"Training a logistic regression on {len(train_x)} rows", flush=True)
model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / arguments.regularization, max_iter=500))
model.fit(train_x, train_y)

accuracy = accuracy_score(test_y, model.predict(test_x))
auc = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
print(f"On {len(test_x)} rows it never saw: accuracy {accuracy:.4f}, AUC {auc:.4f}", flush=True)

mlflow.log_param("regularization", arguments.regularization)
mlflow.log_metrics({"accuracy": accuracy, "auc": auc})
# Naming them saves MLflow the seconds it takes to find out by itself.
needs = [f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"]
mlflow.sklearn.save_model(model, arguments.model, pip_requirements=needs)
print("Saved the model", flush=True)
