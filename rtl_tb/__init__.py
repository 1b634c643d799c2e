"""Benches of the SystemVerilog library, run in a simulator."""
