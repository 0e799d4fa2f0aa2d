"""The agent beside a user's process: it builds or attaches the environment, lays out code and inputs, runs the command,
and brings home logs and outputs.

It stands alone: the standard library and the files of its run folder, nothing of the server. It must not know the
database, the engine or HTTP routes other than the blob addresses its plan names. `model/run_plan.py` documents what it
reads and writes.
"""
