"""Data sets: named, or of the user's own as arrays, torch data sets or loaders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, default_collate
from torch.utils.data import Dataset as TorchDataset

from bitlathe.flow.errors import UsageError
from bitlathe.model.data import Dataset, Images, Labels
from bitlathe.model.data import load_dataset as read_named
from bitlathe.model.graph.errors import DataError

Arrays: TypeAlias = tuple[Any, ...]  # images and labels of one split, or of both one after the other
Split: TypeAlias = "Arrays | TorchDataset[Any] | DataLoader[Any]"
DatasetSource: TypeAlias = "str | Dataset | Split"

TEST_EVERY = 5  # of images that are not split yet
_LARGEST = 255


def load_dataset(
    source: DatasetSource,
    test: Split | None = None,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    data: str | Path | None = None,
) -> Dataset:
    """Labelled images in a training and a test split, as bytes.

    Images are bytes, or floats that are exactly pixel / 255, as torchvision's ToTensor makes them. A NumPy
    array is (N, H, W, C) or (N, H, W), a tensor (N, C, H, W) or (N, H, W); one image of a torch data set
    likewise without N, or a picture of PIL. Labels are classes where they are integers (N,) from 0 on; other
    numbers (N, ...), such as vectors, maps of classes or images, are targets of a task of another kind.

    Args:
        source: a name (`digits`, `mnist`, `cifar10`, ...), a `Dataset`, a torch `Dataset` of (image, label),
            a `DataLoader`, arrays (images, labels), or (train_images, train_labels, test_images,
            test_labels). A loader's images are taken in the order of their data set, whatever its sampler's
            order.
        test: the test split, where `source` is only the training split. Where it is not given and `source` is
            one split, every fifth image, counted from the fifth on, is a test image.
        name: what the data set is called.
        class_names: else those of a torch data set, else the numbers up to the largest label. () says that
            integers (N,) are no classes but targets.
        data: folder of the data sets that have names; the variable BITLATHE_DATA if not given.

    Raises:
        UsageError: a test split too many.
        MissingData: the files of the name are missing or damaged.
        DataError: no data set of that name, or images or labels of another shape, type or range; says what
            to give.
    """
    if isinstance(source, str):
        return read_named(source, None if data is None else Path(data))
    if isinstance(source, Dataset):
        return source
    called = name or _name(source)
    splits = _splits(source, test, called)
    (train_images, train_labels, floats), (test_images, test_labels, _) = splits
    names: Sequence[str] = ()
    if (class_names is None or len(class_names)) and _are_classes(train_labels, test_labels):
        names = class_names or _class_names(source, train_labels, test_labels)
        train_labels, test_labels = train_labels.astype(np.int64), test_labels.astype(np.int64)
    elif class_names:
        raise DataError(f"{called}: labels are targets, not classes; leave out `class_names`")
    return Dataset(
        name=called,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple(names),
        gives_floats=floats,
    )


_Read: TypeAlias = tuple[Images, Labels, bool]  # whether the images were floats


def _splits(source: Split, test: Split | None, name: str) -> tuple[_Read, _Read]:
    if isinstance(source, tuple) and len(source) == 4:
        if test is not None:
            raise UsageError(
                f"`test`: {name} has a test split of its own, its third and fourth array; leave it out"
            )
        source, test = source[:2], source[2:]
    if test is not None:
        return _read(source, f"{name} train"), _read(test, f"{name} test")
    images, labels, floats = _read(source, name)
    tests = np.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
    return (images[~tests], labels[~tests], floats), (images[tests], labels[tests], floats)


def _read(split: Split, where: str) -> _Read:
    """Images (N, H, W, C) and labels (N, ...) of one split, and whether the images were floats."""
    if isinstance(split, (tuple, list)):
        if len(split) != 2:
            raise DataError(f"{where}: {len(split)} arrays; give images and labels, of one split or of both")
        images, labels = _pixels(split[0], where), _labels(split[1], where)
    else:
        pairs = list(_pairs(split))
        if not pairs:
            raise DataError(f"{where}: no image in it; give at least one")
        images = _stacked([image for image, _ in pairs], where)
        labels = _labels([_array(label) for _, label in pairs], where)
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images and {len(labels)} labels; give one label per image")
    if images.ndim not in (3, 4):
        raise DataError(f"{where}: images are {images.shape}; give (N, H, W, C) or (N, H, W)")
    whole = images if images.ndim == 4 else images[..., np.newaxis]
    return _bytes(whole, where), labels, whole.dtype.kind == "f"


def _pairs(split: TorchDataset[Any] | DataLoader[Any]) -> Iterator[tuple[Any, Any]]:
    """Each image with its label."""
    if not isinstance(split, DataLoader):
        return _items(split, range(len(split)))  # type: ignore[arg-type]
    own_batches = split.collate_fn is not default_collate or split.batch_sampler is None
    if own_batches or isinstance(split.dataset, IterableDataset):
        return chain.from_iterable(zip(images, labels, strict=True) for images, labels in split)
    with torch.random.fork_rng(devices=[]):
        return _items(split.dataset, sorted(set(split.sampler)))


def _items(dataset: TorchDataset[Any], places: Sequence[int]) -> Iterator[tuple[Any, Any]]:
    return ((image, label) for image, label in (dataset[place] for place in places))


def _stacked(images: list[Any], where: str) -> NDArray[Any]:
    """Images of a torch data set in one array, channels last."""
    arrays = [_pixels(image, where, lone=True) for image in images]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise DataError(f"{where}: images are {shapes[0]}, others {shapes[-1]}; resize them to one size")
    return np.stack(arrays)


def _pixels(images: Any, where: str, lone: bool = False) -> NDArray[Any]:
    """Images, or a lone one, as an array whose channels are last."""
    if isinstance(images, torch.Tensor):
        array = images.detach().cpu().numpy()
        return np.moveaxis(array, -3, -1) if array.ndim == 4 - lone else array
    array = np.asarray(images)
    if array.dtype == object:
        raise DataError(
            f"{where}: images are {type(images).__name__}; give arrays, tensors or PIL's pictures"
        )
    return array


def _labels(labels: Any, where: str) -> Labels:
    try:
        array = _array(labels)
    except ValueError as error:  # raised for arrays of several shapes
        raise DataError(f"{where}: labels differ in shape; make them equal") from error
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise DataError(
            f"{where}: labels are {array.dtype} {array.shape}; give integers (N,) from 0 on, or numbers "
            "(N, ...) where they are no classes"
        )
    return array


def _array(labels: Any) -> NDArray[Any]:
    return labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)


def _are_classes(*labels: Labels) -> bool:
    return all(each.ndim == 1 and each.dtype.kind in "iu" for each in labels)


def _bytes(images: NDArray[Any], where: str) -> Images:
    """Pixels as bytes; DataError unless they are bytes, or floats that are bytes / 255, exactly."""
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind == "f":
        pixels = np.rint(images * images.dtype.type(_LARGEST))
        if not _in_range(pixels) or not _are_quotients(images, pixels):
            raise DataError(
                f"{where}: images are floats from {images.min():.4g} to {images.max():.4g}, not pixel / 255; "
                "give bytes, or what ToTensor makes without Normalize behind it, whose constants "
                "load_network takes as `normalization`"
            )
        return _as_bytes(pixels)
    if images.dtype.kind not in "iu" or not _in_range(images):
        raise DataError(
            f"{where}: images are {images.dtype} from {images.min()} to {images.max()}; give bytes, 0 to 255"
        )
    return _as_bytes(images)


def _as_bytes(pixels: NDArray[Any]) -> Images:
    made: Images = pixels.astype(np.uint8)
    return made


def _are_quotients(images: NDArray[Any], pixels: NDArray[Any]) -> bool:
    """Whether floats are pixels / 255 as their own type divides, or as float32 did before."""
    return any(
        np.array_equal((pixels.astype(kind) / kind.type(_LARGEST)).astype(images.dtype), images)
        for kind in (images.dtype, np.dtype(np.float32))
    )


def _in_range(pixels: NDArray[Any]) -> bool:
    return bool(pixels.size == 0 or (pixels.min() >= 0 and pixels.max() <= _LARGEST))


def _name(source: Split) -> str:
    if isinstance(source, DataLoader):
        return _name(source.dataset)
    return "arrays" if isinstance(source, (tuple, list)) else type(source).__name__


def _class_names(source: Split, *labels: Labels) -> Sequence[str]:
    if isinstance(source, DataLoader):
        return _class_names(source.dataset, *labels)
    known = getattr(source, "classes", None)
    if known:
        return [str(name) for name in known]
    largest = max((int(each.max()) for each in labels if len(each)), default=0)
    return [str(number) for number in range(largest + 1)]
