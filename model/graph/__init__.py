"""Integer graph: fixed-point formats, nodes, reference evaluation, proofs and file format (NumPy only)."""
