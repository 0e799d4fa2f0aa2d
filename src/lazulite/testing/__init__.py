"""Shipped for tests, ours and others': contract suites that plug-ins pass, builders, and small worlds to run in.

Nothing that serves users imports this room.
"""
