"""P in one go: everything a budget asks for leaves at once, and the epochs after it recover."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.compress.channels import batches_of, settle
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import State
from bitlathe.model.data import to_input
from bitlathe.model.prune.masks import Masks
from bitlathe.model.prune.plug_in import PruneSettings, plug_in

_EXAMPLES = 2  # images to trace a network with
_SETTLING = 8  # batches that batch norm's statistics are taken from anew


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOnce:
    """Removes what `settings` ask for the first time it is applied.

    Source: "Filter pruning by standard deviation", which prunes all layers at once and then fine-tunes.
    """

    settings: PruneSettings
    batches: int = 8  # that a criterion looks at, if it looks at any
    name: str = "P"
    kind: Kind = Kind.PRUNE
    lasting: bool = True

    def applicable(self, state: State) -> bool:
        """Once."""
        return self.name not in state.history

    def owed(self, state: State) -> int:
        """One epoch until it was applied."""
        return int(self.applicable(state))

    def apply(self, state: State, data: MethodData) -> State:
        """The state with fewer channels and batch norm's statistics taken anew; changes `state`."""
        report = plug_in(
            state.model,
            state.optimizer,
            self.settings,
            example=to_input(data.train_images[:_EXAMPLES]),
            data=list(batches_of(state, data, self.batches)),
        )
        state.removed_channels += report.removed
        if state.masks is not None:
            state.masks = Masks.of_zeros(state.model)
        settle(state.model, batches_of(state, data, _SETTLING))
        return state
