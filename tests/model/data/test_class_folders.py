"""A folder of pictures becomes a data set: splits, classes, sizes, and what is wrong, by file."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from picture_folders import CLASSES, class_folders, picture, save
from PIL import Image

from bitlathe.model.data import Dataset
from bitlathe.model.data.class_folders import read_class_folders
from bitlathe.model.graph.errors import DataError


def read(folder: Path, size: tuple[int, int] | None = None) -> Dataset:
    return read_class_folders(folder, "photos", size)[0]


def notes(folder: Path, size: tuple[int, int] | None = None) -> str:
    return "\n".join(read_class_folders(folder, "photos", size)[1]).replace(f"{folder}/", "")


def refused(folder: Path, size: tuple[int, int] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_class_folders(folder, "photos", size)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "").replace(str(folder), "photos")


def flat(folder: Path, names: dict[str, int], shape: tuple[int, ...] = (4, 6, 3)) -> Path:
    """A folder of pictures of one value each, all different."""
    values = iter(range(1, 256))
    for name, count in names.items():
        for number in range(count):
            save(folder / name / f"{number:02}.png", np.full(shape, next(values), np.uint8))
    return folder


def firsts(images: np.ndarray) -> list[int]:
    return sorted(int(image.ravel()[0]) for image in images)


def test_every_fifth_picture_of_each_class_is_a_test_image(tmp_path: Path) -> None:
    made = read(flat(tmp_path, {"b": 10, "a": 6}))
    assert made.class_names == ("a", "b") and made.image_shape == (3, 4, 6)
    assert firsts(made.test_images) == [5, 10, 15]  # of b the 5th and 10th, of a the 5th
    assert firsts(made.train_images) == sorted({*range(1, 17)} - {5, 10, 15})
    by_value = {
        int(i.ravel()[0]): int(label) for i, label in zip(made.test_images, made.test_labels, strict=True)
    }
    assert by_value == {5: 1, 10: 1, 15: 0}


def test_the_first_images_are_of_all_classes_and_in_the_same_order_each_time(tmp_path: Path) -> None:
    folder = flat(tmp_path, {name: 30 for name in "abcd"})
    made, again = read(folder), read(folder)
    assert {*made.train_labels[:16]} == {*made.test_labels[:16]} == {0, 1, 2, 3}
    assert np.array_equal(made.train_images, again.train_images) and made.digest == again.digest


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "validation"), ("TRAIN", "val")])
def test_folders_of_splits_are_the_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    flat(tmp_path / names[0], {"a": 3, "b": 2})
    flat(tmp_path / names[1], {"b": 1, "a": 1}, (4, 6, 3))
    made = read(tmp_path)
    assert (len(made.train_labels), len(made.test_labels)) == (5, 2)
    assert firsts(made.train_images) == [1, 2, 3, 4, 5] and firsts(made.test_images) == [1, 2]


def test_a_test_folder_goes_before_one_of_validation_which_is_named(tmp_path: Path) -> None:
    for split, count in {"train": 3, "val": 2, "test": 1}.items():
        flat(tmp_path / split, {"a": count, "b": count})
    assert len(read(tmp_path).test_labels) == 2
    assert notes(tmp_path) == f"{tmp_path}: 1 of its files or folders are not read: val"


def test_a_lone_train_folder_is_split(tmp_path: Path) -> None:
    flat(tmp_path / "train", {"a": 5, "b": 5})
    assert len(read(tmp_path).test_labels) == 2


def test_train_may_be_a_class(tmp_path: Path) -> None:
    made = read(flat(tmp_path, {"bus": 5, "train": 5}))
    assert made.class_names == ("bus", "train")


def test_pictures_deeper_in_a_class_and_behind_links_are_read_once(tmp_path: Path) -> None:
    flat(tmp_path / "photos", {"a/images": 3, "a/more": 2, "b": 5})
    (tmp_path / "photos/b/up").symlink_to(tmp_path / "photos/b")
    assert len(read(tmp_path / "photos").train_labels) == 8


def test_what_systems_leave_behind_is_not_seen(tmp_path: Path) -> None:
    folder = flat(tmp_path, {"a": 5, "b": 5})
    for name in (".DS_Store", "a/.DS_Store", "a/Thumbs.db", "a/._00.png", "b/desktop.ini"):
        (folder / name).write_bytes(b"\0")
    flat(folder, {"__MACOSX": 5, ".git": 1})
    assert read(folder).class_names == ("a", "b") and notes(folder) == ""


def test_other_files_are_named_and_left_out(tmp_path: Path) -> None:
    folder = flat(tmp_path, {"a": 5, "b": 5})
    for name in ("labels.csv", "a/readme.txt", "b/film.gif", "b/scan.tif"):
        (folder / name).write_text("x")
    os.mkfifo(folder / "a/pipe.png")
    named = "a/pipe.png, a/readme.txt, b/film.gif and 2 more"
    assert notes(folder) == f"{folder}: 5 of its files or folders are not read: {named}"


def test_sizes_are_made_that_of_most_or_the_one_given_and_told(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = class_folders(tmp_path, rng, 5, ("a", "b"))
    small = save(folder / "a/000.png", picture(rng, "red", 24, 20))
    assert read(folder).image_shape == (3, 48, 64)
    assert notes(folder) == f"{folder}: 1 of 10 pictures are resized to 48x64 (bilinear): a/000.png"
    made = read(folder, (24, 20))
    assert made.image_shape == (3, 24, 20)
    assert "9 of 10 pictures are resized to 24x20 (bilinear): " in notes(folder, (24, 20))
    assert any(np.array_equal(image, np.asarray(Image.open(small))) for image in made.train_images)
    assert notes(folder, (12, 16)) == f"{folder}: all 10 pictures are resized to 12x16 (bilinear)"
    big = Image.open(folder / "b/004.png").resize((20, 24), Image.Resampling.BILINEAR)
    assert any(np.array_equal(image, np.asarray(big)) for image in made.test_images)


def test_sizes_of_which_none_is_common_are_refused_with_one_to_give(tmp_path: Path) -> None:
    for place in range(10):
        save(tmp_path / "ab"[place % 2] / f"{place}.png", np.zeros((8 + place, 9, 3), np.uint8))
    assert refused(tmp_path) == (
        "photos: pictures are of 10 sizes, from 8x9 (a/0.png) to 17x9 (b/9.png), and no size is that of "
        "most; give `image_size`, such as 13x9"
    )


def test_grey_pictures_have_one_channel_unless_others_have_colours(tmp_path: Path) -> None:
    folder = flat(tmp_path, {"a": 5, "b": 5}, (4, 6))
    assert read(folder).image_shape == (1, 4, 6)
    save(folder / "b/00.png", np.full((4, 6, 3), (1, 2, 3), np.uint8))
    made = read(folder)
    assert made.image_shape == (3, 4, 6)
    assert (made.test_images == made.test_images[..., :1]).all()
    what = "grey, and repeated in three channels as others have colours"
    assert f"9 of 10 pictures are {what}: " in notes(folder)


def test_a_class_is_missing_or_has_nothing(tmp_path: Path) -> None:
    needed = "give it a subfolder of pictures for each of two classes or more"
    assert refused(flat(tmp_path / "1", {"a": 9})) == f"photos: has pictures of one class (a); {needed}"
    save(tmp_path / "2/x.png", np.zeros((4, 4), np.uint8))
    assert refused(tmp_path / "2") == f"photos: has no subfolder; {needed}"
    (flat(tmp_path / "3", {"a": 5, "b": 5}) / "c").mkdir()
    (tmp_path / "3/c/notes.txt").write_text("none yet")
    assert refused(tmp_path / "3").startswith("c: no picture in it (.png, .jpg, .jpeg, ")


def test_too_few_pictures_to_split_are_refused(tmp_path: Path) -> None:
    assert refused(flat(tmp_path, {"a": 1, "b": 4})) == (
        "photos: every 5th picture of a class is a test image, and no class has so many; give more, or "
        "folders train and test"
    )


def test_classes_without_a_test_picture_are_told(tmp_path: Path) -> None:
    assert notes(flat(tmp_path, {"a": 1, "b": 5})) == f"{tmp_path}: no test picture of a"


def test_a_class_of_tests_that_is_never_trained_is_refused(tmp_path: Path) -> None:
    flat(tmp_path / "train", {"a": 3, "b": 2})
    flat(tmp_path / "test", {"a": 1, "cow": 1})
    assert refused(tmp_path) == "test/cow: train has no such class; give it pictures there, or remove it"
    flat(tmp_path / "tests only/test", {"a": 1, "b": 1})
    assert refused(tmp_path / "tests only") == "photos: has test, but no train beside it; add one"


def test_all_pictures_that_cannot_be_read_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = class_folders(tmp_path, rng, 6, ("a", "b"))
    whole = (folder / "a/001.png").read_bytes()
    (folder / "a/001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b/003.png").write_bytes(whole[:-400])
    message = refused(folder)
    assert re.match(
        r"[ab]/00\d\.png: cannot be read \(.*\); replace or remove it; likewise [ab]/00\d\.png$", message
    )
    (folder / "a/002.png").write_bytes(b"")
    (folder / "b/004.png").write_text("not a picture")
    assert re.match(
        r"[ab]/00\d\.png: is not a picture \(PNG, JPEG, BMP, PPM\); replace or remove it; likewise [ab]/00\d",
        refused(folder),
    )


def test_more_than_memory_holds_is_refused_before_it_is_taken(tmp_path: Path) -> None:
    folder = flat(tmp_path, {"a": 5, "b": 5})
    assert re.match(
        r"photos: takes .* GB, this machine has .* GB; give fewer", refused(folder, (10**6, 10**6))
    )


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, listed = flat(tmp_path, {"a": 5, "b": 5}), Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert refused(folder) == "b: cannot be read (Permission denied); mend its permissions"


def test_class_names_are_those_of_the_folders_in_order(tmp_path: Path, rng: np.random.Generator) -> None:
    assert read(class_folders(tmp_path, rng, 5)).class_names == CLASSES
