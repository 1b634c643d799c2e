"""One score per channel: the table of criteria, and how to combine the layers of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bitlathe.model.prune.channels.criteria import (
    Criterion,
    Data,
    batch_norm_scale,
    geometric_median,
    l1_norm,
    l2_norm,
    of_filters,
    random_order,
    standard_deviation,
)
from bitlathe.model.prune.channels.data_criteria import channel_sparsity, taylor
from bitlathe.model.prune.channels.groups import ChannelGroups
from bitlathe.model.prune.errors import PruneError
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss

Scores = Mapping[str, npt.NDArray[np.float64]]  # name of a group -> (width,), the lowest goes first

CRITERIA: dict[str, Callable[[], Criterion]] = {
    "std": lambda: of_filters("std", standard_deviation),
    "l1": lambda: of_filters("l1", l1_norm),
    "l2": lambda: of_filters("l2", l2_norm),
    "geometric_median": lambda: of_filters("geometric_median", geometric_median),
    "taylor": taylor,
    "bn_scale": batch_norm_scale,
    "sparsity": channel_sparsity,
    "random": random_order,
}


class ScoredMembers(Enum):
    """Which layers of a group count in its scores."""

    MEAN = "mean"  # all that make or filter its channels, each divided by its own mean
    ROOT = "root"  # only the first producer


def find_criterion(name: str, seed: int = 0, loss: TaskLoss = CROSS_ENTROPY) -> Criterion:
    """Criterion called `name`; `seed` is for "random", `loss` for "taylor".

    PruneError lists the names if there is none.
    """
    if name not in CRITERIA:
        raise PruneError(f"{name}: no such criterion; choose one of {', '.join(CRITERIA)}")
    if name == "random":
        return random_order(seed)
    return taylor(loss) if name == "taylor" else CRITERIA[name]()


def score_channels(
    model: nn.Module,
    groups: ChannelGroups,
    criterion: Criterion,
    data: Data | None = None,
    members: ScoredMembers = ScoredMembers.MEAN,
) -> Scores:
    """Score of every channel of every group.

    Each layer's values are divided by their mean, so that layers of different sizes and scales compare,
    unless the criterion is already comparable. Raises PruneError without the `data` that a criterion needs.
    """
    if criterion.needs_data and data is None:
        raise PruneError(f"{criterion.name}: looks at images; give batches of the training set")
    measured = criterion.measure(model, groups, () if data is None else data)
    return {
        name: _joined(rows[:1] if members is ScoredMembers.ROOT else rows, criterion.is_comparable)
        for name, rows in measured.items()
    }


def _joined(rows: torch.Tensor, is_comparable: bool) -> npt.NDArray[np.float64]:
    """Mean (width,) of the rows (layers, width), each divided by its own mean first."""
    means = rows.nanmean(dim=1, keepdim=True)
    scaled = rows if is_comparable else rows / torch.where(means > 0, means, 1.0)
    joined: npt.NDArray[np.float64] = scaled.nanmean(dim=0).nan_to_num(0.0).numpy()
    return joined
