"""Where work runs: one folder per backend behind the Protocol of `base`, one shared contract suite for all.

A backend starts, inspects, stops and forgets runs, each idempotently. It must not read or write the store, decide what
becomes of a job, or keep anything in memory that a restarted server could not find again.
"""
