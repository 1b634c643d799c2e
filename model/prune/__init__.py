"""Pruning of a live network: whole channels, and single weights."""
