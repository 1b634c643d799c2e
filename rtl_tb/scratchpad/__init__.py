"""Bench of scratchpad and its RAMs: banks, lanes, arbitration."""
