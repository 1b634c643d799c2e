"""Data sets by name, and the user's own: a folder of pictures, FILE.npz, or FILE.py:FUNCTION."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_file import beside, called, is_function, located, own_function
from bitlathe.flow.network.request import ImageSize
from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.model.data import Dataset, dataset_names, load_dataset
from bitlathe.model.data.arrays import dataset_of
from bitlathe.model.data.class_folders import read_class_folders
from bitlathe.model.data.memory import gigabytes
from bitlathe.model.data.npz import read_splits
from bitlathe.model.graph.errors import DataError, first_of

_FORMS = "a folder with a subfolder of pictures for each class, FILE.npz, or FILE.py:FUNCTION"
_NAMED = 10  # classes that a line names


def find_dataset(
    source: str,
    data: Path | None = None,
    *,
    image_size: ImageSize | None = None,
    usual_size: ImageSize | None = None,
    progress: Progress = silent,
) -> Dataset:
    """The data set that a text names.

    Pictures of a folder are resized to `image_size`, else to `usual_size`, else to the size of most.
    `progress` is called with how many are read, and with what a data set of the user's own holds.

    Raises DataError, which names files, MissingData for the files of a name, UsageError for an `image_size`
    of images that have theirs, and what `own_function` raises.
    """
    if not is_known(source) and source and os.path.isdir(source):
        return _of_folder(source, image_size or usual_size, progress)
    if image_size is not None:
        raise UsageError(
            f"`image_size`: is for a folder of pictures, {source} has images of one size; leave it out"
        )
    if is_known(source):
        return load_dataset(source, data)
    if is_function(source):
        return _told(_of_function(source), progress)
    return _told(_of_file(source, progress), progress)


def is_known(source: str) -> bool:
    """Whether a text is the name of a data set, which goes before a file that is called the same.

    >>> is_known("digits"), is_known("./digits")
    (True, False)
    """
    return source in dataset_names()


def safe_name(text: str) -> str:
    """A name for files and reports of letters, digits, _ and -, which is not that of a known data set.

    >>> safe_name("my photos (2)"), safe_name("cifar10"), safe_name("..")
    ('my_photos_2', 'cifar10-own', 'data')
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "data"
    return f"{name}-own" if is_known(name) else name


def _of_folder(source: str, size: ImageSize | None, progress: Progress) -> Dataset:
    folder = Path(source)
    name = safe_name(folder.resolve().name)

    def advance(done: int, total: int) -> None:
        progress(Advance(f"reading {source}", done, total))

    dataset, notes = read_class_folders(folder, name, size, advance)
    for line in notes:
        progress(Note(line))
    return _told(dataset, progress)


def _of_file(source: str, progress: Progress) -> Dataset:
    path = Path(source)
    if not source or not os.path.exists(source):
        raise DataError(
            f"{source}: no such data set, folder or file; choose one of {', '.join(dataset_names())}, "
            f"or give {_FORMS}"
        )
    if path.suffix == ".py":
        raise DataError(f"{source}: name the function in it that makes the data set, {source}:FUNCTION")
    if path.suffix != ".npz" or not path.is_file():
        raise DataError(f"{source}: is not a data set; give {_FORMS}")
    arrays, class_names, left_out = read_splits(path)
    if left_out:
        progress(Note(f"{source}: arrays that are not read: {', '.join(left_out)}"))
    return dataset_of(arrays, name=safe_name(path.stem), where=source, class_names=class_names)


def _of_function(source: str) -> Dataset:
    """What FUNCTION of FILE.py returns; its random numbers of PyTorch are seeded."""
    file, _, function = source.rpartition(":")
    with torch.random.fork_rng(devices=[]):
        maker = own_function(source, "a data set")
        torch.manual_seed(0)
        with beside(Path(file)), located(source):  # data sets compute their items when these are read
            made: Any = called(maker, source)
            if isinstance(made, Dataset):
                return made if made.is_known else replace(made, name=safe_name(made.name))
            return dataset_of(made, name=safe_name(function), where=source)


def _told(dataset: Dataset, progress: Progress) -> Dataset:
    """The data set, of which a line says what it holds."""
    size = gigabytes(dataset.train_images.nbytes + dataset.test_images.nbytes)
    progress(Note(f"{dataset}{_listed(dataset.class_names)}; {size}"))
    return dataset


def _listed(names: Sequence[str]) -> str:
    if not names or names == tuple(map(str, range(len(names)))):
        return ""
    return f" ({first_of(names, _NAMED)})"
