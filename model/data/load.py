"""Data sets by name: find the files, read them, check them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bitlathe.model.data.catalog import CATALOG, DatasetLayout, DatasetSpec
from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.data.digits import read_digits
from bitlathe.model.data.readers import DatasetReader, read_blob
from bitlathe.model.data.scenes import SIDE, read_digit_boxes, read_digit_masks
from bitlathe.model.data.synthetic import read_synthetic, read_synthetic_boxes
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError, MissingData
from bitlathe.model.graph.nodes import Shape

DATA_VARIABLE = "BITLATHE_DATA"
_REPOSITORY = Path(__file__).resolve().parents[2]
_HINT = f"give `data=DIR` or set {DATA_VARIABLE} to the folder that holds them"

_EMBEDDED = {"digits": read_digits, "synthetic224": read_synthetic, "synthetic416": read_synthetic_boxes}
_DRAWN = {"digit_boxes": read_digit_boxes, "digit_masks": read_digit_masks}  # of mnist's digits


def dataset_names() -> tuple[str, ...]:
    """Names that `load_dataset` knows; the first three need no files."""
    return (*_EMBEDDED, *CATALOG, *_DRAWN)


def data_root(explicit: Path | None = None) -> Path | None:
    """Folder of the data sets: `explicit`, else BITLATHE_DATA, else ../shared/data if it exists."""
    if explicit is not None:
        return explicit
    if os.environ.get(DATA_VARIABLE):
        return Path(os.environ[DATA_VARIABLE])
    beside = _REPOSITORY.parent / "shared" / "data"
    return beside if beside.is_dir() else None


def load_dataset(name: str, root: Path | None = None) -> Dataset:
    """Read and check a data set; `root` as in `data_root`.

    Raises DataError for an unknown name, MissingData for missing files or files that are not the data set.
    """
    check_dataset(name)
    try:
        return replace(_made(name, root), is_known=True)
    except DataError as error:
        raise MissingData(str(error)) from error


def _made(name: str, root: Path | None) -> Dataset:
    if name in _EMBEDDED:
        return _EMBEDDED[name]()
    if name in _DRAWN:
        return _DRAWN[name](_made("mnist", root))
    return _read_files(name, CATALOG[name], data_root(root))


def check_dataset(name: str) -> None:
    """Raise DataError unless a data set of this name is known."""
    if name not in dataset_names():
        raise DataError(f"{name}: no such data set; choose one of {', '.join(dataset_names())}")


def image_shape_of(name: str) -> Shape:
    """(C, H, W) of a data set's images, whose files need not be there; DataError for an unknown name."""
    check_dataset(name)
    if name in _EMBEDDED:
        return _EMBEDDED[name]().image_shape
    if name in _DRAWN:
        return 1, SIDE, SIDE
    height, width, channels = CATALOG[name].image_shape
    return channels, height, width


def _read_files(name: str, spec: DatasetSpec, root: Path | None) -> Dataset:
    layout, folder = _find(name, spec, root)
    train = _read_split(folder, layout.train, layout.reader)
    test = _read_split(folder, layout.test, layout.reader)
    _check_shape(f"{folder} {name} train", train[0], (spec.train_count, *spec.image_shape))
    _check_shape(f"{folder} {name} test", test[0], (spec.test_count, *spec.image_shape))
    return Dataset(
        name=name,
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        class_names=spec.class_names,
    )


def _find(name: str, spec: DatasetSpec, root: Path | None) -> tuple[DatasetLayout, Path]:
    if root is None:
        raise DataError(f"{name}: no data folder is known; {_HINT}")
    for layout, folder in _candidates(spec, root):
        if all(_present(folder / file) for file in (*layout.train, *layout.test)):
            return layout, folder
    raise DataError(f"{name}: files not found, looked for {_looked_for(spec, root)}; {_HINT}")


def _candidates(spec: DatasetSpec, root: Path) -> Iterator[tuple[DatasetLayout, Path]]:
    return ((layout, root / folder) for layout in spec.layouts for folder in layout.folders)


def _present(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return next((p for p in (path, packed) if p.is_file()), None)


def _looked_for(spec: DatasetSpec, root: Path) -> str:
    return " or ".join(
        f"{folder}/{{{','.join((*layout.train, *layout.test))}}}"
        for layout, folder in _candidates(spec, root)
    )


def _read_split(folder: Path, files: tuple[str, ...], reader: DatasetReader) -> tuple[Images, Labels]:
    paths = (_present(folder / file) for file in files)
    return reader([read_blob(path) for path in paths if path])


def _check_shape(where: str, images: Images, expected: tuple[int, ...]) -> None:
    if images.shape != expected:
        raise DataError(f"{where}: images are {images.shape}, expected {expected}; fetch the files again")
