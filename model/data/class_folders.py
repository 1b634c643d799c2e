"""A folder of pictures, one subfolder a class, as a `Dataset`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitlathe.model.data.arrays import TEST_EVERY, every_fifth
from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.data.memory import check_memory
from bitlathe.model.data.pictures import SUFFIXES, HeightWidth, PictureHeader, headers, read_pictures
from bitlathe.model.graph.errors import DataError, first_of

_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there
_HIDDEN = ("thumbs.db", "desktop.ini", "__macosx")  # and what begins with a dot
_ORDER_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Files of a split, with the numbers of their classes."""

    paths: tuple[Path, ...]
    labels: Labels

    @classmethod
    def shuffled(cls, classes: Sequence[Sequence[Path]]) -> _Split:
        """Files of each class in an order that mixes classes, and is always the same.

        The first images calibrate, and are those that a simulation of few runs.
        """
        paths = [path for files in classes for path in files]
        labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes])
        # RandomState's stream never changes between NumPy versions
        order = np.random.RandomState(_ORDER_SEED).permutation(len(paths))
        return cls(paths=tuple(paths[place] for place in order), labels=labels[order].astype(np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The files of a data set."""

    class_names: tuple[str, ...]
    train: _Split
    test: _Split
    notes: tuple[str, ...]


def read_class_folders(
    folder: Path,
    name: str,
    size: HeightWidth | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Dataset, tuple[str, ...]]:
    """The pictures of a folder as a data set of this name, and lines on what was left out or changed.

    Subfolders are classes, in the order of their names; or they are `train` and `test` (else `val`, `valid`)
    with such subfolders each. Where there is no test split every fifth file of each class is in it. Pictures
    are resized to `size`, else to the size that more than half of them have. They are grey if all are.

    Raises DataError, which names files or folders. `advance` is called with how many pictures are read, and
    of how many.
    """
    found = _find(folder)
    paths = (*found.train.paths, *found.test.paths)
    seen = headers(paths)
    chosen = size or _usual_size(folder, paths, seen)
    channels = max(header.channels for header in seen)
    check_memory(str(folder), len(paths) * chosen[0] * chosen[1] * channels)
    images = read_pictures(paths, chosen, channels, advance)
    border = len(found.train.paths)
    dataset = Dataset(
        name=name,
        train_images=images[:border],
        train_labels=found.train.labels,
        test_images=images[border:],
        test_labels=found.test.labels,
        class_names=found.class_names,
    )
    return dataset, (*found.notes, *_changes(folder, paths, seen, chosen, channels))


def _usual_size(folder: Path, paths: Sequence[Path], seen: Sequence[PictureHeader]) -> HeightWidth:
    """The size of more than half of the pictures; DataError where there is none."""
    counts = Counter(header.size for header in seen)
    size, count = counts.most_common(1)[0]
    if 2 * count > len(seen):
        return size
    by_area = sorted(range(len(seen)), key=lambda place: seen[place].size[0] * seen[place].size[1])
    ends = " to ".join(f"{_by(seen[place].size)} ({paths[place]})" for place in (by_area[0], by_area[-1]))
    raise DataError(
        f"{folder}: pictures are of {len(counts)} sizes, from {ends}, and no size is that of most; "
        f"give `image_size`, such as {_by(seen[by_area[len(by_area) // 2]].size)}"
    )


def _changes(
    folder: Path, paths: Sequence[Path], seen: Sequence[PictureHeader], size: HeightWidth, channels: int
) -> Iterator[str]:
    """A line for each thing that reading changed in some pictures."""
    changes: Mapping[str, Callable[[PictureHeader], bool]] = {
        f"resized to {_by(size)} (bilinear)": lambda header: header.size != size,
        "grey, and repeated in three channels as others have colours": lambda h: h.channels != channels,
        "read without their alpha channel": lambda header: header.has_alpha,
    }
    for what, concerns in changes.items():
        concerned = [path for path, header in zip(paths, seen, strict=True) if concerns(header)]
        if len(concerned) == len(paths):
            yield f"{folder}: all {len(paths):,} pictures are {what}"
        elif concerned:
            yield f"{folder}: {len(concerned):,} of {len(paths):,} pictures are {what}: {first_of(concerned)}"


def _by(size: HeightWidth) -> str:
    return f"{size[0]}x{size[1]}"


def _find(folder: Path) -> _Found:
    """The files of a folder in their splits and classes."""
    subfolders = _subfolders(folder)
    train = _split_folder(subfolders, _TRAIN)
    test = _split_folder(subfolders, _TEST)
    if train is None and test is not None:
        raise DataError(f"{folder}: has {test.name}, but no {_TRAIN[0]} beside it; add one")
    classes, unread = _classes(train or folder)
    _check_classes(train or folder, classes)
    if train is not None:
        unread += [path for path in _visible(folder) if path not in (train, test)]
    if test is None:
        classes, tests = _divided(train or folder, classes)
    else:
        tests, others = _classes(test)
        unread += others
        if unknown := sorted(tests.keys() - classes.keys()):
            what = f"{train} has no such class; give it pictures there, or remove it"
            raise DataError(f"{test / unknown[0]}: {what}")
    return _Found(
        class_names=tuple(classes),
        train=_Split.shuffled(list(classes.values())),
        test=_Split.shuffled([tests.get(name, []) for name in classes]),
        notes=(
            *_left_out(folder, unread),
            *_untested(folder, [name for name in classes if not tests.get(name)]),
        ),
    )


def _classes(folder: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """The pictures of each class, both in the order of names, and what else is there."""
    classes: dict[str, list[Path]] = {}
    others: list[Path] = []
    for path in _visible(folder):
        if not path.is_dir():
            others.append(path)
            continue
        files = list(_files(path, frozenset()))
        classes[path.name] = [file for file in files if _is_picture(file)]
        others += [file for file in files if not _is_picture(file)]
    return classes, others


def _check_classes(folder: Path, classes: Mapping[str, Sequence[Path]]) -> None:
    """Raise DataError for fewer than two classes, and for those without a picture."""
    if len(classes) < 2:
        there = f"has pictures of one class ({', '.join(classes)})" if classes else "has no subfolder"
        raise DataError(f"{folder}: {there}; give it a subfolder of pictures for each of two classes or more")
    if empty := [folder / name for name, files in classes.items() if not files]:
        kinds = ", ".join(SUFFIXES)
        raise DataError(f"{first_of(empty)}: no picture in it ({kinds}); add some, or remove the folder")


def _divided(
    folder: Path, classes: Mapping[str, Sequence[Path]]
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Pictures to train and to test with: every fifth of a class is a test image."""
    train: dict[str, list[Path]] = {name: [] for name in classes}
    test: dict[str, list[Path]] = {name: [] for name in classes}
    for name, files in classes.items():
        for path, is_test in zip(files, every_fifth(len(files)), strict=True):
            (test if is_test else train)[name].append(path)
    if not any(test.values()):
        raise DataError(
            f"{folder}: every {TEST_EVERY}th picture of a class is a test image, and no class has so many; "
            f"give more, or folders {_TRAIN[0]} and {_TEST[0]}"
        )
    return train, test


def _left_out(folder: Path, others: Sequence[Path]) -> Iterator[str]:
    if others:
        yield f"{folder}: {len(others)} of its files or folders are not read: {first_of(others)}"


def _untested(folder: Path, missing: Sequence[str]) -> Iterator[str]:
    if missing:
        yield f"{folder}: no test picture of {', '.join(missing)}"


def _split_folder(subfolders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The subfolder that is a split: by its name, and as it has folders of its own and no pictures."""
    by_name = {path.name.lower(): path for path in subfolders}
    fitting = [by_name[name] for name in names if name in by_name]
    return next((p for p in fitting if _subfolders(p) and not any(map(_is_picture, _visible(p)))), None)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()  # a pipe would be waited for


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Files of a folder and of those below it, in the order of names; links that lead up are not followed."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for path in _visible(folder):
        if path.is_dir():
            yield from _files(path, above | {here})
        else:
            yield path


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """What a folder has, in the order of names, but not what systems put there unasked."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); mend its permissions") from error
    return [path for path in paths if path.name[0] != "." and path.name.lower() not in _HIDDEN]
