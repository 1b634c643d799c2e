"""Methods in a fixed order: each stage is carried out, and a kept state goes on to the same end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bitlathe.model.compress import MethodData, MethodKind, State, ZooArchitecture
from bitlathe.model.compress.methods import ShareWeights, Train
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.train import TrainConfig

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(epochs=3, batch_size=128, lr=0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halve:
    """Halves the last layer's bias, wherever it is called from."""

    name: str = "halve"
    kind: MethodKind = MethodKind.WEIGHTS
    lasting: bool = True

    def applicable(self, state: State) -> bool:
        return True

    def owed(self, state: State) -> int:
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        with torch.no_grad():
            list(state.model.parameters())[-1].mul_(0.5)
        return state


RECIPE = Recipe(
    stages=(
        RecipeStage(method=Train(), epochs=1),
        RecipeStage(method=Halve(), epochs=2),
        RecipeStage(method=Halve(name="last"), epochs=0),
    )
)


@pytest.fixture(scope="module")
def data() -> MethodData:
    return MethodData.split(load_dataset("digits"), held_out=1000, batch_size=128, augment=False)


def test_each_stage_is_carried_out_in_order(data: MethodData) -> None:
    state = follow(RECIPE, fresh_state(LENET.build(), SETTINGS), data, SETTINGS)
    assert state.history == ("T", "halve", "halve", "last")
    assert (state.epoch, RECIPE.epochs) == (3, 3)


def test_a_kept_state_goes_on_to_the_same_end(data: MethodData, tmp_path: Path) -> None:
    kept = []

    def keep(state: State) -> None:
        kept.append(tmp_path / f"{len(kept)}.pt")
        state.save(kept[-1])

    end = follow(RECIPE, fresh_state(LENET.build(), SETTINGS), data, SETTINGS, keep)
    assert len(kept) == len(end.history)
    for path in kept:
        again = follow(RECIPE, load(path, LENET, SETTINGS), data, SETTINGS)
        assert again.history == end.history
        for name, tensor in end.model.state_dict().items():
            assert torch.equal(tensor, again.model.state_dict()[name])


def test_codewords_begin_the_learning_rate_s_schedule_again() -> None:
    stages = (
        RecipeStage(method=Train(), epochs=2),
        RecipeStage(method=Halve(), epochs=0),
        RecipeStage(method=ShareWeights(), epochs=3),
        RecipeStage(method=Train(), epochs=1),
    )
    spans = [Recipe(stages=stages).span(epoch) for epoch in range(6)]
    assert spans == [range(2), range(2), *[range(2, 6)] * 4]
    assert RECIPE.span(1) == range(3)


def test_epochs_below_none_are_refused() -> None:
    with pytest.raises(FormatError, match="halve: -1 epochs"):
        RecipeStage(method=Halve(), epochs=-1)


def test_a_penalty_acts_in_its_own_stage_alone(data: MethodData) -> None:
    def norms(strength: float | None) -> list[dict[str, float]]:
        """Of each layer's weights, after either stage."""
        kept: list[dict[str, float]] = []

        def keep(state: State) -> None:
            kept.append({name: float(p.detach().norm()) for name, p in state.model.named_parameters()})

        stages = (
            RecipeStage(method=Train(), epochs=2),
            RecipeStage(method=Train(group_lasso=strength), epochs=1),
        )
        follow(Recipe(stages=stages), fresh_state(LENET.build(), SETTINGS), data, SETTINGS, keep)
        return kept

    free, pulled = norms(None), norms(3.0)
    assert pulled[:2] == free[:2]
    filters = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight")
    assert all(pulled[2][name] < 0.9 * free[2][name] for name in filters)
    assert pulled[2]["fc3.weight"] > 0.9 * free[2]["fc3.weight"], "what cannot be pruned is not pulled"
