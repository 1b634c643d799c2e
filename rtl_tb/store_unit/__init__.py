"""Bench of store_unit: stores from the scratchpad."""
