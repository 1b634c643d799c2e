"""Bench of axil_regs: the control registers."""
