"""A parallel job's own processes: they cut the input into mini-batches and hand each to `run` of an entry script.

The agent copies this package beside the job's code, and the job's own interpreter runs it: so it keeps to Python 3.7 and
the standard library, and imports pandas, pyarrow, PyYAML and mltable only where the input calls for them. It must not
import the agent, nor anything else of this project.
"""
