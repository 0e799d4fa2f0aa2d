"""Runs published labs and examples against a server here, from checkouts that lie beside the project.

It holds paths and the preparation each case needs, and none of the cases' content. It drives the platform only through
the unmodified clients, as the authors of those labs and examples do.
"""
