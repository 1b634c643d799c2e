"""Bench of axi_read: the shared read channels."""
