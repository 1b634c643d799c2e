"""Data sets for commands: a wrong name is bad input, missing or damaged files are a missing data set."""

from __future__ import annotations

from pathlib import Path

from bitlathe.flow.errors import MissingData, UsageError
from bitlathe.model.data import Dataset, dataset_names, load_dataset
from bitlathe.model.data.catalog import CATALOG
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.nodes import Shape


def check_dataset(name: str) -> None:
    """Raise UsageError unless a data set of this name is known."""
    if name not in dataset_names():
        raise UsageError(f"{name}: no such data set; choose one of {', '.join(dataset_names())}")


def read_dataset(name: str, data: Path | None = None) -> Dataset:
    """A data set below `data`, or below the usual folder; UsageError or MissingData."""
    check_dataset(name)
    try:
        return load_dataset(name, data)
    except DataError as error:
        raise MissingData(str(error)) from error


def shape_of(name: str) -> Shape:
    """(C, H, W) of a data set's images, whose files need not be there; UsageError for an unknown name."""
    check_dataset(name)
    if name not in CATALOG:
        return load_dataset(name).image_shape
    height, width, channels = CATALOG[name].image_shape
    return channels, height, width
