"""From byte images to input codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitlathe.model.data import to_codes
from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.quantize.preprocess import Preprocess


def test_the_default_table_is_the_input_contract(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    preprocess = Preprocess.offset(3)
    assert preprocess.is_offset
    assert np.array_equal(preprocess.codes(images), to_codes(images))


def test_each_channel_is_looked_up_in_its_own_column(rng: np.random.Generator) -> None:
    table = rng.integers(-128, 128, (256, 2)).astype(np.int8)
    images = rng.integers(0, 256, (1, 3, 3, 2)).astype(np.uint8)
    codes = Preprocess(table=table).codes(images)
    assert codes.shape == (1, 2, 3, 3) and codes.flags.c_contiguous
    for row, column, channel in np.ndindex(3, 3, 2):
        assert codes[0, channel, row, column] == table[images[0, row, column, channel], channel]


def test_a_table_survives_its_file(tmp_path: Path, rng: np.random.Generator) -> None:
    preprocess = Preprocess(table=rng.integers(-128, 128, (256, 3)).astype(np.int8))
    preprocess.save(tmp_path / "table.npy")
    assert np.array_equal(Preprocess.load(tmp_path / "table.npy").table, preprocess.table)
    assert [path.name for path in tmp_path.iterdir()] == ["table.npy"]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    Preprocess.offset(3).save(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(
        FormatError, match=r"table.npy: not a readable table of input codes \(.*\); write it again"
    ):
        Preprocess.load(path)


def test_a_missing_file_and_a_foreign_array_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a readable table of input codes"):
        Preprocess.load(tmp_path / "none.npy")
    np.save(tmp_path / "other.npy", np.zeros((256, 3), np.int32))
    with pytest.raises(FormatError) as error:
        Preprocess.load(tmp_path / "other.npy")
    assert str(error.value) == "preprocess: the table is int32 (256, 3), needed int8 or uint8 (256, channels)"


def test_a_table_of_a_huge_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    Preprocess.offset(3).save(path)
    path.write_bytes(path.read_bytes().replace(b"(256, 3), }        ", b"(256, 999999999), }"))
    with pytest.raises(FormatError, match=r"do not fill the shape \(256, 999999999\) of int8"):
        Preprocess.load(path)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 3), np.int16), np.zeros((4, 4, 3), np.uint8)],
)
def test_images_of_another_kind_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"give uint8 \(N, H, W, 3\)"):
        Preprocess.offset(3).codes(images)  # type: ignore[arg-type]


def test_no_image_and_parts_of_images_are_looked_up_too(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (4, 5, 6, 3)).astype(np.uint8)
    for preprocess in (Preprocess.offset(3), Preprocess.pixel(3)):
        every = preprocess.codes(images)
        assert every.dtype == (np.int8 if preprocess.signed else np.int16)
        assert np.array_equal(preprocess.codes(images[::2, 1:, ::3]), every[::2, :, 1:, ::3])
        assert preprocess.codes(images[:0]).shape == (0, 3, 5, 6)
