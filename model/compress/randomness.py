"""Random numbers as a function of a run's progress.

A draw depends only on the run's seed, epoch and step. So every candidate of an epoch sees the same batches
and the same noise, whichever process trains it and however often, and a resumed run needs no generator's
state beyond these counters.
"""

from __future__ import annotations

import numpy as np
import torch

_ORDER, _STEP = 0, 1  # what is drawn: an epoch's order of images, or one step's views and noise


def order_generator(seed: int, epoch: int) -> torch.Generator:
    """Generator of the order in which an epoch visits the images."""
    return torch.Generator().manual_seed(_mixed(seed, epoch, _ORDER))


def step_generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """Generator of everything that one step draws."""
    return torch.Generator().manual_seed(_mixed(seed, epoch, _STEP, step))


def _mixed(*numbers: int) -> int:
    """A 63-bit seed in which every number counts.

    >>> _mixed(0, 1) == _mixed(1, 0)
    False
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
