"""Bench of sequencer and pixel_walker: address generation."""
