"""The methods that need no room of their own."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """T: train on, change nothing."""

    name: str = "T"
    kind: Kind = Kind.TRAIN

    def applicable(self, state: State) -> bool:
        """Always."""
        return True

    def owed(self, state: State) -> int:
        """It has no target."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state itself."""
        return state
