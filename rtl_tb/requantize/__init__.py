"""Bench of requantize: one lane of the output stage."""
