"""Arrays, torch data sets and loaders become the same bytes, or are refused in a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

import bitlathe
from bitlathe.model.data.arrays import TEST_EVERY

COUNT = 23


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    """Images (N, 6, 4, 3), every byte among them."""
    images = rng.integers(0, 256, (COUNT, 6, 4, 3), dtype=np.uint8)
    images.ravel()[:256] = np.arange(256)
    return images


LABELS = np.arange(COUNT) % 3


class Items(Dataset[Any]):
    """A torch data set of given images."""

    classes = ("cat", "dog", "horse")

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return self.images[place], int(LABELS[place])


class Stream(IterableDataset[Any]):
    """The same without places."""

    def __init__(self, items: Items) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter([self.items[place] for place in range(len(self.items))])


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """As torchvision's ToTensor, of all images at once."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)


def sources(pixels: np.ndarray) -> dict[str, Any]:
    """One data set in every form."""
    bytes_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return {
        "arrays": (pixels, LABELS),
        "tensors": (bytes_first, torch.from_numpy(LABELS)),
        "floats": (pixels.astype(np.float64) / 255, LABELS.tolist()),
        "widened floats": Items(to_tensor(pixels).double()),
        "wide integers": (pixels.astype(np.int32), LABELS.astype(np.uint8)),
        "channels first": Items(bytes_first),
        "channels last": Items(pixels),
        "ToTensor": Items(to_tensor(pixels)),
        "TensorDataset": TensorDataset(to_tensor(pixels), torch.from_numpy(LABELS)),
        "loader": DataLoader(Items(to_tensor(pixels)), batch_size=4, drop_last=True),
        "shuffling loader": DataLoader(Items(bytes_first), batch_size=5, shuffle=True),
        "loader of a stream": DataLoader(Stream(Items(bytes_first)), batch_size=5),
        "loader with its own collation": DataLoader(Items(bytes_first), 5, collate_fn=own_batch),
    }


def own_batch(pairs: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, list[int]]:
    return torch.stack([image for image, _ in pairs]), [label for _, label in pairs]


def test_every_form_of_a_data_set_gives_the_same_bytes(pixels: np.ndarray) -> None:
    tests = np.arange(COUNT) % TEST_EVERY == TEST_EVERY - 1
    for form, source in sources(pixels).items():
        made = bitlathe.load_dataset(source)
        assert made.train_images.dtype == np.uint8, form
        assert np.array_equal(made.train_images, pixels[~tests]), form
        assert np.array_equal(made.test_images, pixels[tests]), form
        assert np.array_equal(made.train_labels, LABELS[~tests]), form
        assert np.array_equal(made.test_labels, LABELS[tests]), form
        assert made.image_shape == (3, 6, 4) and made.num_classes == 3, form


def test_a_loader_leaves_the_random_numbers_of_torch_as_they_were(pixels: np.ndarray) -> None:
    before = torch.random.get_rng_state()
    bitlathe.load_dataset(sources(pixels)["shuffling loader"])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_loader_s_sampler_chooses_the_images(pixels: np.ndarray) -> None:
    chosen = DataLoader(Items(pixels), batch_size=4, sampler=SubsetRandomSampler(range(0, COUNT, 2)))
    made = bitlathe.load_dataset(chosen, test=(pixels, LABELS))
    assert np.array_equal(made.train_images, pixels[::2])
    assert np.array_equal(made.test_images, pixels)


def test_splits_may_be_given_apart_or_in_one(pixels: np.ndarray) -> None:
    apart = bitlathe.load_dataset((pixels[:9], LABELS[:9]), (pixels[9:], LABELS[9:]))
    whole = bitlathe.load_dataset((pixels[:9], LABELS[:9], pixels[9:], LABELS[9:]))
    for made in (apart, whole):
        assert np.array_equal(made.train_images, pixels[:9]) and np.array_equal(made.test_labels, LABELS[9:])


def test_grey_images_need_no_channels(pixels: np.ndarray) -> None:
    made = bitlathe.load_dataset((pixels[..., 0], LABELS))
    assert made.image_shape == (1, 6, 4)


def test_names_are_the_callers_the_data_set_s_or_numbers(pixels: np.ndarray) -> None:
    assert bitlathe.load_dataset(Items(pixels)).class_names == ("cat", "dog", "horse")
    assert bitlathe.load_dataset((pixels, LABELS)).class_names == ("0", "1", "2")
    made = bitlathe.load_dataset((pixels, LABELS), name="pets", class_names=("a", "b", "c", "d"))
    assert (made.name, made.num_classes) == ("pets", 4)
    assert str(made) == "pets: 19 training and 4 test images of 6x4x3, 4 classes"


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (LABELS / 2, "float64 targets"),
        (np.eye(3, dtype=np.float32)[LABELS], "targets of 3 float32"),
        (np.broadcast_to(LABELS[:, None, None], (COUNT, 6, 4)).astype(np.uint8), "targets of 6x4 uint8"),
        (LABELS > 0, "bool targets"),
    ],
    ids=["numbers", "vectors", "maps", "truths"],
)
def test_labels_that_are_no_classes_are_targets(pixels: np.ndarray, targets: np.ndarray, kind: str) -> None:
    tests = np.arange(COUNT) % TEST_EVERY == TEST_EVERY - 1
    for labels in (targets, torch.from_numpy(targets.copy())):
        made = bitlathe.load_dataset((pixels, labels))
        assert not made.classifies and made.num_classes == 0 and made.class_names == ()
        assert made.label_kind == kind and str(made).endswith(f"6x4x3, {kind}")
        assert made.train_labels.dtype == targets.dtype
        assert np.array_equal(made.test_labels, targets[tests])
    items = bitlathe.load_dataset(TensorDataset(to_tensor(pixels), torch.from_numpy(targets.copy())))
    assert np.array_equal(items.train_labels, targets[~tests])


def test_integers_are_targets_where_there_are_no_class_names(pixels: np.ndarray) -> None:
    ages = bitlathe.load_dataset((pixels, LABELS - 5), class_names=())
    assert ages.label_kind == "int64 targets"
    assert ages.unlike_classes((3,)) == "makes 3 outputs, arrays has int64 targets"
    with pytest.raises(
        bitlathe.BitlatheError, match="labels are targets, not classes; leave out `class_names`"
    ):
        bitlathe.load_dataset((pixels, LABELS / 2), class_names=("a", "b"))


def test_a_network_of_the_zoo_takes_classes_only(pixels: np.ndarray) -> None:
    with pytest.raises(bitlathe.UsageError, match="lenet5: tells classes apart, arrays has float64"):
        bitlathe.load_network("lenet5", (pixels, LABELS / 2))


def test_a_data_set_of_floats_is_known_as_one(pixels: np.ndarray) -> None:
    known = {form: bitlathe.load_dataset(source).gives_floats for form, source in sources(pixels).items()}
    floats = {form for form, given in known.items() if given}
    assert floats == {"floats", "widened floats", "ToTensor", "TensorDataset", "loader"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            lambda p: (p / 255 - 0.5, LABELS),
            "images are floats from -0.5 to 0.5, not pixel / 255; give bytes",
        ),
        (lambda p: (p.astype(float), LABELS), "images are floats from 0 to 255, not pixel / 255; give bytes"),
        (lambda p: (np.nextafter(p / 255, 2), LABELS), "not pixel / 255; give bytes"),
        (lambda p: (np.full(p.shape, np.nan), LABELS), "not pixel / 255; give bytes"),
        (lambda p: (p.astype(int) + 1, LABELS), "images are int64 from 1 to 256; give bytes, 0 to 255"),
        (lambda p: (p.reshape(COUNT, -1), LABELS), "give (N, H, W, C) or (N, H, W)"),
        (
            lambda p: (p, LABELS.astype(str)),
            "labels are <U21 (23,); give integers (N,) from 0 on, or numbers",
        ),
        (lambda p: (p, np.full(COUNT, np.nan)), "labels hold NaN or infinity; give finite numbers"),
        (
            lambda p: (p, [[0.0]] * (COUNT - 1) + [[0.0, 1.0]]),
            "labels differ in shape; make them equal",
        ),
        (lambda p: (p, LABELS - 1), "labels go from -1 to 1; give classes from 0 on"),
        (lambda p: (p, LABELS[:-1]), "arrays: 23 images and 22 labels; give one label per image"),
        (lambda p: (p,), "1 arrays; give images and labels"),
        (lambda p: Items([]), "no image in it; give at least one"),
        (
            lambda p: Items([p[0], p[1, :5]]),
            "images are (5, 4, 3), others (6, 4, 3); resize them to one size",
        ),
        (lambda p: Items(["a", "b"]), "images are"),
        (lambda p: "no such", "no such: no such data set, folder or file; choose one of digits"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_line(source: Any, message: str, pixels: np.ndarray) -> None:
    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.load_dataset(source(pixels))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_test_split_is_given_once(pixels: np.ndarray) -> None:
    with pytest.raises(bitlathe.UsageError, match="`test`: arrays has a test split of its own"):
        bitlathe.load_dataset((pixels, LABELS, pixels, LABELS), (pixels, LABELS))
