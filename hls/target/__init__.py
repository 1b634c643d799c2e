"""Targets: which boards there are, and what an engine takes of them."""
