"""A module under construction: its layers, and the file's tensors as they are stored here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import torch
from torch import Tensor, nn

from bitlathe.model.capture.names import WrittenNode, identifier, note_written, unused
from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.composed import Composed
from bitlathe.model.onnx.network import FileCodes, LayerCall, OnnxNetwork, Pad
from bitlathe.model.onnx.proto import OnnxArray, OnnxGraph, OnnxNode

Padding = tuple[int, ...]  # before each axis behind the channels, then behind each; none if empty
NO_PADDING: Padding = ()


class AxisOrder(Enum):
    """How a tensor of the file is stored here."""

    SAME = "as the file has it"
    CHANNELS_LAST = "(N, C, H, W) here, (N, H, W, C) in the file"
    FLATTENED_LAST = "flattened as C, H, W here, as H, W, C in the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxValue:
    """A tensor that depends on the image."""

    key: str  # of the tensor in the module
    example: Tensor  # of one image, as stored here
    layout: AxisOrder = AxisOrder.SAME
    map: Shape | None = None  # (C, H, W) of a FLATTENED_LAST vector before it was flattened
    padding: Padding = NO_PADDING  # zeros around it that the next layer must still add

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image's tensor in the file."""
        sizes = tuple(self.example.shape)
        if self.layout is AxisOrder.CHANNELS_LAST:
            return sizes[0], sizes[2], sizes[3], sizes[1]
        if any(self.padding):
            axes = len(sizes) - 2
            around = (sum(self.padding[axis::axes]) for axis in range(axes))
            return (*sizes[:2], *(size + more for size, more in zip(sizes[2:], around, strict=True)))
        return sizes

    @property
    def axis_of_channels(self) -> int:
        """The file's axis of the channels."""
        return 3 if self.layout is AxisOrder.CHANNELS_LAST else 1

    def axis(self, axis: int) -> int:
        """The axis here that corresponds to an axis of the file."""
        axis %= self.example.ndim
        return (0, 2, 3, 1)[axis] if self.layout is AxisOrder.CHANNELS_LAST else axis


_TAKEN = frozenset(dir(OnnxNetwork()))  # names that a layer cannot have in the module


@dataclass(kw_only=True)
class Importer:
    """A module under construction."""

    graph: OnnxGraph
    constants: dict[str, OnnxArray]
    values: dict[str, OnnxValue] = field(default_factory=dict)
    codes: dict[str, FileCodes] = field(default_factory=dict)  # of tensors that the file has as codes
    roots: dict[str, Hashable] = field(default_factory=dict)  # equal for constants computed alike
    parameters: dict[Hashable, nn.Parameter] = field(default_factory=dict)  # by what they were made from
    roundings: dict[tuple[str, FileCodes], OnnxValue] = field(default_factory=dict)  # by tensor and codes
    made: dict[str, OnnxValue] = field(default_factory=dict)  # by key, as their layers make them
    layers: dict[str, nn.Module] = field(default_factory=dict)
    steps: list[LayerCall] = field(default_factory=list)
    composed: Composed = field(default_factory=Composed)

    def operand(self, name: str) -> OnnxValue | OnnxArray | None:
        """A tensor, a constant, or None if it is left out."""
        if not name:
            return None
        found = self.values.get(name, self.constants.get(name))
        if found is None:
            raise UnsupportedLayer(f"{name}: is an output that is not read; export without what needs it")
        return found

    def depends_on_image(self, node: OnnxNode) -> bool:
        """Whether any operand depends on the image."""
        return any(name in self.values for name in node.inputs if name)

    def origin(self, value: OnnxValue) -> tuple[nn.Module | None, OnnxValue]:
        """The layer that makes a tensor and what it reads first; None and the tensor where none does."""
        step = next((step for step in self.steps if step.result == value.key), None)
        return (None, value) if step is None else (self.layers[step.layer], self.made[step.sources[0]])

    def is_read_again(self, value: OnnxValue) -> bool:
        """Whether the file reads a tensor more than once, under any of its names; an output counts."""
        reads = Counter([*self.graph.outputs, *(name for node in self.graph.nodes for name in node.inputs)])
        return any(reads[name] > 1 for name, found in self.values.items() if found.key == value.key)

    def value(self, node: OnnxNode, place: int = 0) -> OnnxValue:
        """An operand that depends on the image, with the zeros around it added."""
        value = self.pending(node, place)
        if not any(value.padding):
            return value
        return self.emit(node, Pad.around(value.padding), [value], stem=f"{node.stem}_pad")

    def pending(self, node: OnnxNode, place: int = 0) -> OnnxValue:
        """An operand that depends on the image, with the zeros around it left to the caller."""
        value = self.operand(node.inputs[place]) if place < len(node.inputs) else None
        if not isinstance(value, OnnxValue):
            raise node.refusal(f"has a constant as operand {place}", "apply it to the network's own tensors")
        return value

    def constant(self, node: OnnxNode, place: int) -> OnnxArray | None:
        """A constant operand; None if it is left out."""
        operand = self.operand(node.inputs[place]) if place < len(node.inputs) else None
        if isinstance(operand, OnnxValue):
            raise node.refusal(
                f"takes operand {node.inputs[place]} from the image", "only constants can stand there"
            )
        return operand

    def root(self, name: str) -> Hashable:
        """What a constant was computed from: equal for two that a file has once."""
        return self.roots.get(name, name)

    def note_root(self, node: OnnxNode) -> None:
        """Note what the constants that a node makes were computed from."""
        sources = tuple(self.root(name) for name in node.inputs)
        if node.operator == "Identity":
            self.roots[node.outputs[0]] = sources[0]
        elif sources:
            made = node.operator, sources, repr(sorted(node.attributes.items()))
            self.roots.update({name: (*made, place) for place, name in enumerate(node.outputs)})

    def tie(self, layer: nn.Module, weight: str, bias: str = "") -> None:
        """Give a layer the kernel or matrix, and with it the bias, of an earlier one of the same constants.

        Vectors alone tie nothing: exporters keep all that are equal, such as zeros, once.
        """
        for attribute, name in (("weight", weight), ("bias", bias)):
            made = getattr(layer, attribute, None)
            if not name or not isinstance(made, nn.Parameter):
                continue
            owner = type(layer) if attribute == "weight" else id(layer.weight)
            tied = self.parameters.setdefault((attribute, owner, self.root(name), made.shape), made)
            if torch.equal(tied, made):
                setattr(layer, attribute, tied)

    def integers(self, node: OnnxNode, attribute: str, place: int) -> tuple[int, ...] | None:
        """Whole numbers that are an attribute in older opsets and an operand in newer ones."""
        given = node.attributes.get(attribute)
        operand = given if given is not None else self.constant(node, place)
        return (
            None if operand is None else tuple(int(number) for number in np.atleast_1d(np.asarray(operand)))
        )

    def emit(
        self,
        node: OnnxNode,
        layer: nn.Module,
        sources: Sequence[OnnxValue],
        *,
        stem: str | None = None,
        layout: AxisOrder | None = None,
        map: Shape | None = None,
    ) -> OnnxValue:
        """The tensor that a new layer makes of others; layout and map default to the first source's."""
        name = unused(identifier(stem or node.stem), {*self.layers, *_TAKEN})
        try:
            with torch.no_grad():
                example = layer.eval()(*(source.example for source in sources))
        except (RuntimeError, ValueError, IndexError) as error:
            raise ShapeError(
                f"{node.name}: {node.written or node.operator} does not fit its operands ({error})"
            ) from error
        note_written(layer, WrittenNode(name=node.name, operator=node.written or node.operator))
        self.layers[name] = layer
        self.steps.append(LayerCall(layer=name, sources=tuple(source.key for source in sources), result=name))
        kept = sources[0].layout if layout is None else layout
        self.made[name] = OnnxValue(
            key=name, example=example, layout=kept, map=map if layout is not None else sources[0].map
        )
        found = self.composed.follow(layer, [source.key for source in sources], name)
        if found is None:
            return self.made[name]
        whole, source = found
        begun = replace(self.made[source], layout=kept, map=self.made[name].map)
        return self.emit(node, whole, [begun], stem=stem)

    def steps_to(self, keys: Iterable[str]) -> list[LayerCall]:
        """The steps that tensors need, in order."""
        wanted, needed = set(keys), list[LayerCall]()
        for step in reversed(self.steps):
            if step.result in wanted:
                wanted.update(step.sources)
                needed.insert(0, step)
        return needed


Made = OnnxValue | OnnxArray | tuple[OnnxValue, ...]
NodeImporter = Callable[[Importer, OnnxNode], Made]  # what a node makes: adds layers, or folds to a constant
