"""Modules that return several tensors: their names, order and form are kept, what is no output is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from two_headed import TwoHeads, two_heads

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.data import load_dataset, to_input
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.zoo import adapted
from bitlathe.model.zoo.outputs import tensors_of

SHAPE = (1, 8, 8)
Heads = tuple[Tensor, Tensor, Tensor]


class Named(NamedTuple):
    logits: Tensor
    maps: dict[str, Tensor]


class Returning(TwoHeads):
    """The heads as a function puts them together."""

    def __init__(self, form: Callable[[Heads], Any]) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.heads(x))


FORMS: list[tuple[Callable[[Heads], Any], tuple[str, ...]]] = [
    (lambda h: h, ("output0", "output1", "output2")),
    (list, ("output0", "output1", "output2")),
    (lambda h: {"mask": h[1], "classes": h[0]}, ("mask", "classes")),
    (lambda h: {"maps": [h[1], h[2]], "classes": h[0]}, ("maps.0", "maps.1", "classes")),
    (lambda h: (h[0], {"mask": h[1]}), ("output0", "output1.mask")),
    (lambda h: Named(h[0], {"mask": h[1]}), ("logits", "maps.mask")),
    (lambda h: {1: h[0], "1": h[1]}, ("1", "1_2")),
    (lambda h: (h[1], h[1]), ("output0", "output1")),
]


def seeded(form: Callable[[Heads], Any]) -> nn.Module:
    torch.manual_seed(0)
    return Returning(form).eval()


@pytest.mark.parametrize(("form", "names"), FORMS, ids=[", ".join(names) for _, names in FORMS])
def test_outputs_are_named_and_returned_as_the_module_does(
    form: Callable[[Heads], Any], names: tuple[str, ...]
) -> None:
    digits = load_dataset("digits")
    model, x = seeded(form), to_input(digits.test_images[:4])
    network = capture(model, SHAPE)
    assert tuple(output.name for output in network.outputs) == names
    made = {node.name: values for node, values in forward(network, x)}
    for output, wanted in zip(network.outputs, tensors_of(model(x)), strict=True):
        assert torch.allclose(made[output.tensor].reshape(wanted.shape), wanted, atol=1e-5)
    exact = quantize(model, digits.train_images[:32]).module()(x)
    assert torch.utils._pytree.tree_structure(exact) == torch.utils._pytree.tree_structure(model(x))
    assert [one.shape for one in tensors_of(exact)] == [one.shape for one in tensors_of(model(x))]


def test_a_view_is_the_integer_network_bit_for_bit_in_each_output() -> None:
    digits = load_dataset("digits")
    view, x = QuantizedView.of(two_heads(), digits.train_images[:32]), to_input(digits.test_images[:8])
    network = view.network()
    codes = evaluate_outputs(network.graph, network.preprocess.codes(digits.test_images[:8]))
    exact, trained, module = view.eval()(x), view.train()(x), network.module()(x)
    for output, wanted in zip(network.graph.outputs, codes, strict=True):
        values = np.ldexp(wanted, -network.graph.format_of(output.tensor).frac)
        for made in (exact, trained, module):
            assert np.array_equal(made[output.name].detach().numpy().reshape(values.shape), values)


def test_every_output_trains_the_layers_before_it() -> None:
    model = two_heads()
    view = QuantizedView.of(model, load_dataset("digits").train_images[:32]).train()
    view(to_input(load_dataset("digits").test_images[:8]))["mask"].square().sum().backward()
    assert model.mask.weight.grad is not None and model.stem.weight.grad is not None
    assert model.fc.weight.grad is None or not model.fc.weight.grad.any()


def test_an_output_before_a_clamp_is_not_clamped() -> None:
    """A layer that is an output takes up nothing that comes after it."""

    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y = self.conv(x)
            return torch.relu(y), y, 2 * y

    digits = load_dataset("digits")
    quantized = quantize(Before(), digits.train_images[:32])
    after, before, _ = evaluate_outputs(quantized.graph, quantized.preprocess.codes(digits.test_images[:4]))
    assert before.min() < 0 and after.min() == 0


def test_maps_stay_maps() -> None:
    digits = load_dataset("digits")
    model = nn.Conv2d(1, 10, 3, padding=1)
    view, x = QuantizedView.of(model, digits.train_images[:32]), to_input(digits.test_images[:2])
    for made in (view.eval()(x), view.train()(x), view.network().module()(x)):
        assert made.shape == (2, 10, 8, 8)


REFUSED: list[tuple[Callable[[Tensor, Heads], Any], str]] = [
    (
        lambda x, h: (x, h[0]),
        "its output output0 is the image itself, which the host has; leave it out",
    ),
    (
        lambda x, h: (h[0], torch.ones(2, 3)),
        "its output output1 does not depend on the image; leave it out",
    ),
    (lambda x, h: (h[0], None, h[1]), "its output output1 is of type NoneType, not a tensor; leave it out"),
    (lambda x, h: {"a": h[0], "b": 3}, "its output b is of type int, not a tensor; leave it out"),
    (lambda x, h: (h[0], h[1].mean()), "keep the images of a batch apart"),
    (lambda x, h: (), "returning: returns no tensor; return one, or several"),
]


@pytest.mark.parametrize(("form", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_no_output_is_refused_by_name(form: Callable[[Tensor, Heads], Any], message: str) -> None:
    class Refused(TwoHeads):
        def forward(self, x: Tensor) -> Any:
            return form(x, self.heads(x))

    with pytest.raises(UnsupportedLayer) as caught:
        capture(Refused(), SHAPE, name="returning")
    assert message in str(caught.value)


def test_a_normalised_image_is_no_output_either() -> None:
    class Seen(TwoHeads):
        def forward(self, x: Tensor) -> Any:
            seen = 2 * x - 1
            return {"seen": seen, "classes": self.heads(seen)[0]}

    with pytest.raises(UnsupportedLayer, match="its output seen is the image itself"):
        capture(Seen(), SHAPE)


def test_an_adapted_module_keeps_the_form_of_several_outputs() -> None:
    model, x = two_heads(), torch.rand(3, *SHAPE)
    wanted = model(x)
    made = adapted(model, x)(x)
    assert list(made) == ["classes", "mask", "features"]
    assert all(torch.allclose(made[name], wanted[name], atol=1e-5) for name in made)


def test_an_adapted_module_that_returns_numbers_beside_tensors_is_refused() -> None:
    model = seeded(lambda h: (h[0], 3, h[1]))
    with pytest.raises(
        UnsupportedLayer, match=r"^Returning: its forward returns 2 tensors and also int; return"
    ):
        adapted(model, torch.rand(3, *SHAPE))(torch.rand(3, *SHAPE))


class Rounding(nn.Module):
    """Trained as quantized elsewhere: its tensors are rounded, its two outputs are not."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.mask, self.fc = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 1), nn.Linear(144, 10)
        for layer in (self.body, self.mask, self.fc):
            layer.weight = nn.Parameter((layer.weight * 64).round() / 64)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Any:
        image = torch.fake_quantize_per_tensor_affine(x, 1 / 128, 0, -128, 127)
        features = torch.relu(self.body(image))
        features = torch.fake_quantize_per_tensor_affine(features, 1 / 64, 0, 0, 255)
        return self.fc(features.flatten(1)), self.mask(features)


def test_integers_that_a_network_of_several_outputs_has_are_kept() -> None:
    torch.manual_seed(0)
    quantized = quantize(Rounding(), load_dataset("digits").train_images[:32])
    assert quantized.is_kept and quantized.unkept is None
    assert [output.tensor for output in quantized.graph.outputs] == ["fc", "mask"]
