"""Quantization-aware training: exact afterwards, resumable, and safe when it diverges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress, TaskID
from torch import nn

from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.quantize.finetune import Finetuned, FinetuneOptions, finetune
from bitlathe.model.train import TrainConfig
from bitlathe.model.train.weights import load_pretrained

TRAIN = TrainConfig(network="lenet5", dataset="digits", epochs=2, batch_size=64, lr=0.02, augment=False)
BITS = QuantizeConfig(
    weight_bits=2, activation_bits=3, layers={"conv1": LayerBits(weight_bits=8)}, calibration_images=64
)
OPTIONS = FinetuneOptions(quantize=BITS, distill=0.5)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


class _StoppingProgress(Progress):
    """Interrupts the run after some steps, as a user would."""

    def __init__(self, steps: int) -> None:
        super().__init__(disable=True)
        self.left = steps

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def lenet() -> nn.Module:
    return load_pretrained("lenet5", "digits")


def run(digits: Dataset, out: Path, config: TrainConfig = TRAIN, *, resume: bool = False) -> Finetuned:
    return finetune(lenet(), digits, config, OPTIONS, out, resume=resume)


def test_training_recovers_what_few_bits_cost_and_deploys_exactly(digits: Dataset, tmp_path: Path) -> None:
    result = run(digits, tmp_path)
    network = result.view.network()
    codes = evaluate(network.graph, network.preprocess.codes(digits.test_images))[:, :, 0, 0]
    accuracy = float((codes.argmax(axis=1) == digits.test_labels).mean())
    assert accuracy == result.history[-1].test_accuracy  # of the integers, whatever training saw
    assert accuracy > 0.85  # 0.75 before

    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        finetune(lenet(), digits, TRAIN, OPTIONS, stopped, progress=_StoppingProgress(30))
    again = run(digits, stopped, resume=True)
    learned, expected = again.view.thresholds(), result.view.thresholds()
    assert all(torch.equal(learned[name], value) for name, value in expected.items())
    for one, other in zip(again.view.model.parameters(), result.view.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_that_diverges_stops_and_says_what_is_kept(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BitlatheError, match="nothing was kept; choose an lr below 1e"):
        run(digits, tmp_path, replace(TRAIN, lr=1e30))
    assert not np.any([path.name == "checkpoint.pt" for path in tmp_path.iterdir()])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BitlatheError, match="distill 2"):
        FinetuneOptions(distill=2)
