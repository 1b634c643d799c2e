"""W reaches its target in its rounds, and its zeros outlast the epochs that follow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bitlathe.model.compress import MethodData, ZooArchitecture
from bitlathe.model.compress.methods import PruneWeights, Train
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.data import load_dataset
from bitlathe.model.prune.weights.influence import Influence
from bitlathe.model.prune.weights.masks import Masks
from bitlathe.model.train import TrainConfig

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(epochs=4, batch_size=128, lr=0.05)


@pytest.fixture(scope="module")
def data() -> MethodData:
    return MethodData.split(load_dataset("digits"), held_out=1000, batch_size=128, augment=False)


@pytest.mark.parametrize("influence", Influence)
def test_the_target_is_met_and_kept(influence: Influence, data: MethodData, tmp_path: Path) -> None:
    method = PruneWeights(sparsity=0.6, rounds=2, influence=influence)
    recipe = Recipe(stages=(RecipeStage(method=method, epochs=2), RecipeStage(method=Train(), epochs=2)))
    shares = []
    state = follow(
        recipe,
        fresh_state(LENET.build(), SETTINGS),
        data,
        SETTINGS,
        keep=lambda state: shares.append(Masks.of_zeros(state.model).sparsity),
    )
    total = sum(mask.numel() for mask in Masks.of_zeros(state.model).kept.values())
    wanted = [round(share * total) for share in (0.6 - 0.6 / 8, 0.6, 0.6, 0.6)]
    assert [round(share * total) for share in shares] == wanted
    assert not method.applicable(state)
    state.save(tmp_path / "state.pt")
    again = load(tmp_path / "state.pt", LENET, SETTINGS)
    assert state.masks is not None
    assert again.masks is not None
    assert all(torch.equal(mask, again.masks.kept[name]) for name, mask in state.masks.kept.items())
