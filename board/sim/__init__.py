"""A simulated board: a pynq device whose fabric is the compiled simulator of the engine."""
