"""Data sets are found under the data root, checked, and their absence explained."""

from __future__ import annotations

import dataclasses
import doctest
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitlathe.model.data import Dataset, data_root, dataset, load_dataset
from bitlathe.model.data import load as load_module
from bitlathe.model.data.catalog import CATALOG
from bitlathe.model.graph.errors import DataError, MissingData


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITLATHE_DATA", raising=False)


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST of three training and two test images, so that a test can write it."""
    spec = dataclasses.replace(CATALOG["mnist"], train_count=3, test_count=2)
    monkeypatch.setitem(CATALOG, "mnist", spec)


def write_idx(folder: Path, split: str, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    images = bytes((0, 0, 8, 3)) + struct.pack(">3I", count, 28, 28) + bytes(count * 784)
    labels = bytes((0, 0, 8, 1)) + struct.pack(">I", count) + bytes(range(count))
    (folder / f"{split}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(labels)


def test_digits_need_no_file_and_split_1437_to_360() -> None:
    digits = load_dataset("digits")
    assert digits.train_images.shape == (1437, 8, 8, 1)
    assert digits.test_images.shape == (360, 8, 8, 1)
    assert (digits.num_classes, digits.in_channels, digits.input_size) == (10, 1, 8)


def test_digits_use_the_whole_range_of_a_byte() -> None:
    images = load_dataset("digits").train_images
    assert set(np.unique(images)) == {value * 255 // 16 for value in range(17)}


def test_the_stand_in_for_imagenet_needs_no_file_and_never_changes() -> None:
    noise = load_dataset("synthetic224")
    assert noise.test_images.shape == (16, 224, 224, 3)
    assert (noise.num_classes, noise.in_channels, noise.input_size) == (1000, 3, 224)
    assert (noise.train_images.min(), noise.train_images.max()) == (0, 255)
    assert int(noise.test_images.astype(np.int64).sum()) == 303_318_006


def test_the_split_of_digits_never_changes() -> None:
    digits = load_dataset("digits")
    assert np.bincount(digits.test_labels).tolist() == [31, 35, 39, 33, 44, 29, 40, 40, 28, 41]
    assert int(digits.test_images.astype(np.int64).sum()) == 1_785_589


def test_an_explicit_root_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITLATHE_DATA", "elsewhere")
    assert data_root(tmp_path) == tmp_path
    assert data_root() == Path("elsewhere")


@pytest.mark.usefixtures("no_variable")
def test_the_default_root_lies_beside_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load_module, "_REPOSITORY", tmp_path / "clone")
    assert data_root() is None
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert data_root() == tmp_path / "shared" / "data"


@pytest.mark.usefixtures("no_variable")
def test_without_any_root_the_message_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "_REPOSITORY", Path("nowhere/clone"))
    message = (
        "mnist: no data folder is known; give `data=DIR` or set BITLATHE_DATA to the folder that holds them"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_dataset("mnist")


def test_missing_files_are_named(tmp_path: Path) -> None:
    message = (
        f"cifar100: files not found, looked for {tmp_path}/cifar-100-binary/{{train.bin,test.bin}} or "
        f"{tmp_path}/cifar100/cifar-100-binary/{{train.bin,test.bin}} or "
        f"{tmp_path}/cifar100/{{train.bin,test.bin}}; "
        "give `data=DIR` or set BITLATHE_DATA to the folder that holds them"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_dataset("cifar100", tmp_path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    embedded, read = "digits, synthetic224, synthetic416", "mnist, fashion_mnist, cifar10, cifar100"
    known = f"{embedded}, {read}, digit_boxes, digit_masks"
    with pytest.raises(DataError, match=f"^svhn: no such data set; choose one of {known}$"):
        load_dataset("svhn")


@pytest.mark.usefixtures("small_mnist")
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
def test_official_idx_files_are_found(tmp_path: Path, folder: str) -> None:
    write_idx(tmp_path / folder, "train", 3)
    write_idx(tmp_path / folder, "t10k", 2)
    assert load_dataset("mnist", tmp_path).train_labels.tolist() == [0, 1, 2]


@pytest.mark.usefixtures("small_mnist")
def test_a_wrong_count_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist", "train", 3)
    write_idx(tmp_path / "mnist", "t10k", 1)
    message = r"mnist test: images are \(1, 28, 28, 1\), expected \(2, 28, 28, 1\); fetch the files again"
    with pytest.raises(DataError, match=message):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize("name", [name for name in CATALOG if name != "cifar100"])
def test_the_real_files_are_read(data_root: Path, name: str) -> None:
    dataset, spec = load_dataset(name, data_root), CATALOG[name]
    assert dataset.train_images.shape == (spec.train_count, *spec.image_shape)
    assert dataset.test_images.shape == (spec.test_count, *spec.image_shape)
    assert np.unique(dataset.test_labels).tolist() == list(range(10))


def _fields(count: int = 2) -> dict[str, object]:
    images, labels = np.zeros((count, 8, 8, 1), np.uint8), np.zeros(count, np.int64)
    return {
        "name": "x",
        "train_images": images,
        "train_labels": labels,
        "test_images": images,
        "test_labels": labels,
        "class_names": ("a", "b"),
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_images", np.zeros((2, 8, 8, 1), np.float32), "x train: images are float32"),
        ("test_images", np.zeros((2, 8, 9), np.uint8), "x test: images are uint8 (2, 8, 9)"),
        ("test_images", np.zeros((2, 9, 9, 1), np.uint8), "x: train images are (8, 8, 1), test"),
        ("train_labels", np.zeros(3, np.int64), "x train: labels are int64 (3,), expected int64 (2,)"),
        ("train_labels", np.zeros(2, np.uint8), "x train: labels are uint8 (2,)"),
        ("test_labels", np.array([0, 2]), "x test: labels span 0..2, expected 0..1"),
        ("test_labels", np.array([-1, 0]), "x test: labels span -1..0, expected 0..1"),
    ],
)
def test_a_data_set_with_a_wrong_array_cannot_be_made(field: str, value: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Dataset(**{**_fields(), field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_labels", np.zeros((3, 2)), "x train: labels are float64 (3, 2), expected numbers (2, ...)"),
        ("test_labels", np.array(["a", "b"]), "x test: labels are <U1 (2,), expected numbers"),
        ("test_labels", np.array([[0.0], [1.0]]), "x: train labels are float64 () an image, test labels"),
        ("test_labels", np.array([0, 1]), "x: train labels are float64 () an image, test labels int64 ()"),
        ("train_labels", np.array([0.0, np.nan]), "x train: labels hold NaN or infinity"),
    ],
)
def test_targets_that_do_not_fit_cannot_be_a_data_set_s(
    field: str, value: NDArray[Any], message: str
) -> None:
    targets = {"train_labels": np.zeros(2), "test_labels": np.zeros(2), "class_names": ()}
    with pytest.raises(DataError, match=re.escape(message)):
        Dataset(**{**_fields(), **targets, field: value})  # type: ignore[arg-type]


def test_a_data_set_without_images_cannot_be_made() -> None:
    with pytest.raises(DataError, match="x train: no image in it"):
        Dataset(**_fields(count=0))  # type: ignore[arg-type]


def test_the_examples_of_a_data_set_hold() -> None:
    assert doctest.testmod(dataset) == (0, 10)


def test_files_that_are_not_there_are_told_from_a_name_that_no_data_set_has(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="cifar10: files not found"):
        load_dataset("cifar10", tmp_path)
    with pytest.raises(DataError, match="no such data set") as raised:
        load_dataset("cifar11", tmp_path)
    assert not isinstance(raised.value, MissingData)
