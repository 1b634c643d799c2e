"""Codewords on a live module under a quantized view: exact while it trains, saved, clustered where due."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.graph.codebook import packed
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.product import LayerCodes, Objective, ProductConfig
from bitlathe.model.product.live import assignments, network_of, share, tied_weights
from bitlathe.model.product.plan import coded_bits
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, network_inputs

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


def shared(config: ProductConfig = CODES) -> QuantizedView:
    view = share(QuantizedView.of(network(), IMAGES), config, IMAGES)
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


@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize("zero", [None, False, True])
def test_a_tied_view_trains_the_live_module_and_stays_what_its_graph_computes(
    objective: Objective, zero: bool | None
) -> None:
    view = shared(replace(CODES, objective=objective, zero=zero))
    assert_exact(view)
    before = {name: tensor.clone() for name, tensor in view.model.state_dict().items()}
    train(view)
    for name, parameter in view.model.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    assert_exact(view)


def test_assignments_and_the_module_make_the_same_view_again() -> None:
    view = shared()
    train(view)
    untied = QuantizedView.of(view.model, IMAGES, thresholds=view.thresholds())
    again = share(untied, CODES, IMAGES, assignments(view))
    np.testing.assert_array_equal(logits_of(network_of(again)), logits_of(network_of(view)))
    for name, tied in tied_weights(again).items():
        assert torch.equal(tied.tie.members, tied_weights(view)[name].tie.members)


def test_a_layer_that_changed_its_size_is_clustered_again_and_others_are_not() -> None:
    view = shared()
    saved = assignments(view)
    saved["dense.members"] = (saved["dense.members"] + 1) % 8
    saved["deep.members"] = saved["deep.members"][:-1]
    again = tied_weights(share(QuantizedView.of(network(), IMAGES), CODES, IMAGES, saved))
    assert torch.equal(again["dense"].tie.members, saved["dense.members"])
    assert torch.equal(again["deep"].tie.members, tied_weights(view)["deep"].tie.members)


def test_a_layer_of_wider_weights_than_codewords_is_left_free() -> None:
    wide = QuantizeConfig(layers={"deep": LayerBits(weight_bits=12)})
    view = share(QuantizedView.of(network(), IMAGES, wide), CODES, IMAGES, assignments(shared()))
    assert list(tied_weights(view)) == ["dense"]
    assert_exact(view)


def test_pruned_vectors_stay_zero_while_the_rest_trains() -> None:
    model = network()
    weight = model.get_parameter("deep.weight")
    gone = torch.rand(16, 1, 1, 1, generator=torch.manual_seed(0)) < 0.5
    with torch.no_grad():
        weight.masked_fill_(gone, 0)
    view = share(QuantizedView.of(model, IMAGES), CODES, IMAGES)  # so many zeros have a codeword
    train(view)
    assert not weight.masked_select(gone).any() and weight.masked_select(~gone).any()
    node = network_of(view).graph.by_name["deep"]
    assert isinstance(node, Conv2d) and node.codebook is not None
    assert not node.codebook.values[0].any()
    assert not node.weight[gone.flatten().numpy()].any()


def test_codewords_of_one_weight_share_single_weights() -> None:
    view = shared(ProductConfig.of(1, 1, 4, smallest=200))
    assert_exact(view)
    for name in ("deep", "dense"):
        node = network_of(view).graph.by_name[name]
        assert isinstance(node, Conv2d | Dense) and node.codebook is not None
        assert node.codebook.length == 1 and len(np.unique(node.weight)) <= 4


def test_the_bits_of_the_formula_are_those_of_the_file() -> None:
    for config in (CODES, ProductConfig.of(3, 5, 8, smallest=200), ProductConfig.of(1, 1, 4, smallest=200)):
        for node in network_of(shared(config)).graph.nodes:
            if isinstance(node, Conv2d | Dense) and node.codebook is not None:
                codes = LayerCodes(length=node.codebook.length, codewords=node.codebook.codewords)
                stored = node.codebook.values.size + packed(node.codebook).size
                assert stored == -(-coded_bits(node.weight.shape, codes) // 8)


def test_more_codewords_than_vectors_are_refused_by_layer() -> None:
    config = ProductConfig(layers={"deep": LayerCodes(length=2, codewords=60_000)})
    with pytest.raises(DataError, match=r"^deep: 60000 codewords for "):
        share(QuantizedView.of(network(), IMAGES), config, IMAGES)
