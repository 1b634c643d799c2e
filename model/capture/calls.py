"""Calls of an exported program as handlers see them: arguments by their names in the operator's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from bitlathe.model.capture.float_network import FloatNode
from bitlathe.model.capture.formula import Formula, Real
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Pair, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTensor:
    """A tensor that depends on the image: the node that makes it, and the shape PyTorch sees.

    `Call.result` makes sure that the two agree.
    """

    node: FloatNode
    size: tuple[int, ...]  # with the batch: (N, C, H, W) or (N, features), of the node's map flattened


Argument = object  # TracedTensor, a Formula (a constant tensor), a number, a list of these, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation of the exported program."""

    operator: str  # "aten.conv2d.default"
    where: str  # path of the calling module, with the line of the user's code; or a file's node
    written: str  # the operator as the user knows it: the same, or a file's
    name: str  # name for the new node
    size: tuple[int, ...]  # of the result, with the batch
    arguments: Mapping[str, Argument]

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the result; a vector is a 1x1 map."""
        if len(self.size) not in (2, 4):
            raise self.refusal(
                f"makes a tensor of size {self.size}", "keep to (N, C, H, W) and (N, features)"
            )
        channels, height, width = (*self.size[1:], 1, 1)[:3]
        return channels, height, width

    def result(self, node: FloatNode) -> TracedTensor:
        """A handler's node as the tensor of this call; an error if PyTorch sees another shape."""
        if self.size[1:] not in (node.shape, (prod(node.shape),)):
            raise self.refusal(
                f"makes size {self.size} by broadcasting, not {(*self.size[:1], *node.shape)}",
                "give all tensors one size; only a number, or one constant per channel, is broadcast",
            )
        return TracedTensor(node=node, size=self.size)

    def refusal(self, problem: str, mend: str) -> UnsupportedLayer:
        """The error to raise for this call."""
        return UnsupportedLayer(f"{self.where}: {self.written} {problem}; {mend}")

    def traced(self, name: str = "self") -> TracedTensor:
        """An argument that depends on the image."""
        value = self.arguments[name]
        if not isinstance(value, TracedTensor):
            raise self.refusal(f"has a constant {name}", "apply it to the network's own tensors")
        return value

    def map(self, name: str = "self") -> TracedTensor:
        """An argument of size (N, C, H, W)."""
        value = self.traced(name)
        if len(value.size) != 4:
            raise self.refusal(f"works on a tensor of size {value.size}", "give it one of size (N, C, H, W)")
        return value

    def constant(self, name: str) -> Formula:
        """A weight, bias or other constant."""
        value = self.arguments[name]
        if not isinstance(value, Formula):
            raise self.refusal(
                f"has a {name} that is not a constant", "only weights fixed after training can be loaded"
            )
        return Real(value)

    def optional(self, name: str, otherwise: Formula) -> Formula:
        """A constant that may be missing."""
        return otherwise if self.arguments[name] is None else self.constant(name)

    def pair(self, name: str, otherwise: Pair | None = None) -> Pair:
        """Two numbers, vertical and horizontal; `otherwise` if PyTorch leaves them out."""
        value = self.arguments[name]
        if isinstance(value, (list, tuple)) and not value and otherwise is not None:
            return otherwise
        numbers = list(value) if isinstance(value, (list, tuple)) else [value]
        first, last = numbers[0], numbers[-1]
        assert isinstance(first, int) and isinstance(last, int), self
        return first, last

    def integer(self, name: str, otherwise: int = 0) -> int:
        """A whole number that may be missing."""
        value = self.arguments[name]
        assert value is None or isinstance(value, int), self
        return otherwise if value is None else value

    def number(self, name: str, otherwise: float = 0.0) -> float:
        """A number that may be missing."""
        value = self.arguments[name]
        if not isinstance(value, (int, float, type(None))):
            raise self.refusal(f"has a tensor as {name}", "use one number for all channels")
        return otherwise if value is None else float(value)

    def integers(self, name: str) -> tuple[int, ...]:
        """Several whole numbers."""
        value = self.arguments[name]
        assert isinstance(value, (list, tuple)), self
        return tuple(int(number) for number in value)


CallReader = Callable[[Call], FloatNode]  # returns a new node, or a source where the call changes nothing
