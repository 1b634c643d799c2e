"""Whether the outputs of a network match a data set's classes, so that it has an accuracy."""

from __future__ import annotations

from math import prod

from bitlathe.model.data import Dataset


def unlike_classes(outputs: tuple[int, ...], dataset: Dataset) -> str | None:
    """How outputs of one image, (K,) or (K, H, W), differ from one per class; None if they do not.

    >>> from bitlathe.model.data import load_dataset
    >>> unlike_classes((10, 1, 1), load_dataset("digits"))
    >>> unlike_classes((10, 8, 8), load_dataset("digits"))
    'makes maps of 10x8x8, digits has 10 classes'
    >>> unlike_classes((1,), load_dataset("digits"))
    'makes 1 output, digits has 10 classes'
    """
    count, extent = prod(outputs[:1]), prod(outputs[1:])
    if (count, extent) == (dataset.num_classes, 1):
        return None
    made = f"{count} output{'s' * (count != 1)}" if extent == 1 else f"maps of {_by(outputs)}"
    return f"makes {made}, {dataset.name} has {dataset.num_classes} classes"


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
