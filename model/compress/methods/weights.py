"""W: prunes single weights by influence, more of them with every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import MethodContext, MethodKind
from bitlathe.model.compress.state import State
from bitlathe.model.graph.files.settings import about, demand
from bitlathe.model.prune.weights.influence import Influence, influences
from bitlathe.model.prune.weights.masks import SparsityTarget, WeightScope, choose_masks
from bitlathe.model.prune.weights.schedule import CubicSchedule
from bitlathe.model.train.batches import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneWeights:
    """W: zeroes the weights of least influence and reaches its target in `rounds` epochs by a cubic schedule.

    The zeros stay: masks hold them through any training that follows, quantized or not. Source: "Pruning and
    quantization-aware training".
    """

    sparsity: float = 0.5  # share of the weights that are 0 in the end
    rounds: int = 4  # epochs until then
    influence: Influence = Influence.MAGNITUDE
    scope: WeightScope = WeightScope.GLOBAL
    caps: Mapping[str, float] = field(default_factory=dict)  # largest share of single layers, by parameter
    batches: int = 8  # for an influence that is measured on images

    name: ClassVar[str] = "W"
    kind: ClassVar[MethodKind] = MethodKind.WEIGHTS
    lasting: ClassVar[bool] = True

    def __post_init__(self) -> None:
        demand(self, "rounds", self.rounds >= 1, "1 or more")
        with about("sparsity"):
            self._target(self.sparsity)

    def method(self, context: MethodContext) -> PruneWeights:
        """Itself."""
        return self

    def applicable(self, state: State) -> bool:
        """Until the target is met."""
        return self.owed(state) > 0

    def owed(self, state: State) -> int:
        """Remaining rounds."""
        return max(0, self.rounds - state.history.count(self.name))

    def apply(self, state: State, data: MethodData) -> State:
        """The state with this round's share of its weights at 0; changes `state`."""
        schedule = CubicSchedule(final=self.sparsity, end=self.rounds)
        share = schedule.sparsity(self.rounds - self.owed(state) + 1)
        scores = influences(state.model, self.influence, self._measured(state, data), loss=data.loss)
        state.masks = choose_masks(scores, self._target(share))
        state.masks.apply(state.model, state.optimizer)
        state.cluster_again()
        return state

    def _target(self, sparsity: float) -> SparsityTarget:
        return SparsityTarget(sparsity=sparsity, scope=self.scope, caps=self.caps)

    def _measured(self, state: State, data: MethodData) -> Iterator[Batch]:
        steps = range(min(self.batches, data.steps))
        return (data.batch(state.seed, state.epoch, step) for step in steps)
