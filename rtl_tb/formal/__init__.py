"""Theorems about the engine's blocks, proved on their RTL by solvers; see README.md."""
