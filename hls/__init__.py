"""Targets, compiler, cycle model, and the hardware libraries and templates."""
