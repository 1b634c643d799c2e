"""The whole engine between an AXI4 memory and an AXI4-Lite master that others wrote."""
