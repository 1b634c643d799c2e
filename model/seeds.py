"""The seeds that every generator here takes."""

MAX_SEED = 2**63 - 1
SEEDS = "0..2**63-1"  # in words


def is_seed(value: int) -> bool:
    """Whether NumPy's and PyTorch's generators take it, with an epoch's number added too."""
    return 0 <= value <= MAX_SEED
