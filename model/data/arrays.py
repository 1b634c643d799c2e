"""The user's own arrays, torch data sets and loaders as a `Dataset` of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, default_collate
from torch.utils.data import Dataset as TorchDataset

from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError

Arrays: TypeAlias = tuple[Any, ...]  # images and labels of one split, or of both one after the other
Split: TypeAlias = "Arrays | TorchDataset[Any] | DataLoader[Any]"

TEST_EVERY = 5  # of images that are not split yet
_LARGEST = 255
_MOST_CLASSES = 65536


def dataset_of(
    source: Split,
    test: Split | None = None,
    *,
    name: str,
    where: str | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Labelled images in a training and a test split, as bytes.

    Images are bytes, or floats that are exactly pixel / 255, as torchvision's ToTensor makes them. A NumPy
    array is (N, H, W, C) or (N, H, W), a tensor (N, C, H, W) or (N, H, W); one image of a torch data set
    likewise without N, or a picture of PIL. A loader's images are taken in the order of their data set,
    whatever its sampler's order. Labels are classes where they are integers (N,) or (N, 1) from 0 on; other
    numbers (N, ...), such as vectors, maps of classes or images, are targets of a task of another kind.

    Args:
        source: a torch `Dataset` of (image, label), a `DataLoader`, arrays (images, labels), or both splits:
            a pair of these, or (train_images, train_labels, test_images, test_labels).
        test: the test split, where `source` is only the training split. Where it is not given and `source` is
            one split, every fifth image, counted from the fifth on, is a test image.
        name: what the data set is called.
        where: what errors begin with; the name if not given.
        class_names: else those of a torch data set, else the numbers up to the largest label. () says that
            integers are no classes but targets.

    Raises DataError for images or labels of another shape, type or range; says what to give.
    """
    place = where or name
    (train_images, train_labels, floats), (test_images, test_labels, _) = _splits(source, test, place)
    names: Sequence[str] = ()
    if (class_names is None or len(class_names)) and _are_classes(train_labels, test_labels):
        train_labels, test_labels = _classes(train_labels, place), _classes(test_labels, place)
        names = class_names or _class_names(source, place, train_labels, test_labels)
    elif class_names:
        raise DataError(f"{place}: labels are targets, not classes; leave out `class_names`")
    made = Dataset(
        name=place,  # for errors
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple(names),
        gives_floats=floats,
    )
    return replace(made, name=name)


def every_fifth(count: int) -> NDArray[np.bool_]:
    """Which of images that are not split yet are test images, (N,).

    >>> every_fifth(6).tolist()
    [False, False, False, False, True, False]
    """
    tests: NDArray[np.bool_] = np.arange(count) % TEST_EVERY == TEST_EVERY - 1
    return tests


_Read: TypeAlias = tuple[Images, Labels, bool]  # whether the images were floats


def _splits(source: Split, test: Split | None, where: str) -> tuple[_Read, _Read]:
    if isinstance(source, (tuple, list)) and len(source) == 4:
        source, test = tuple(source[:2]), tuple(source[2:])
    elif isinstance(source, (tuple, list)) and _are_splits(source):
        source, test = source
    if test is not None:
        return _read(source, f"{where} train"), _read(test, f"{where} test")
    images, labels, floats = _read(source, where)
    tests = every_fifth(len(labels))
    if not tests.any():
        raise DataError(
            f"{where}: {len(labels)} images leave none for tests, for which every {TEST_EVERY}th is taken; "
            "give more, or a test split"
        )
    return (images[~tests], labels[~tests], floats), (images[tests], labels[tests], floats)


def _are_splits(pair: Sequence[Any]) -> bool:
    """Whether a pair is of two splits, and not of images and labels."""
    return len(pair) == 2 and all(isinstance(each, (tuple, TorchDataset, DataLoader)) for each in pair)


def _read(split: Split, where: str) -> _Read:
    """Images (N, H, W, C) and labels (N, ...) of one split, and whether the images were floats."""
    if isinstance(split, (tuple, list)):
        if len(split) != 2:
            raise DataError(f"{where}: {len(split)} arrays; give images and labels, of one split or of both")
        images, labels = _pixels(split[0], where), _labels(split[1], where)
    else:
        pairs = list(_pairs(split, where))
        if not pairs:
            raise DataError(f"{where}: no image in it; give at least one")
        images = _stacked([image for image, _ in pairs], where)
        labels = _labels([_array(label) for _, label in pairs], where)
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images and {len(labels)} labels; give one label per image")
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise DataError(f"{where}: images are {images.shape}; give (N, H, W, C) or (N, H, W)")
    whole = images if images.ndim == 4 else images[..., np.newaxis]
    return _bytes(whole, where), labels, whole.dtype.kind == "f"


def _pairs(split: TorchDataset[Any] | DataLoader[Any], where: str) -> Iterator[tuple[Any, Any]]:
    """Each image with its label."""
    if not isinstance(split, DataLoader):
        return _items(split, where)
    own_batches = split.collate_fn is not default_collate or split.batch_sampler is None
    if own_batches or isinstance(split.dataset, IterableDataset):
        batches = (_pair(batch, where, "batch") for batch in split)
        return chain.from_iterable(zip(images, labels, strict=True) for images, labels in batches)
    with torch.random.fork_rng(devices=[]):
        return _items(split.dataset, where, sorted(set(split.sampler)))


def _items(dataset: Any, where: str, places: Sequence[int] | None = None) -> Iterator[tuple[Any, Any]]:
    """The items at some places, or all."""
    if isinstance(dataset, IterableDataset):
        return (_pair(item, where, "item") for item in dataset)
    if not all(hasattr(dataset, f"__{n}__") for n in ("len", "getitem")):
        raise DataError(
            f"{where}: is a {type(dataset).__name__}; give arrays of images and labels, or a torch data set"
        )
    chosen = range(len(dataset)) if places is None else places
    return (_pair(dataset[place], where, "item") for place in chosen)


def _pair(item: Any, where: str, what: str) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"{where}: gives a {type(item).__name__} as {what}; let each be (image, label)")
    return item[0], item[1]


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
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise DataError(f"{where}: images are of several shapes; resize them to one size") from error
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


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _are_classes(*labels: Labels) -> bool:
    """Whether labels are integers (N,), or (N, 1) as Keras and MedMNIST have them."""
    return all(each.shape[1:] in ((), (1,)) and each.dtype.kind in "iu" for each in labels)


def _classes(labels: Labels, where: str) -> Labels:
    """Classes (N,) int64; DataError for numbers that are none."""
    flat = labels.ravel()
    if flat.size and not 0 <= flat.min() <= flat.max() < _MOST_CLASSES:
        raise DataError(
            f"{where}: labels go from {flat.min()} to {flat.max()}; give classes from 0 on, fewer than "
            f"{_MOST_CLASSES}, or floats, which are targets"
        )
    return flat.astype(np.int64)


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


def name_of(source: Split) -> str:
    """What a data set is called where nobody says."""
    if isinstance(source, DataLoader):
        return name_of(source.dataset)
    return "arrays" if isinstance(source, (tuple, list)) else type(source).__name__


def _class_names(source: Split, where: str, train: Labels, test: Labels) -> Sequence[str]:
    """Names that a torch data set has, else the numbers up to the largest label of a training image."""
    if isinstance(source, DataLoader):
        return _class_names(source.dataset, where, train, test)
    largest, largest_test = (int(labels.max(initial=0)) for labels in (train, test))
    known = getattr(source, "classes", None)
    if known:
        largest = max(largest, largest_test)
        if largest >= len(known):
            raise DataError(f"{where}: has {len(known)} classes, and labels up to {largest}; name them all")
        return [str(name) for name in known]
    if len(train) and largest < max(1, largest_test):
        raise DataError(
            f"{where}: labels of training images go up to {largest}, those of test images to {largest_test}; "
            "give training images of two classes or more, and of each class that is tested"
        )
    return [str(number) for number in range(largest + 1)]
