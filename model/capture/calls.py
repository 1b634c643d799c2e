"""Calls of an exported program as handlers see them: arguments by their names in the operator's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from bitlathe.model.capture.arrangement import Order, chained, common_name, made_of_images
from bitlathe.model.capture.float_network import FloatConcat, FloatNode
from bitlathe.model.capture.formula import Formula, Real
from bitlathe.model.capture.names import unused
from bitlathe.model.capture.routes import BATCH, Arrangement, Move, last_common, shape_of
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Pair, Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TracedTensor:
    """A tensor that depends on the image: the node that holds its values, and how PyTorch arranges them."""

    node: FloatNode
    size: tuple[int, ...]  # with the batch
    order: Arrangement | None = None  # of `size`; None: all values of the node, as they are
    moved: Call | None = None  # the operation that brought the values into that order

    @property
    def places(self) -> Order:
        """The place of each value among those of the node's maps, image after image; -1 for a zero."""
        return np.arange(prod(self.size)).reshape(self.size) if self.order is None else self.order.places

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
    resized: dict[tuple[str, tuple[int, ...]], Arrangement] = field(default_factory=dict)  # of nodes' values
    arranged: dict[tuple[str, Arrangement], TracedTensor] = field(default_factory=dict)  # of nodes' values

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
        if not prod(made.shape):
            raise self.empty(self.size)
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

    def empty(self, size: tuple[int, ...]) -> UnsupportedLayer:
        """The error to raise where a result of the call has no values."""
        return self.refusal(f"makes size {size}, which has no values", "leave it out")

    def mixes_images(self) -> UnsupportedLayer:
        """The error to raise where images of a batch do not stay apart."""
        return self.refusal(f"makes size {self.size} of {BATCH} images", "keep the images of a batch apart")

    def rearranged(self, x: TracedTensor, move: Move, word: str = "") -> TracedTensor:
        """The values of `x` in another order, by this call; a `word` if that is not all that it does."""
        return self._in_order(x, np.ascontiguousarray(move(x.places)), word, before=x.order, move=move)

    def joined(self, tensors: Sequence[TracedTensor], axis: int) -> TracedTensor:
        """Values of one node, some moved, joined along an axis."""
        orders = [each.order for each in tensors]
        moved = [order for order in orders if order is not None]
        common = last_common(moved) if len(moved) == len(orders) else None

        def move(places: Order) -> Order:
            assert common is not None
            return np.concatenate([order.moved(places, common) for order in moved], axis)

        whole = all(each.order or each.size == (BATCH, *each.node.shape) for each in tensors)
        return self._in_order(
            tensors[0],
            np.concatenate([each.places for each in tensors], axis),
            "",
            before=common,
            move=move,
            parts=tuple(orders) if axis == 1 and len(self.size) == 4 and whole else (),
        )

    def _in_order(self, x: TracedTensor, places: Order, word: str, **origin: Any) -> TracedTensor:
        size = tuple(places.shape)
        if np.array_equal(places.ravel(), np.arange(BATCH * prod(x.node.shape))):
            return TracedTensor(node=x.node, size=size, moved=self)
        own = self.extra_name(word) if word else self.name
        name = common_name(x.order.name, own, self.made.nodes) if x.order and not word else own
        order = Arrangement(
            shape=x.node.shape,
            places=places,
            name=self.made.name(name),
            last_name=own,
            rank=self.rank,
            refusal=self.refusal,
            **origin,
        )
        self.made.reserved.add(own)
        return TracedTensor(node=x.node, size=size, order=order, moved=self)

    def in_places(self, x: TracedTensor, places: Order, name: str) -> TracedTensor:
        """Values of `x`'s node in an order whose making nobody asks for."""
        order = self._order(x, places, name)
        return TracedTensor(node=x.node, size=tuple(places.shape), order=order, moved=x.moved or self)

    def _order_of(self, value: TracedTensor) -> Arrangement:
        """The order of a tensor, also of a node's values as they are in another size."""
        if value.order is not None:
            return value.order
        key = (value.node.name, value.size)
        if key not in self.made.resized:
            self.made.resized[key] = self._order(value, value.places, self.extra_name("values"))
        return self.made.resized[key]

    def _order(self, x: TracedTensor, places: Order, name: str) -> Arrangement:
        call = x.moved or self
        return Arrangement(
            shape=x.node.shape,
            places=places,
            name=name,
            last_name=name,
            rank=call.rank,
            refusal=call.refusal,
        )

    def broadcast(self, x: TracedTensor, size: tuple[int, ...] | None = None) -> TracedTensor:
        """`x` in the size of the result."""
        wanted = self.size if size is None else size
        if x.size == wanted:
            return x
        return self.rearranged(x, lambda places: np.broadcast_to(places, wanted), "broadcast")

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
        """A tensor as a node's own values where a node can have them, else in the order that it has.

        Zeros among the values are made: what is done to all values of a node is done to them too.
        """
        found = value if value.is_plain else self._arranged(value)
        if found is not None or value.order is None or not (value.places < 0).any():
            return found or value
        for stage in reversed(value.order.stages):
            places = value.order.since(stage)
            if stage.route is not None and (places >= 0).all():
                made = replace(self.at(value, stage), moved=value.moved)
                return self.in_places(made, places, self.extra_name("values"))
        return self.as_map(value)

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
        order = self._order_of(value)
        if order.route is None:
            self.of_each_image(value)
            raise order.unmade
        return self.at(value, order)

    def of_each_image(self, value: TracedTensor) -> Order:
        """The places of one image's values; an error where images are mixed."""
        if not made_of_images(value.places, value.node.shape, BATCH):
            raise (value.moved or self).mixes_images()
        return np.asarray(value.places[0])

    def at(self, value: TracedTensor, stage: Arrangement | None) -> TracedTensor:
        """What a value was at a stage on its way, as the tensor of a node that holds it."""
        if stage is None:
            return TracedTensor(node=value.node, size=(BATCH, *value.node.shape))
        key = (value.node.name, stage)
        if key not in self.made.arranged:
            self.made.arranged[key] = TracedTensor(node=self._made(value, stage), size=stage.places.shape)
        return self.made.arranged[key]

    def _arranged(self, value: TracedTensor) -> TracedTensor | None:
        """The tensor of a node that holds values in their order; None if nothing makes it."""
        order = self._order_of(value)
        return None if order.route is None else self.at(value, order)

    def _made(self, value: TracedTensor, wanted: Arrangement) -> FloatNode:
        route = wanted.route
        assert route is not None, wanted
        if route.joins:
            sources = [self.at(value, part).node for part in wanted.parts]
            name = unused(wanted.last_name, self.made.nodes)
            operands = tuple(source.name for source in sources)
            nodes: tuple[FloatNode, ...] = (FloatConcat(name=name, shape=route.shape, operands=operands),)
        else:
            sources = [self.at(value, route.start).node]
            name = unused(wanted.name if route.start is None else wanted.last_name, self.made.nodes)
            nodes = chained(sources[0], route.steps, name, self.made.name)
        rank = max([wanted.rank, *(self.made.ranks[source.name] for source in sources)])
        for node in nodes:
            self.made.add(node, rank)
        return nodes[-1] if nodes else sources[0]

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


CallReader = Callable[[Call], Made]  # a new node, or tensors of sources where the call computes nothing
