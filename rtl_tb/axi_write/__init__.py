"""Bench of axi_write: the shared write channels."""
