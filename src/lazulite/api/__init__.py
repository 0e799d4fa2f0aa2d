"""The ARM control plane: the verbs of every resource shape, written once over the declarations in `resources`.

A handler reads, or changes desired state and answers; it never calls a backend and never waits for one.
"""
