"""Bench of fetch: the program's fetch, check and dispatch."""
