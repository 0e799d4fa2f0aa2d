"""The census: what Microsoft's SDK can ask for, read from the installed SDK, beside what this server does about it.

`python -m tests.census` writes docs/coverage.md. Nothing of the SDK is copied here: its methods and the operations of
its generated control-plane client are counted in the package itself, so that a new release shows what it added.
"""
