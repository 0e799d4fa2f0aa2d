"""A backend whose runs are played from a script or by hand, for tests of everything above it."""

from lazulite.backends.fake.backend import FakeBackend, FakeRun

__all__ = ["FakeBackend", "FakeRun"]
