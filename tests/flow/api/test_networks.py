"""Networks handed in as modules are quantized and run as those that a file or the zoo has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import bitlathe
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.files.archive import graph_digest


def tall(height: int = 6, width: int = 4, channels: int = 3) -> nn.Module:
    """A network for images that are not square."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * height * width, 3)
    )


@pytest.fixture
def images(rng: np.random.Generator) -> Dataset:
    """Forty images (6, 4, 3) of three classes."""
    pixels = rng.integers(0, 256, (40, 6, 4, 3), dtype=np.uint8)
    return bitlathe.load_dataset((pixels, np.arange(40) % 3), name="noise")


def test_a_module_is_the_network_that_its_name_is() -> None:
    named = bitlathe.quantize(bitlathe.load_network("lenet5"), calibration_images=16)
    module = load_pretrained("lenet5", "digits")
    handed = bitlathe.quantize(module, "digits", calibration_images=16)
    assert graph_digest(handed.graph) == graph_digest(named.graph) or np.array_equal(
        handed.outputs(handed.dataset.test_images), named.outputs(named.dataset.test_images)
    )
    assert handed.accuracy == named.accuracy


def test_a_module_is_left_as_it_was(images: Dataset) -> None:
    model = tall().double().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network = bitlathe.load_network(model, images)
    assert network.model is not model and not network.model.training
    assert model.training and not model._forward_hooks and not model._forward_pre_hooks
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert str(network) == "Sequential on noise: weights are as the module has them"


def test_images_need_not_be_square(images: Dataset) -> None:
    network = bitlathe.quantize(tall(), images)
    program = bitlathe.compile(network)
    result = bitlathe.simulate(program, images=3)
    assert (result.mismatches, result.images) == (0, 3)
    assert result.milliseconds == pytest.approx(TARGETS["pynq-z2"].milliseconds(result.cycles))
    assert str(result).endswith("every integer matches")
    assert str(program).startswith("Sequential for pynq-z2: ")


def test_a_network_sees_what_its_data_set_hands_out(images: Dataset) -> None:
    model = tall().eval()
    floats = bitlathe.load_dataset((images.train_images / 255, images.train_labels))
    seen = {
        "auto": torch.from_numpy(floats.test_images).permute(0, 3, 1, 2) / 255,
        "none": (torch.from_numpy(floats.test_images).permute(0, 3, 1, 2).float() - 128) / 128,
    }
    ours = (torch.from_numpy(floats.test_images).permute(0, 3, 1, 2).float() - 128) / 128
    for normalization, expected in seen.items():
        network = bitlathe.load_network(model, floats, normalization=normalization)
        assert torch.allclose(network.model(ours), model(expected), atol=1e-5)


def test_constants_of_ones_own_normalise_the_images(images: Dataset) -> None:
    model, mean, std = tall().eval(), (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    network = bitlathe.load_network(model, images, normalization=(mean, std))
    pixels = torch.from_numpy(images.test_images).permute(0, 3, 1, 2).float()
    expected = (pixels / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    assert torch.allclose(network.model((pixels - 128) / 128), model(expected), atol=1e-4)
    assert bitlathe.quantize(network).accuracy is not None


def test_a_network_that_was_loaded_is_not_normalised_twice(images: Dataset) -> None:
    floats = bitlathe.load_dataset((images.train_images / 255, images.train_labels))
    once = bitlathe.load_network(tall(), floats)
    twice = bitlathe.load_network(once.model, floats)
    ours = torch.zeros(2, 3, 6, 4)
    assert torch.equal(once.model(ours), twice.model(ours))


def test_single_layers_may_have_other_bits(images: Dataset) -> None:
    network = bitlathe.quantize(tall(), images, weight_bits=4, layers={"0": 8})
    widths = [node.weight_bits for node in network.graph.nodes if hasattr(node, "weight_bits")]
    assert widths == [8, 4]


def test_a_quantized_network_is_read_again(images: Dataset, tmp_path: object) -> None:
    network = bitlathe.quantize(tall(), images)
    network.save(f"{tmp_path}/net.blg")
    again = bitlathe.load_quantized(f"{tmp_path}/net.blg", images)
    assert graph_digest(again.graph) == graph_digest(network.graph) and again.accuracy == network.accuracy


def test_progress_is_told_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    network = bitlathe.load_network("lenet5", progress=lambda event: told.append(str(event)))
    bitlathe.simulate(bitlathe.quantize(network), 2, progress=lambda event: told.append(str(event)))
    assert told[0] == "lenet5 on digits: weights are committed checkpoint (lenet5-digits.pt)"
    assert told[-1] == "simulating lenet5: 2 of 2"
    assert capfd.readouterr() == ("", "")


class Broken(nn.Module):
    """Fails in its own forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Broken(), "ValueError: no such thing, for images of shape (3, 6, 4); mend it there"),
        (tall(width=5), "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("lenet5", "lenet5: images are 6x4, and it takes square ones; resize or pad them"),
        ("no such", "no such: no such network; choose one of lenet5"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_a_line(
    model: str | nn.Module, message: str, images: Dataset
) -> None:
    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.load_network(model, images)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_arguments_are_named_as_they_are_written_in_python(images: Dataset) -> None:
    network = bitlathe.load_network(tall(), images)
    for call, message in (
        (lambda: bitlathe.load_network(tall()), "Sequential: give `dataset`; only networks of the zoo"),
        (lambda: bitlathe.quantize(network, "digits"), "`dataset`: Sequential was loaded with noise; leave"),
        (
            lambda: bitlathe.load_network("lenet5", normalization="x"),
            "`normalization=x`: is not a normalization; give",
        ),
        (lambda: bitlathe.simulate(bitlathe.quantize(network), 99), "`images=99`: noise has 8 test images"),
        (
            lambda: bitlathe.load_network(tall(), images, normalization=((0.5, 0.5), 0.5)),
            "`normalization=mean=0.5,0.5,std=0.5`: has 2 means, images of noise have 3 channels; give 1 or 3",
        ),
    ):
        with pytest.raises(bitlathe.UsageError) as caught:
            call()
        assert message in str(caught.value) and "--" not in str(caught.value)


def test_the_data_set_of_a_name_is_that_of_the_model_room() -> None:
    assert np.array_equal(bitlathe.load_dataset("digits").test_images, load_dataset("digits").test_images)
