"""Typed views of the documents we act on. Holds shapes only: no rule, no I/O; imports core and nothing else of ours."""
