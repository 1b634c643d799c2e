"""Settings are checked when made, and imply the learning rate."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.train import Schedule, TrainConfig, config, learning_rate


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs: is 0; give 1 or more"),
        ({"batch_size": -1}, "batch_size: is -1; give 1 or more"),
        ({"lr": 0.0}, "lr: is 0.0; give more than 0"),
        ({"lr": float("nan")}, "lr: is nan; give more than 0"),
        ({"lr": float("inf")}, "lr: is inf; give more than 0"),
        ({"momentum": 1.0}, "momentum: is 1.0; give a number between 0 and 1"),
        ({"weight_decay": -0.1}, "weight_decay: is -0.1; give 0 or more"),
        ({"label_smoothing": 1.0}, "label_smoothing: is 1.0; give 0 or more and less than 1"),
        ({"weight_decay": float("inf")}, "weight_decay: is inf; give 0 or more"),
        ({"seed": -1}, "seed: is -1; give one of 0..2**63-1"),
        ({"seed": 2**63}, "seed: is 9223372036854775808; give one of 0..2**63-1"),
        ({"threads": 0}, "threads: is 0; give 1 or more"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        TrainConfig(**setting)  # type: ignore[arg-type]


def test_the_example_of_the_learning_rate_holds() -> None:
    assert doctest.testmod(config) == (0, 2)


@given(st.sampled_from(Schedule), st.floats(0, 1))
def test_the_learning_rate_stays_between_zero_and_its_top(schedule: Schedule, progress: float) -> None:
    assert 0 <= learning_rate(TrainConfig(lr=0.3, schedule=schedule), progress) <= 0.3


def test_a_cosine_starts_at_the_top_and_both_end_at_zero() -> None:
    cosine = TrainConfig(lr=0.3, schedule=Schedule.COSINE)
    assert learning_rate(cosine, 0.0) == 0.3
    assert learning_rate(cosine, 1.0) == learning_rate(TrainConfig(lr=0.3), 1.0) == 0.0


def test_settings_become_plain_values() -> None:
    values = TrainConfig().to_dict()
    assert values["schedule"] == "one-cycle"
    assert values["precision"] == "float32"
