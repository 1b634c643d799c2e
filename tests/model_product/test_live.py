"""Codewords on a live module under a quantized view: exact, saved, assigned anew, written back."""

import numpy as np
import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.product import LayerCodes, ProductConfig
from bitlathe.model.product.live import (
    assignments,
    network_of,
    reassigned,
    share_again,
    share_view,
    tied_weights,
    write_back,
)
from bitlathe.model.quantize.quantizer import QuantizedNetwork, network_inputs
from bitlathe.model.quantize.view import QuantizedView

CODES = ProductConfig(
    convolution=LayerCodes(length=4, codewords=16), dense=LayerCodes(length=8, codewords=8), smallest=200
)
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)


def network() -> nn.Module:
    """Convolutions with batch norm of very different scales, and a dense layer."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.norm(m.stem(x)))
        x = F.relu(m.deep_norm(m.deep(x)))
        return m.dense(F.avg_pool2d(x, 4).flatten(1))

    torch.manual_seed(0)
    model = Forward(
        forward,
        stem=nn.Conv2d(3, 8, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(8),
        deep=nn.Conv2d(8, 16, 3, padding=1, bias=False),
        deep_norm=nn.BatchNorm2d(16),
        dense=nn.Linear(64, 10),
    )
    for norm in (model.norm, model.deep_norm):
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.uniform_(norm.running_var, 0.3, 3.0)
        nn.init.uniform_(norm.weight, -2.0, 2.0)
    return model.eval()


def shared() -> QuantizedView:
    view = share_view(QuantizedView.of(network(), IMAGES), CODES)
    assert sorted(tied_weights(view)) == ["deep", "dense"]
    return view


def train(view: QuantizedView, steps: int = 3) -> None:
    """Steps of the module and of the thresholds that still learn."""
    learned = [p for p in view.parameters_learned() if p.requires_grad]
    optimizer = torch.optim.SGD([*view.model.parameters(), *learned], lr=0.02, momentum=0.9)
    view.train()
    for _ in range(steps):
        loss = F.cross_entropy(view(network_inputs(IMAGES)), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    view.eval()


def logits_of(quantized: QuantizedNetwork) -> np.ndarray:
    return evaluate(quantized.graph, quantized.preprocess.codes(IMAGES)).reshape(len(IMAGES), -1)


def assert_exact(view: QuantizedView) -> None:
    """The view equals the graph of its codebooks, which has them where it is tied."""
    quantized = network_of(view)
    books = {
        n.name for n in quantized.graph.nodes if isinstance(n, Conv2d | Dense) and n.codebook is not None
    }
    assert books == set(tied_weights(view))
    form = quantized.graph.format_of(quantized.graph.output)
    view.eval()
    values = view(network_inputs(IMAGES)).numpy()
    np.testing.assert_array_equal(values, logits_of(quantized) * np.float32(form.scale))


def test_a_tied_view_trains_the_live_module_and_stays_what_its_graph_computes() -> None:
    view = shared()
    assert_exact(view)
    before = {name: tensor.clone() for name, tensor in view.model.state_dict().items()}
    train(view)
    for name, parameter in view.model.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    assert_exact(view)
    view = reassigned(view)
    assert_exact(view)
    train(view)
    assert_exact(view)


def test_assignments_and_the_module_make_the_same_view_again() -> None:
    view = shared()
    train(view)
    again = share_again(QuantizedView.of(view.model, IMAGES, thresholds=view.thresholds()), assignments(view))
    np.testing.assert_array_equal(logits_of(network_of(again)), logits_of(network_of(view)))
    for name, tied in tied_weights(again).items():
        assert torch.equal(tied.tie.members, tied_weights(view)[name].tie.members)


def test_a_layer_that_changed_its_size_is_left_free() -> None:
    saved = assignments(shared())
    saved["deep.members"] = saved["deep.members"][:-1]
    view = share_again(QuantizedView.of(network(), IMAGES), saved)
    assert list(tied_weights(view)) == ["dense"]


def test_the_module_computes_the_same_untied_once_written_back() -> None:
    view = shared()
    train(view)
    tied = network_of(view)
    write_back(view)
    untied = QuantizedView.of(view.model, IMAGES, thresholds=view.thresholds()).network()
    for node, plain in zip(tied.graph.nodes, untied.graph.nodes, strict=True):
        if isinstance(node, Conv2d | Dense):
            assert isinstance(plain, Conv2d | Dense) and plain.codebook is None
            np.testing.assert_array_equal(plain.weight, node.weight)
    np.testing.assert_array_equal(logits_of(untied), logits_of(tied))


def test_a_weight_that_no_parameter_gives_is_not_written_back() -> None:
    view = shared()
    norm = view.model.deep_norm
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight[3] = 0
    with pytest.raises(UnsupportedLayer, match=r"^deep: .* or a batch norm's scale is 0; remove such"):
        write_back(view)


def test_weights_that_two_layers_share_are_not_written_back_as_two() -> None:
    """Behind batch norms of two scales each layer has codewords of its own; one parameter cannot be both."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.stem(x))
        x = F.relu(m.norm(m.deep(x)))
        return F.avg_pool2d(m.other_norm(m.again(x)), 8).flatten(1)

    torch.manual_seed(0)
    model = Forward(
        forward,
        stem=nn.Conv2d(3, 16, 1),
        deep=nn.Conv2d(16, 16, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(16),
        again=nn.Conv2d(16, 16, 3, padding=1, bias=False),
        other_norm=nn.BatchNorm2d(16),
    ).eval()
    model.again.weight = model.deep.weight
    for norm in (model.norm, model.other_norm):
        nn.init.uniform_(norm.weight, 0.2, 2.0)
    view = share_view(QuantizedView.of(model, IMAGES), CODES)
    assert sorted(tied_weights(view)) == ["again", "deep"]
    train(view)
    assert model.again.weight is model.deep.weight
    with pytest.raises(UnsupportedLayer, match=r"untie layers that share weights"):
        write_back(view)
