"""P in one go: everything a budget asks for leaves at once, and the epochs after it recover."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.compress.channels import pruned
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import State
from bitlathe.model.prune.plug_in import PruneSettings


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
        return pruned(state, data, self.settings, self.batches)
