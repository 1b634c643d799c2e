"""Calls of an exported program as handlers see them: arguments by their names in the operator's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from bitlathe.model.capture.arrangement import Order, arranged, common_name, made_of_images
from bitlathe.model.capture.float_network import FloatNode
from bitlathe.model.capture.formula import Formula, Real
from bitlathe.model.capture.names import unused
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Pair, Shape

BATCH = 2  # images of the example: 1 would hide operations that mix images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TracedTensor:
    """A tensor that depends on the image: the node that holds its values, and how PyTorch arranges them."""

    node: FloatNode
    size: tuple[int, ...]  # with the batch
    order: Order | None = None  # of `size`: the place of each value in the node's maps; None: as they are
    moved: Call | None = None  # the operation that brought the values into that order
    name: str = ""  # for a node that would hold them so
    flattened: TracedTensor | None = None  # the map whose values, some left out or repeated, it has in order

    @property
    def places(self) -> Order:
        """The place of each value among those of the node's maps, image after image; -1 for a zero."""
        return np.arange(prod(self.size)).reshape(self.size) if self.order is None else self.order

    @property
    def has_all_values(self) -> bool:
        """Whether each value of the node's maps is there once."""
        places = self.places.ravel()
        return np.array_equal(np.sort(places), np.arange(BATCH * prod(self.node.shape)))

    @property
    def is_plain(self) -> bool:
        """Whether the values are the node's, as its map or flattened."""
        return self.order is None and self.size[0] == BATCH


@dataclass(kw_only=True)
class NodesMade:
    """Nodes that calls have made so far."""

    nodes: dict[str, FloatNode] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)  # by which nodes are ordered
    reserved: set[str] = field(default_factory=set)  # names of tensors that may become nodes
    arranged: dict[int, TracedTensor] = field(default_factory=dict)  # nodes for tensors, by their identity
    kept: list[TracedTensor] = field(default_factory=list)  # so that an identity stays one

    def add(self, node: FloatNode, rank: int) -> FloatNode:
        """Keep a node."""
        assert self.nodes.get(node.name, node) is node, f"two nodes of the name {node.name}"
        self.ranks.setdefault(node.name, rank)
        self.nodes[node.name] = node
        return node

    def name(self, wanted: str) -> str:
        """A name for a node that no other one has."""
        return unused(wanted, {*self.nodes, *self.reserved})

    @property
    def in_order(self) -> tuple[FloatNode, ...]:
        """All nodes, sources before what reads them."""
        return tuple(sorted(self.nodes.values(), key=lambda node: self.ranks[node.name]))


Argument = object  # TracedTensor, a Formula (a constant tensor), a number, a list of these, None
Made = FloatNode | TracedTensor | Sequence[TracedTensor]  # what a handler returns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One operation of the exported program."""

    operator: str  # "aten.conv2d.default"
    target: Callable[..., Any]  # the operator itself
    where: str  # path of the calling module, with the line of the user's code; or a file's node
    written: str  # the operator as the user knows it: the same, or a file's
    name: str  # name for the new node
    size: tuple[int, ...]  # of the result, with the batch
    arguments: Mapping[str, Argument]
    made: NodesMade
    rank: int  # among all calls

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the result; a vector is a 1x1 map, a sequence a map of one row."""
        if len(self.size) not in (2, 3, 4):
            raise self.refusal(
                f"makes a tensor of size {self.size}", "keep to (N, C, H, W), (N, C, L) and (N, features)"
            )
        return shape_of(self.size)

    def add(self, node: FloatNode) -> FloatNode:
        """Keep a node that the call makes beside its result."""
        return self.made.add(node, self.rank)

    def extra_name(self, word: str) -> str:
        """A name for such a node."""
        return self.made.name(f"{self.name}_{word}")

    def result(self, made: Made) -> TracedTensor | Sequence[TracedTensor]:
        """What a handler made as the tensor of this call; an error if PyTorch sees another shape."""
        if not isinstance(made, FloatNode):
            return made
        if self.size[:1] != (BATCH,):
            raise self.mixes_images()
        if prod(self.size[1:]) != prod(made.shape):
            raise self.refusal(
                f"makes size {self.size} by broadcasting, not {(*self.size[:1], *made.shape)}",
                "give all tensors one size; only a number, or one constant per channel, is broadcast",
            )
        return self.result_of_size(made, self.size)

    def result_of_size(self, node: FloatNode, size: tuple[int, ...]) -> TracedTensor:
        """A new node's values as a tensor."""
        return TracedTensor(node=self.add(node), size=size)

    def refusal(self, problem: str, mend: str) -> UnsupportedLayer:
        """The error to raise for this call."""
        return UnsupportedLayer(f"{self.where}: {self.written} {problem}; {mend}")

    def mixes_images(self) -> UnsupportedLayer:
        """The error to raise where images of a batch do not stay apart."""
        return self.refusal(f"makes size {self.size} of {BATCH} images", "keep the images of a batch apart")

    def rearranged(self, x: TracedTensor, places: Order, word: str = "") -> TracedTensor:
        """The values of `x` in another order, by this call; a `word` if that is not all that it does."""
        size = tuple(places.shape)
        if np.array_equal(places.ravel(), np.arange(BATCH * prod(x.node.shape))):
            return TracedTensor(node=x.node, size=size, moved=self)
        own = self.extra_name(word) if word else self.name
        name = self.made.name(common_name(x.name, own, self.made.nodes) if x.name and not word else own)
        self.made.reserved.add(own)
        return TracedTensor(node=x.node, size=size, order=places, moved=self, name=name)

    def broadcast(self, x: TracedTensor, size: tuple[int, ...] | None = None) -> TracedTensor:
        """`x` in the size of the result."""
        size = self.size if size is None else size
        return x if x.size == size else self.rearranged(x, np.broadcast_to(x.places, size), "broadcast")

    def traced(self, name: str = "self") -> TracedTensor:
        """An argument that depends on the image."""
        value = self.arguments[name]
        if not isinstance(value, TracedTensor):
            raise self.refusal(f"has a constant {name}", "apply it to the network's own tensors")
        return value

    def values(self, name: str = "self") -> TracedTensor:
        """An argument for an operation on each value by itself: any order that no node can have stays."""
        return self.ready(self.traced(name))

    def ready(self, value: TracedTensor) -> TracedTensor:
        """A tensor as a node's own values where a node can have them, else in the order that it has."""
        return value if value.is_plain else self._arranged(value) or value

    def map(self, name: str = "self") -> TracedTensor:
        """An argument of size (N, C, H, W) whose node has that shape."""
        value = self.traced(name)
        if len(value.size) != 4:
            raise self.refusal(f"works on a tensor of size {value.size}", "give it one of size (N, C, H, W)")
        return self.as_map(value)

    def as_map(self, value: TracedTensor) -> TracedTensor:
        """A tensor whose node has the shape (C, H, W) that PyTorch sees; a vector is (features, 1, 1)."""
        if value.order is None and value.size == (BATCH, *value.node.shape):
            return value
        found = self._arranged(value)
        if found is None:
            self.of_each_image(value)
            raise (value.moved or self).refusal(
                f"arranges {value.node.shape} values as {value.size}, which no node here does",
                "keep the order (N, C, H, W); a dense layer may read any order of flattened values",
            )
        return found

    def of_each_image(self, value: TracedTensor) -> Order:
        """The places of one image's values; an error where images are mixed."""
        if not made_of_images(value.places, value.node.shape, BATCH):
            raise (value.moved or self).mixes_images()
        return np.asarray(value.places[0])

    def _arranged(self, value: TracedTensor) -> TracedTensor | None:
        """The tensor of a node that holds values in their order; None if nothing makes it."""
        if id(value) in self.made.arranged:
            return self.made.arranged[id(value)]
        if value.flattened is not None and (held := self._arranged(value.flattened)) is not None:
            return TracedTensor(node=held.node, size=value.size)
        if not 2 <= len(value.size) <= 4 or not made_of_images(value.places, value.node.shape, BATCH):
            return None
        shape = shape_of(value.size)
        name = unused(value.name, self.made.nodes) if value.name else self.extra_name("values")
        nodes = arranged(value.node, value.places[0].reshape(shape), name, self.made.name)
        if nodes is None:
            return None
        rank = (value.moved or self).rank
        for node in nodes:
            self.made.add(node, rank)
        found = TracedTensor(node=nodes[-1] if nodes else value.node, size=value.size)
        self.made.kept.append(value)
        self.made.arranged[id(value)] = found
        return found

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
        """Several whole numbers, or one."""
        value = self.arguments[name]
        if isinstance(value, int):
            return (value,)
        assert isinstance(value, (list, tuple)), self
        return tuple(int(number) for number in value)

    def axis(self, name: str, x: TracedTensor, otherwise: int = 0) -> int:
        """An axis of a tensor, counted from its first."""
        return self.integer(name, otherwise) % len(x.size)

    def given(self, arguments: Mapping[str, Argument]) -> Call:
        """The same call with some other arguments."""
        return replace(self, arguments={**self.arguments, **arguments})


def shape_of(size: tuple[int, ...]) -> Shape:
    """(C, H, W) of a tensor of one image: a vector is a 1x1 map, a sequence a map of one row.

    >>> shape_of((2, 3)), shape_of((2, 3, 9)), shape_of((2, 3, 4, 5))
    ((3, 1, 1), (3, 1, 9), (3, 4, 5))
    """
    channels, *rest = size[1:]
    height, width = (*([1] * (2 - len(rest))), *rest)
    return channels, height, width


CallReader = Callable[[Call], Made]  # a new node, or tensors of sources where the call computes nothing
