"""Methods in a given order: prune, then quantize, each with its epochs of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.epoch import train_epoch
from bitlathe.model.compress.method import Method, MethodKind
from bitlathe.model.compress.methods import penalty_of
from bitlathe.model.compress.release import released
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.train.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStage:
    """A method and the number of epochs in which it is chosen; with 0 epochs it is only applied."""

    method: Method
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise FormatError(f"{self.method.name}: {self.epochs} epochs; give 0 or more")

    @property
    def restarts(self) -> bool:
        """Whether the learning rate begins its schedule again: clustering moves every weight at once."""
        return self.method.kind is MethodKind.PRODUCT

    @property
    def times(self) -> int:
        """How often the method is applied."""
        return max(1, self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stages one after the other."""

    stages: tuple[RecipeStage, ...]

    @property
    def steps(self) -> tuple[tuple[RecipeStage, int], ...]:
        """The stage of each application of a method, in order, and how often it was applied before."""
        return tuple((stage, turn) for stage in self.stages for turn in range(stage.times))

    @property
    def epochs(self) -> int:
        """Total epochs of training."""
        return sum(stage.epochs for stage in self.stages)

    def span(self, epoch: int) -> range:
        """The epochs, `epoch` among them, over which the learning rate runs through its schedule once."""
        ends = list(accumulate(stage.epochs for stage in self.stages))
        starts = {end - stage.epochs for stage, end in zip(self.stages, ends, strict=True) if stage.restarts}
        begin = max((start for start in starts if start <= epoch), default=0)
        return range(begin, min((start for start in starts if start > epoch), default=ends[-1]))


def follow(
    recipe: Recipe,
    state: State,
    data: MethodData,
    settings: TrainConfig,
    keep: Callable[[State], None] = lambda state: None,
    advance: Callable[[], None] = lambda: None,
    idle: Callable[[Method], None] = lambda method: None,
) -> State:
    """The state after the whole recipe, continued from where `state` is; `keep` gets each state on the way.

    `settings.epochs` is ignored: the learning rate's schedule spans the recipe, or begins again where a
    stage says so. `idle` is called with a method that changes nothing any more. Raises what the methods
    raise, and Diverged; the last state kept is then the last good one.
    """
    for stage, turn in recipe.steps[len(state.history) :]:
        if state.step == 0:
            state = _applied(stage.method, turn, state, data, idle)
        if stage.epochs:
            span, penalty = recipe.span(state.epoch), penalty_of(stage.method)
            of_span = replace(settings, epochs=len(span))
            train_epoch(state, data, of_span, since=span.start, penalty=penalty, advance=advance)
        state.history += (stage.method.name,)
        state = released(state)
        keep(state)
    return state


def _applied(
    method: Method, turn: int, state: State, data: MethodData, idle: Callable[[Method], None]
) -> State:
    """The state changed by a method, which counts the epochs of its own stage alone."""
    history = state.history
    state.history = history[len(history) - turn :]
    if method.applicable(state):
        state = method.apply(state, data)
    elif turn == 0 and method.kind is not MethodKind.TRAIN:
        idle(method)
    state.history = history
    return state
