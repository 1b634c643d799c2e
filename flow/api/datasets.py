"""Data sets: named, in files, or of the user's own as arrays, torch data sets or loaders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_data import find_dataset
from bitlathe.flow.network.request import ImageSize
from bitlathe.flow.progress import Progress, silent
from bitlathe.model.data import Dataset
from bitlathe.model.data.arrays import Split, dataset_of, name_of

DatasetSource: TypeAlias = "str | Path | Dataset | Split"


def load_dataset(
    source: DatasetSource,
    test: Split | None = None,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    data: str | Path | None = None,
    image_size: ImageSize | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Labelled images in a training and a test split, as bytes.

    Images are bytes, or floats that are exactly pixel / 255, as torchvision's ToTensor makes them. A NumPy
    array is (N, H, W, C) or (N, H, W), a tensor (N, C, H, W) or (N, H, W); one image of a torch data set
    likewise without N, or a picture of PIL. Labels are classes where they are integers (N,) or (N, 1) from 0
    on; other numbers (N, ...), such as vectors, maps of classes or images, are targets of a task of another
    kind.

    Args:
        source: a name (`digits`, `mnist`, `cifar10`, ...); a folder with a subfolder of pictures for each
            class, or with folders `train` and `test` of such; `FILE.npz` with the arrays `train_images`,
            `train_labels`, `test_images` and `test_labels`; `FILE.py:FUNCTION`, which returns what stands
            here; a `Dataset`, a torch `Dataset` of (image, label), a `DataLoader`, arrays (images, labels),
            a pair of splits, or (train_images, train_labels, test_images, test_labels). A loader's images are
            taken in the order of their data set, whatever its sampler's order.
        test: the test split, where `source` is only the training split. Where it is not given and `source` is
            one split, every fifth image, counted from the fifth on, is a test image; of a folder every fifth
            of each class.
        name: what the data set is called.
        class_names: else those of a folder or a torch data set, else the numbers up to the largest label. ()
            says that integers are no classes but targets.
        data: folder of the data sets that have names; the variable BITLATHE_DATA if not given.
        image_size: height and width that a folder's pictures are resized to; else those of most of them.
        progress: is called with what files hold.

    Raises:
        UsageError: an argument that does not go with the source, or FUNCTION fails; names argument or line.
        MissingData: the files of the name are missing or damaged.
        DataError: no data set of that name, or files, images or labels of another kind, shape, type or range;
            says what to give.
    """
    if isinstance(source, Path):
        source = str(source.resolve())
    if isinstance(source, (str, Dataset)):
        for argument, given in {"test": test, "class_names": class_names}.items():
            if given is not None:
                raise UsageError(f"`{argument}`: {source} has its own; leave it out")
        if isinstance(source, str):
            folder = None if data is None else Path(data)
            source = find_dataset(source, folder, image_size=image_size, progress=progress)
        return source if name is None else replace(source, name=name, is_known=False)
    if image_size is not None:
        raise UsageError("`image_size`: is for a folder of pictures; leave it out")
    called = name or name_of(source)
    if test is not None and isinstance(source, tuple) and len(source) == 4:
        raise UsageError(
            f"`test`: {called} has a test split of its own, its third and fourth array; leave it out"
        )
    return dataset_of(source, test, name=called, class_names=class_names)
