"""Secrets at rest: sealed with a key that lies outside the database. Must never log or return a plain value unasked."""
