"""Widths and bits by integer programming on the summed savings and costs of choices measured alone.

Source: Shen et al. 2022, arXiv:2110.10811 (latency-saliency knapsack); here solved exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from bitlathe.model.graph.errors import CapacityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One width of one group, compared with the group's full width."""

    removed: int  # channels
    cycles: float  # saved
    loss: float  # added to the network's loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One pair of bits for the whole network, with the options of its groups under it."""

    name: str
    cycles: float  # of the unpruned network
    loss: float  # of the unpruned network
    groups: tuple[tuple[Option, ...], ...]  # each starts with the option that removes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class KnapsackPlan:
    """The solution: the setting's position and the option chosen for each group."""

    setting: int
    options: tuple[Option, ...]
    cycles: float  # expected
    loss: float  # expected


def solve(settings: Sequence[Setting], budget: float) -> KnapsackPlan:
    """The plan of least loss within `budget` cycles; CapacityError if there is none.

    One binary variable per setting, and one per option of each group under it; a group takes one option if
    its setting is chosen, else none.
    """
    places = [
        (s, g, o)
        for s, one in enumerate(settings)
        for g, group in enumerate(one.groups)
        for o in range(len(group))
    ]
    count = len(settings) + len(places)
    loss, cycles = np.zeros(count), np.zeros(count)
    loss[: len(settings)] = [setting.loss for setting in settings]
    cycles[: len(settings)] = [setting.cycles for setting in settings]
    for column, (s, g, o) in enumerate(places, len(settings)):
        option = settings[s].groups[g][o]
        loss[column], cycles[column] = option.loss, -option.cycles
    solution = milp(
        loss,
        integrality=np.ones(count),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(cycles[np.newaxis], ub=budget),
            LinearConstraint(_one_setting(len(settings), count), lb=1, ub=1),
            *_one_option_a_group(settings, places, count),
        ],
    )
    if not solution.success:
        least = min(s.cycles - sum(max(o.cycles for o in group) for group in s.groups) for s in settings)
        raise CapacityError(
            f"knapsack: no choice of widths and bits fits {budget:,.0f} cycles; the least is {least:,.0f}"
        )
    taken = np.round(solution.x).astype(bool)
    setting = int(np.flatnonzero(taken[: len(settings)])[0])
    options = [
        settings[s].groups[g][o] for (s, g, o), yes in zip(places, taken[len(settings) :], strict=True) if yes
    ]
    return KnapsackPlan(
        setting=setting,
        options=tuple(options),
        cycles=float(cycles @ taken),
        loss=float(loss @ taken),
    )


def _one_setting(settings: int, count: int) -> NDArray[np.float64]:
    row = np.zeros((1, count))
    row[0, :settings] = 1
    return row


def _one_option_a_group(
    settings: Sequence[Setting], places: Sequence[tuple[int, int, int]], count: int
) -> list[LinearConstraint]:
    rows = []
    for s, setting in enumerate(settings):
        for g in range(len(setting.groups)):
            row = np.zeros(count)
            row[s] = -1
            for column, place in enumerate(places, len(settings)):
                if place[:2] == (s, g):
                    row[column] = 1
            rows.append(row)
    return [LinearConstraint(np.array(rows), lb=0, ub=0)] if rows else []
