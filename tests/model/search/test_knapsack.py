"""Integer programming finds what trying everything finds."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.search.knapsack import Option, Setting, solve
from bitlathe.model.search.trials import kendall_tau

options = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), max_size=3)
settings_of_bits = st.builds(
    lambda cycles, loss, groups: Setting(
        name="Q",
        cycles=cycles,
        loss=loss,
        groups=tuple(
            (
                Option(removed=0, cycles=0, loss=0),
                *(Option(removed=8 * n, cycles=c, loss=d) for n, (c, d) in enumerate(group, 1)),
            )
            for group in groups
        ),
    ),
    st.integers(100, 200),
    st.integers(0, 50),
    st.lists(options, max_size=3),
)


@settings(max_examples=40)
@given(st.lists(settings_of_bits, min_size=1, max_size=2), st.integers(60, 210))
def test_the_plan_is_the_best_of_all(bits: list[Setting], budget: int) -> None:
    every = [
        (setting.loss + sum(o.loss for o in chosen), setting.cycles - sum(o.cycles for o in chosen))
        for setting in bits
        for chosen in product(*setting.groups)
    ]
    fitting = [loss for loss, cycles in every if cycles <= budget]
    if not fitting:
        with pytest.raises(BitlatheError, match="no choice of widths and bits fits"):
            solve(bits, budget)
        return
    plan = solve(bits, budget)
    assert plan.loss == pytest.approx(min(fitting))
    assert plan.cycles <= budget + 1e-6
    assert all(o in group for o, group in zip(plan.options, bits[plan.setting].groups, strict=True))


def test_tau_ranks() -> None:
    assert kendall_tau([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / 6**0.5)
    assert kendall_tau([1, 1], [1, 2]) is None
