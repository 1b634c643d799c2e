"""`--dataset PATH`: folders, archives and functions, what is said about them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from picture_folders import CLASSES, class_folders

import bitlathe
from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_data import find_dataset
from bitlathe.flow.progress import Note
from bitlathe.flow.search.config import read_config
from bitlathe.flow.search.setup import set_up
from bitlathe.model.data import Dataset, Images, load_dataset
from bitlathe.model.graph.errors import DataError

COUNT = 30
TRAINED = ("--epochs", "1", "--batch-size", "8", "--threads", "1", "--out", "t")
NETWORK = """
from torch import nn


def network(channels=3, classes=3):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes),
    )


def two(): return network(2)
def four(): return network(4)
def six(): return network(6)
def five(): return network(classes=5)
"""
DATA = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import bitlathe

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (30, 6, 4, 3), dtype=np.uint8)
labels = np.arange(30) % 3


class Items(Dataset):
    classes = ["a", "b", "c"]

    def __init__(self, part): self.part = part
    def __len__(self): return len(labels[self.part])
    def __getitem__(self, place): return images[self.part][place], labels[self.part][place]


class Broken(Items):
    def __getitem__(self, place): raise KeyError(place)


train, test = slice(0, 20), slice(20, 30)


def arrays(): return images[train], labels[train], images[test], labels[test]
def pair_of_pairs(): return (images[train], labels[train]), (images[test], labels[test])
def data_sets(): return Items(train), Items(test)
def loaders(): return DataLoader(Items(train), 4, shuffle=True), DataLoader(Items(test), 4)
def floats(): return tuple(TensorDataset(tensor(part), torch.tensor(labels[part])) for part in (train, test))
def tensor(part): return torch.tensor(images[part] / 255).permute(0, 3, 1, 2)
def ours(): return bitlathe.load_dataset(*data_sets(), name="my own!")
def known(): return bitlathe.load_dataset("digits")
def drawn(): return torch.randint(0, 256, (10, 4, 4), dtype=torch.uint8), torch.arange(10) % 2
def one_split(): return images, labels
def nothing(): return None
def text(): return "digits"
def number(): return 7
def dictionary(): return {"images": images, "labels": labels}
def three(): return images, labels, images
def lone(): return images
def wanting(path): return images, labels
def broken(): return Broken(train)
def raising(): raise RuntimeError("no connection")
def leaving(): raise SystemExit(3)
def normalised(): return (images / 255 - 0.5, labels)
def counted_from_one(): return images, labels - 1
def many(): return images, labels + 10**9
def texts(): return images, ["cat"] * 30
def strange_items(): return [images[0], images[1], images[2]]
variable = 3
"""
BROKEN = DATA[: DATA.index("raise KeyError")].count("\n") + 1  # its line


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.py").write_text(DATA)
    (tmp_path / "net.py").write_text(NETWORK)


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    class_folders(tmp_path / "my photos", rng, 6)
    return Path("my photos")


def found(source: str, **options: Any) -> tuple[Dataset, list[str]]:
    """A data set and the notes about it."""
    told: list[str] = []
    dataset = find_dataset(source, progress=lambda event: told.append(str(event)), **options)
    return dataset, [line for line in told if "reading" not in line]


def images_of(count: int, channels: int = 3) -> tuple[Images, Any]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 10, 14, channels), dtype=np.uint8), np.arange(count) % 3


def black(*shape: int) -> Images:
    return np.zeros(shape, np.uint8)


def save_npz(path: str, channels: int = 3, **changes: Any) -> str:
    images, labels = images_of(COUNT, channels)
    arrays = {
        "train_images": images[:20],
        "train_labels": labels[:20],
        "test_images": images[20:],
        "test_labels": labels[20:],
    }
    np.savez(path, **(arrays | changes))
    return path


def test_a_folder_is_read_and_told(photos: Path) -> None:
    dataset, told = found(f"{photos}/")
    assert dataset.name == "my_photos" and dataset.class_names == CLASSES
    classes = "5 classes (blue, green, grey, red, stripes)"
    assert told == [f"my_photos: 25 training and 5 test images of 48x64x3, {classes}; 0.3 MB"]
    events: list[object] = []
    find_dataset(str(photos), progress=events.append)
    steps = [str(event) for event in events if not isinstance(event, Note)]
    assert steps[-1] == "reading my photos: 30 of 30"


def test_an_archive_is_read_and_told() -> None:
    dataset, told = found(save_npz("x.v2.npz", val_images=np.zeros(2)))
    assert np.array_equal(dataset.train_images, images_of(COUNT)[0][:20])
    assert told == [
        "x.v2.npz: arrays that are not read: val_images",
        "x_v2: 20 training and 10 test images of 10x14x3, 3 classes; 0.0 MB",
    ]


def test_an_archive_may_hold_grey_images_columns_of_labels_or_targets() -> None:
    images, labels = images_of(COUNT, 1)
    grey = found(save_npz("g.npz", train_images=images[:20, ..., 0], test_images=images[20:, ..., 0]))[0]
    assert grey.image_shape == (1, 10, 14)
    columns = {"train_labels": labels[:20, None].astype(np.uint8), "test_labels": labels[20:, None]}
    column = found(save_npz("c.npz", 1, **columns))[0]
    assert column.num_classes == 3 and np.array_equal(column.train_labels, labels[:20])
    values = {"train_labels": images[:20, :2, 0, 0] / 255, "test_labels": images[20:, :2, 0, 0] / 255}
    targets, told = found(save_npz("t.npz", 1, **values))
    assert not targets.classifies
    assert told == ["t: 20 training and 10 test images of 10x14x1, targets of 2 float64; 0.0 MB"]


@pytest.mark.parametrize("function", ["arrays", "pair_of_pairs", "data_sets", "loaders", "floats", "ours"])
def test_a_function_returns_a_data_set_in_any_form(function: str) -> None:
    expected = found("data.py:arrays")[0]
    made = found(f"data.py:{function}")[0]
    assert np.array_equal(made.train_images, expected.train_images), function
    assert np.array_equal(made.test_labels, expected.test_labels), function
    assert made.name == {"ours": "my_own"}.get(function, function)
    assert made.gives_floats == (function == "floats")


def test_a_function_s_one_split_is_divided_and_its_random_numbers_are_seeded() -> None:
    assert len(found("data.py:one_split")[0].test_labels) == 6
    assert np.array_equal(found("data.py:drawn")[0].train_images, found("data.py:drawn")[0].train_images)
    known = found("data.py:known")[0]
    assert known.identity == "digits" == load_dataset("digits").identity


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data.py:nothing", "data.py:nothing: is a NoneType; give arrays of images and labels, or a torch"),
        ("data.py:text", "data.py:text: gives a str as item; let each be (image, label)"),
        ("data.py:number", "data.py:number: is a int; give arrays"),
        ("data.py:dictionary", "data.py:dictionary: "),
        ("data.py:three", "data.py:three: 3 arrays; give images and labels"),
        ("data.py:lone", "data.py:lone: gives a ndarray as item; let each be (image, label)"),
        ("data.py:strange_items", "data.py:strange_items: "),
        ("data.py:wanting", "wanting: is called without arguments (missing a required argument: 'path')"),
        ("data.py:broken", f"data.py:{BROKEN}: KeyError: 0; mend it there"),
        ("data.py:raising", "RuntimeError: no connection; mend it there"),
        ("data.py:leaving", "SystemExit: 3; mend it there"),
        ("data.py:normalised", "data.py:normalised: images are floats from -0.5 to 0.5, not pixel / 255"),
        ("data.py:counted_from_one", "labels go from -1 to 1; give classes from 0 on, fewer than 65536"),
        ("data.py:many", "labels go from 1000000000 to 1000000002; give classes from 0 on"),
        ("data.py:texts", "data.py:texts: labels are <U3 (30,); give integers (N,) from 0 on"),
        ("data.py:variable", "data.py: has no function variable; name one that returns a data set"),
        ("data.py:absent", "data.py: has no function absent; name one that returns a data set"),
        ("other.py:make", "other.py: no such Python file; give FILE.py:FUNCTION"),
        ("data.py", "data.py: name the function in it that makes the data set, data.py:FUNCTION"),
        (
            "cifar01",
            "cifar01: no such data set, folder or file; choose one of digits, synthetic224, ",
        ),
        ("x.npz", "x.npz: no such data set, folder or file; choose one of digits"),
        (
            "net.txt",
            "net.txt: is not a data set; give a folder with a subfolder of pictures for each class, ",
        ),
        ("", ": no such data set, folder or file"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_line(source: str, message: str) -> None:
    Path("net.txt").write_text("x")
    outcome = run("quantize", "--network", "net.py:network", "--dataset", source)
    assert outcome.status == 2 and outcome.stdout == ""
    assert message in outcome.stderr and outcome.stderr.count("\n") == 1, outcome.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": np.zeros(10)}, "x.npz: train labels are int64 () an image, test labels float64 ()"),
        ({"test_labels": np.arange(9)}, "x.npz test: 10 images and 9 labels; give one label per image"),
        ({"train_labels": np.arange(20) - 3}, "x.npz: labels go from -3 to 16; give classes from 0 on"),
        ({"test_images": black(10, 9, 14, 3)}, "x.npz: train images are (10, 14, 3), test images (9, 14, 3)"),
        (
            {"test_images": black(10, 10, 14, 4)},
            "x.npz: train images are (10, 14, 3), test images (10, 14, 4)",
        ),
        ({"train_images": black(20, 10)}, "x.npz train: images are (20, 10); give (N, H, W, C) or (N, H, W)"),
        (
            {"train_images": black(20, 10, 14, 3).astype(int) + 300},
            "x.npz train: images are int64 from 300 to 300",
        ),
        ({"train_images": black(0, 10, 14, 3), "train_labels": np.zeros(0, int)}, "x.npz train: no image"),
        ({"train_images": black(20, 0, 14, 3)}, "x.npz train: images are (20, 0, 14, 3); give"),
        ({"class_names": np.array(["a", "b"])}, "labels span 0..2, expected 0..1"),
        ({"train_labels": np.zeros(20, int), "test_labels": np.zeros(10, int)}, "training images go up to 0"),
        ({"test_labels": np.arange(10)}, "training images go up to 2, those of test images to 9"),
    ],
)
def test_an_archive_with_a_wrong_array_is_refused(changes: dict[str, Any], message: str) -> None:
    save_npz("x.npz", **changes)
    outcome = run("quantize", "--network", "net.py:network", "--dataset", "x.npz")
    assert outcome.status == 2 and message in outcome.stderr, outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_folder_named_as_a_known_data_set_is_told_from_it(tmp_path: Path, rng: np.random.Generator) -> None:
    class_folders(tmp_path / "digits", rng, 5, ("a", "b"))
    assert found("digits")[0].image_shape == (1, 8, 8)
    assert found("./digits")[0].name == "digits-own"
    with pytest.raises(
        UsageError, match="`image_size`: is for a folder of pictures, digits has images of one"
    ):
        find_dataset("digits", image_size=(4, 4))


def test_an_image_size_is_height_and_width_or_a_side(photos: Path) -> None:
    words = ("quantize", "--network", "net.py:network", "--dataset", photos, "--image-size")
    assert "of 24x32x3, 5 classes" in run(*words, "24x32").stderr
    assert "of 24x24x3, 5 classes" in run(*words, "24").stderr
    for text in ("0x4", "4x", "x", "-4", "3x4x5", "4.5", "9999999", "४x"):
        outcome = run(*words, text)
        assert outcome.status == 2
        assert f"--image-size {text}: give HxW in pixels, such as 48x64" in outcome.stderr


def test_from_python_a_path_goes_wherever_a_name_goes(photos: Path) -> None:
    made = bitlathe.load_dataset(photos, name="pets", image_size=(12, 16))
    assert (made.name, made.image_shape) == ("pets", (3, 12, 16))
    network = bitlathe.load_network("net.py:network", "data.py:arrays")
    assert network.dataset.name == "arrays"
    with pytest.raises(UsageError, match="`test`: my photos has its own; leave it out"):
        bitlathe.load_dataset("my photos", test=(np.zeros(1), np.zeros(1)))
    with pytest.raises(DataError, match="no such data set, folder or file"):
        bitlathe.load_dataset(Path("nowhere"))
    with pytest.raises(UsageError, match="`image_size`: is for a folder of pictures; leave it out"):
        bitlathe.load_dataset(images_of(9), image_size=(2, 2))


def test_pictures_become_as_large_as_a_graph_takes_them(photos: Path) -> None:
    words = ("--network", "net.py:network", "--dataset", photos, "--calibration", "4")
    assert run("quantize", *words, "--image-size", "12x16", "--out", "n.blg").status == 0
    outcome = run("quantize", "n.blg", "--dataset", photos, "--json")
    assert outcome.status == 0 and outcome.json["dataset"] == "my_photos"
    assert "all 30 pictures are resized to 12x16 (bilinear)" in outcome.stderr
    assert run("compile", "n.blg", "--dataset", photos, "--out", "c").status == 0
    other = run("quantize", "n.blg", "--dataset", photos, "--image-size", "20x16")
    assert "n.blg: takes images of (3, 12, 16), my_photos's are (3, 20, 16)" in other.stderr


@pytest.mark.parametrize(("function", "channels"), [("two", 2), ("four", 4), ("six", 6)])
def test_images_of_any_channels_go_from_training_to_the_engine(function: str, channels: int) -> None:
    dataset = save_npz("x.npz", channels)
    words = ("--network", f"net.py:{function}", "--dataset", dataset)
    trained = run("train", *words, *TRAINED, "--json")
    assert trained.status == 0, trained.stderr
    assert trained.json["input_size"] == [10, 14] and trained.json["in_channels"] == channels
    assert run("quantize", *words, "--weights", "t/weights.pt", "--out", "n.blg").status == 0
    assert run("compile", "n.blg", "--dataset", dataset, "--out", "c").status == 0
    simulated = run("simulate", "n.blg", "--dataset", dataset, "--images", "2", "--json")
    assert simulated.status == 0 and simulated.json["mismatches"] == 0, simulated.stderr


def test_a_network_that_averages_its_last_map_takes_images_that_are_not_square() -> None:
    images, _ = images_of(COUNT)
    wide = {"train_images": images[:20].repeat(2, 2), "test_images": images[20:].repeat(2, 2)}
    words = ("--dataset", save_npz("x.npz", **wide), "--calibration", "4", "--json")
    assert run("quantize", "--network", "resnet8", *words).status == 0
    refused = run("quantize", "--network", "lenet5", *words)
    assert "lenet5: images are 10x28, and it takes square ones; resize or pad them" in refused.stderr
    assert run("train", "--network", "resnet8", *words[:2], *TRAINED).status == 0
    assert run("quantize", "--network", "resnet8", *words, "--weights", "t/weights.pt").status == 0


METHOD = ("--method", "train:epochs=1", "--held-out", "4", "--batch-size", "8", "--out", "c")


def test_a_compression_goes_on_with_the_same_images_only() -> None:
    words = ("compress", "--network", "net.py:network", "--dataset", save_npz("x.npz"), *METHOD)
    assert run(*words).status == 0
    assert run(*words, "--resume").status == 0
    save_npz("x.npz", train_images=images_of(COUNT)[0][:20] ^ 1)
    outcome = run(*words, "--resume")
    assert outcome.status == 2
    assert "c/state.pt: was made with dataset = x, sha256 " in outcome.stderr
    assert "give the same settings or start over in another folder" in outcome.stderr


def test_a_training_goes_on_with_the_same_images_only() -> None:
    words = ("train", "--network", "net.py:network", "--dataset", save_npz("x.npz"), *TRAINED)
    assert run(*words).status == 0
    assert run(*words, "--resume").status == 0
    save_npz("x.npz", test_labels=np.arange(10) % 2)
    outcome = run(*words, "--resume")
    assert outcome.status == 2 and "t/checkpoint.pt: was made with dataset = x, sha256 " in outcome.stderr


SEARCH = """
[network]
name = "net.py:network"
dataset = "{dataset}"
[training]
epochs = 1
batch_size = 8
[search]
held_out = 6
[latency]
rungs = ["cycle-model"]
[methods.T]
"""


def test_a_search_goes_on_with_the_same_images_only() -> None:
    Path("s.toml").write_text(SEARCH.format(dataset=save_npz("x.npz")))
    words = ("search", "s.toml", "--out", "s")
    assert run(*words).status == 0
    assert run(*words, "--resume").status == 0
    save_npz("x.npz", test_labels=np.arange(10) % 2)
    outcome = run(*words, "--resume")
    assert outcome.status == 2 and "s/checkpoint.pt: was made with network = " in outcome.stderr


def test_the_processes_of_a_search_are_sent_the_images(photos: Path) -> None:
    named = SEARCH.replace("[training]", "image_size = [12, 16]\n[training]")
    Path("s.toml").write_text(named.format(dataset=photos).replace("net.py:network", "net.py:five"))
    spec = set_up(read_config(Path("s.toml")), None).spec
    assert isinstance(spec.dataset, Dataset) and spec.dataset.image_shape == (3, 12, 16)
    Path("s.toml").write_text(SEARCH.format(dataset="digits").replace("net.py:network", "lenet5"))
    assert set_up(read_config(Path("s.toml")), None).spec.dataset == "digits"


def test_a_short_test_split_is_simulated_whole_if_nobody_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK)
    arrays = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(COUNT) % 3
    np.savez(
        "own.npz", train_images=arrays, train_labels=labels, test_images=arrays[:5], test_labels=labels[:5]
    )
    given = ("--network", "net.py:network", "--dataset", "own.npz", "--calibration", "16")
    assert run("simulate", *given, "--json").json["images"] == 5
    outcome = run("simulate", *given, "--images", "6")
    assert outcome.status == 2 and "own has 5 test images; give 1 to 5" in outcome.stderr
