"""Methods in an order chosen beforehand: prune, then quantize, each with its epochs of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.epoch import train_epoch
from bitlathe.model.compress.method import Method
from bitlathe.model.compress.release import released
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.train.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A method and the epochs in which it is chosen; with 0 epochs it is only applied."""

    method: Method
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise FormatError(f"{self.method.name}: {self.epochs} epochs; give 0 or more")

    @property
    def steps(self) -> tuple[tuple[Method, bool], ...]:
        """The method as often as it is applied, and whether an epoch follows."""
        return ((self.method, self.epochs > 0),) * max(1, self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stages one after the other."""

    stages: tuple[Stage, ...]

    @property
    def steps(self) -> tuple[tuple[Method, bool], ...]:
        """Every application of a method in order, and whether an epoch follows."""
        return tuple(chain.from_iterable(stage.steps for stage in self.stages))

    @property
    def epochs(self) -> int:
        """Epochs of training in all."""
        return sum(stage.epochs for stage in self.stages)


def follow(
    recipe: Recipe,
    state: State,
    data: MethodData,
    settings: TrainConfig,
    keep: Callable[[State], None] = lambda state: None,
    advance: Callable[[], None] = lambda: None,
) -> State:
    """The state after the whole recipe, from wherever in it `state` stands; `keep` gets each one on the way.

    `settings.epochs` should be the recipe's, for the learning rate's sake. Raises what the methods raise, and
    Diverged; what was kept last is then the last good state.
    """
    for method, trains in recipe.steps[len(state.history) :]:
        if state.step == 0 and method.applicable(state):
            state = method.apply(state, data)
        if trains:
            train_epoch(state, data, settings, advance=advance)
        state.history += (method.name,)
        state = released(state)
        keep(state)
    return state
