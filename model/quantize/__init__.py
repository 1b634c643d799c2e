"""Quantization methods and the capture of a network as an integer graph."""
