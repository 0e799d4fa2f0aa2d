"""MLflow's REST API over our own store: experiments, runs, metrics, artifacts, logged and registered models.

Serves every workspace under two prefixes, one for vanilla MLflow clients and one for the azureml-mlflow plugin, from
the same handlers. Must not import mlflow (it takes seconds), keep state of its own, or run anything a client sent.
"""
