"""Training under a quantizer: exact afterwards, and resumable with its thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bitlathe.model.compress import MethodData, State, ZooArchitecture
from bitlathe.model.compress.methods import Quantize
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.train import TrainConfig

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(batch_size=64, lr=0.02)
BITS = QuantizeConfig(
    weight_bits=2, activation_bits=3, layers={"conv1": LayerBits(weight_bits=8)}, calibration_images=64
)
TRAINED = Recipe(stages=(RecipeStage(method=Quantize(config=BITS, threshold_lr=0.01), epochs=2),))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def first() -> State:
    return fresh_state(load_pretrained("lenet5", "digits"), SETTINGS)


def test_training_recovers_what_few_bits_cost_and_deploys_exactly(digits: Dataset, tmp_path: Path) -> None:
    data, path, left = MethodData.whole(digits, batch_size=64, augment=False), tmp_path / "state.pt", [30]

    def stop() -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    whole = follow(TRAINED, first(), data, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        follow(TRAINED, first(), data, SETTINGS, lambda state: state.save(path), stop)
    resumed = follow(TRAINED, load(path, LENET, SETTINGS), data, SETTINGS)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert whole.quantization is not None and resumed.quantization is not None
    learned, again = whole.quantization.thresholds, resumed.quantization.thresholds
    assert learned is not None and again is not None
    assert all(torch.equal(again[name], value) for name, value in learned.items())

    network = integer_view(whole, data, BITS).network()
    codes = evaluate(network.graph, network.preprocess.codes(digits.test_images))[:, :, 0, 0]
    assert (codes.argmax(axis=1) == digits.test_labels).mean() > 0.8  # 0.75 before
