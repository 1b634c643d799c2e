"""Bench of load_unit: loads into the scratchpad and the weight store."""
