"""Bench of load_unit: loads into the scratchpad, the weight store and the tables."""
