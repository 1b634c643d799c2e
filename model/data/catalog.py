"""The data sets known by name, and where their files may be under the data root."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.data.readers import (
    DatasetReader,
    read_cifar10_binary,
    read_cifar100_binary,
    read_idx,
    read_npz,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLayout:
    """One arrangement of a data set's files on disk. Any file may also end in .gz."""

    folders: tuple[str, ...]  # tried in this order, relative to the data root
    train: tuple[str, ...]
    test: tuple[str, ...]
    reader: DatasetReader


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """What a data set must contain, and where to look for it."""

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]  # (H, W, C)
    train_count: int
    test_count: int
    layouts: tuple[DatasetLayout, ...]


_DIGIT_NAMES = tuple(str(digit) for digit in range(10))
_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def _mnist_like(folder: str, torch_folder: str, class_names: tuple[str, ...]) -> DatasetSpec:
    idx = DatasetLayout(
        folders=(folder, f"{torch_folder}/raw"),
        train=("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        test=("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        reader=read_idx,
    )
    npz = DatasetLayout(folders=(folder,), train=("train.npz",), test=("test.npz",), reader=read_npz)
    return DatasetSpec(
        class_names=class_names,
        image_shape=(28, 28, 1),
        train_count=60_000,
        test_count=10_000,
        layouts=(npz, idx),
    )


_CIFAR10 = DatasetSpec(
    class_names=_CIFAR10_NAMES,
    image_shape=(32, 32, 3),
    train_count=50_000,
    test_count=10_000,
    layouts=(
        DatasetLayout(
            folders=("cifar10",),
            train=tuple(f"train_{i}.npz" for i in range(1, 6)),
            test=("test.npz",),
            reader=read_npz,
        ),
        DatasetLayout(
            folders=("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10"),
            train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            test=("test_batch.bin",),
            reader=read_cifar10_binary,
        ),
    ),
)

_CIFAR100 = DatasetSpec(
    class_names=tuple(f"class {i}" for i in range(100)),
    image_shape=(32, 32, 3),
    train_count=50_000,
    test_count=10_000,
    layouts=(
        DatasetLayout(
            folders=("cifar-100-binary", "cifar100/cifar-100-binary", "cifar100"),
            train=("train.bin",),
            test=("test.bin",),
            reader=read_cifar100_binary,
        ),
    ),
)

CATALOG: dict[str, DatasetSpec] = {
    "mnist": _mnist_like("mnist", "MNIST", _DIGIT_NAMES),
    "fashion_mnist": _mnist_like("fashion_mnist", "FashionMNIST", _FASHION_NAMES),
    "cifar10": _CIFAR10,
    "cifar100": _CIFAR100,
}
