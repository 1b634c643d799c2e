"""Which engine for which board: area of a configuration, cycles of networks on it, and their trade."""
