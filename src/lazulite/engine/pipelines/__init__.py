"""Pipelines: `progress` says which nodes are next (pure), `unfold` makes choices and loops plain (pure), `bind` makes a
node into a job (pure), `reuse` finds an earlier job that did the same, `controller` does it. A node's job is a job like
any other: nothing here starts a process.
"""
