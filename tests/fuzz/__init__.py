"""Thousands of malformed requests to a real server: none may break it, and none may be answered with what it did not mean."""
