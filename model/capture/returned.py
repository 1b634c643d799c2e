"""How a module returns its outputs: their names and sizes, and the tuples, lists and dicts around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor
from torch.utils import _pytree

from bitlathe.model.capture.names import unused
from bitlathe.model.graph.nodes import Shape

LastStep = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReturnedForm:
    """What a module makes of its outputs, and puts them into.

    One tensor comes alone, whatever the module has around it.
    """

    sizes: tuple[tuple[int, ...], ...]  # of each output of one image: (K,) or (K, H, W)
    places: Any = 0  # the tuples and dicts around several, each output's number in its place
    last_steps: tuple[LastStep | None, ...] = ()  # of each output, what is left to the host; none: nothing

    @classmethod
    def of(cls, shapes: Sequence[Shape]) -> ReturnedForm:
        """Vectors and maps of these shapes; several in a tuple."""
        places = tuple(range(len(shapes))) if len(shapes) > 1 else 0
        return cls(sizes=tuple(size_of(shape) for shape in shapes), places=places)

    def returned(self, maps: Sequence[Tensor]) -> Any:
        """What the module returns where its outputs are `maps` (N, C, H, W)."""
        tensors = [one.reshape(len(one), *size) for one, size in zip(maps, self.sizes, strict=True)]
        for number, step in enumerate(self.last_steps):
            tensors[number] = tensors[number] if step is None else step(tensors[number])
        return _pytree.tree_map(tensors.__getitem__, self.places)


def size_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Size of an output of one image: maps of one pixel are a vector.

    >>> size_of((10, 1, 1)), size_of((2, 8, 8))
    ((10,), (2, 8, 8))
    """
    return shape[:1] if prod(shape[1:]) == 1 else shape


def names_of(places: Any) -> tuple[str, ...]:
    """Names of what tuples and dicts hold: keys and fields, numbers in tuples and lists.

    >>> names_of({"boxes": (0, 1), "score": 2})
    ('boxes.0', 'boxes.1', 'score')
    >>> names_of((0, [1, 2]))
    ('output0', 'output1.0', 'output1.1')
    """
    names: list[str] = []
    for path, _ in _pytree.tree_flatten_with_path(places)[0]:
        first = "output" if not path or isinstance(path[0], _pytree.SequenceKey) else ""
        names.append(unused(first + ".".join(map(_word, path)), names))
    return tuple(names)


def _word(key: Any) -> str:
    if isinstance(key, _pytree.SequenceKey):
        return str(key.idx)
    return str(key.key if isinstance(key, _pytree.MappingKey) else key.name)
