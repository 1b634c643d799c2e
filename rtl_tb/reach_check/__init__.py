"""Bench of reach_check and field_check: which descriptors the engine takes."""
