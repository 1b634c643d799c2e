"""Tied networks: what they compute is what their graph computes, before, while and after they train."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from tolerances import sum_tolerance

from bitlathe.model.graph.codebook import packed
from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.graph.file import decode_graph, encode_graph
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.random_graphs import random_graph
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.product import LayerCodes, Objective, ProductConfig, lowered, plan, refresh, share
from bitlathe.model.product.plan import coded_bits
from bitlathe.model.product.share import ties
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork

EVERY = ProductConfig(
    convolution=LayerCodes(length=3, codewords=16), dense=LayerCodes(length=5, codewords=8), smallest=1
)
Step = tuple[FakeQuantNetwork, Graph, np.ndarray]


def network(seed: int, *, wide: bool = False) -> Step:
    """A random network as a module and as a graph, and input codes."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, budget=20_000, wide=wide)
    return (
        FakeQuantNetwork(graph),
        graph,
        np.concatenate([random_inputs(rng, graph, 3), corner_inputs(graph)]),
    )


def tied(config: ProductConfig = EVERY, seed: int = 0) -> Step:
    """The first random network, from a seed on, that has codebooks."""
    found = (network(seed) for seed in range(seed, seed + 100))
    return next(step for step in found if share(step[0], config))


def values_of(graph: Graph, codes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ldexp(codes.astype(np.float32), -graph.input.format.frac))


def train(module: FakeQuantNetwork, images: torch.Tensor, steps: int, lr: float = 1e-3) -> None:
    """A few steps towards other logits."""
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
    module.train()
    for _ in range(steps):
        logits = module(images)
        scale = float(logits.detach().abs().max()) + 1e-9
        loss = (logits / scale - torch.linspace(-1, 1, logits.shape[1])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.eval()


def layers_of(graph: Graph) -> list[Conv2d | Dense]:
    return [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]


@given(seed=SEEDS, objective=st.sampled_from(Objective), zero=st.sampled_from([None, False, True]))
@settings(max_examples=10)
def test_a_tied_network_trains_and_stays_what_its_graph_computes(
    seed: int, objective: Objective, zero: bool | None
) -> None:
    module, graph, codes = network(seed)
    images = values_of(graph, codes)
    config = ProductConfig(
        convolution=EVERY.convolution, dense=EVERY.dense, smallest=1, objective=objective, zero=zero
    )
    names = share(module, config, images)
    for refreshed in (False, True):
        made = lowered(module)
        np.testing.assert_array_equal(module.codes(codes), evaluate(made, codes))
        assert [node.name for node in layers_of(made) if node.codebook is not None] == list(names)
        assert encode_graph(decode_graph(encode_graph(made))) == encode_graph(made)
        train(module, images, 3)
        if refreshed:
            refresh(module)
    made = lowered(module)
    np.testing.assert_array_equal(module.codes(codes), evaluate(made, codes))


def test_a_step_of_descent_moves_a_codeword_by_the_mean_of_its_members_gradients() -> None:
    module, graph, codes = tied()
    layer, tie = next(ties(module))
    free = layer.parametrizations.weight.original  # type: ignore[union-attr]
    before = tie.means(free)
    module.train()
    module(values_of(graph, codes)).square().mean().backward()
    gradients = tie.layout.split(free.grad)  # of values, where codewords are codes
    with torch.no_grad():
        free -= 0.01 * free.grad
    for codeword in range(tie.codewords):
        chosen = tie.members == codeword
        present = tie.layout.present()[chosen] * tie.importance[chosen, None]
        weight = present.sum(0).clamp(min=1e-30)
        step = (gradients[chosen] * tie.scale[chosen] * present).sum(0) / weight
        expected = before[codeword] - 0.01 * step
        sizes = ((tie._codes(free)[chosen].abs() + 0.02 * gradients[chosen].abs()) * present).sum(0) / weight
        near = sum_tolerance(2 * int(chosen.sum()) + 4, sizes.max())
        torch.testing.assert_close(tie.means(free)[codeword], expected, rtol=0, atol=near)


def test_members_drift_apart_and_are_assigned_anew() -> None:
    module, _, _ = tied()
    layer, tie = next(ties(module))
    free = layer.parametrizations.weight.original  # type: ignore[union-attr]
    with torch.no_grad():
        free.normal_(std=0.3, generator=torch.manual_seed(0))
    before = (tie.means(free)[tie.members] - tie._codes(free)).square().sum()
    assert refresh(module) > 0
    assert (tie.means(free)[tie.members] - tie._codes(free)).square().sum() < before


def test_pruned_vectors_stay_zero_while_the_rest_trains() -> None:
    module, graph, codes = network(3)
    config = ProductConfig(convolution=EVERY.convolution, dense=EVERY.dense, smallest=1, zero=True)
    pruned = {}
    for layer in module.weighted():
        mask = torch.rand(layer.node.weight.shape[0], 1, 1, 1, generator=torch.manual_seed(0)) < 0.5
        pruned[layer.node.name] = mask
        with torch.no_grad():
            layer.weight.masked_fill_(mask, 0)
    names = share(module, config)
    assert names
    for _ in range(2):
        train(module, values_of(graph, codes), 3, lr=1e-2)
        refresh(module)
    for layer in module.weighted():
        if layer.node.name in names:
            assert not layer.weight.masked_select(pruned[layer.node.name]).any()
            codebook = next(n for n in layers_of(lowered(module)) if n.name == layer.node.name).codebook
            assert codebook is not None
            assert not codebook.values[0].any()


def test_scalar_mode_shares_single_weights() -> None:
    module, _, codes = tied(ProductConfig.scalar(4, smallest=1))
    made = lowered(module)
    shared = [node for node in layers_of(made) if node.codebook is not None]
    assert shared
    for node in shared:
        assert node.codebook is not None and node.codebook.length == 1
        assert len(np.unique(node.weight)) <= 4
    np.testing.assert_array_equal(module.codes(codes), evaluate(made, codes))


@given(seed=SEEDS)
@settings(max_examples=15)
def test_the_bits_of_the_formula_are_those_of_the_file(seed: int) -> None:
    module, _, _ = tied(seed=seed)
    for node in layers_of(lowered(module)):
        if node.codebook is not None:
            codes = LayerCodes(length=node.codebook.length, codewords=max(2, node.codebook.codewords))
            stored = node.codebook.values.size + packed(node.codebook).size
            spare = 8 * codes.length * (codes.codewords - node.codebook.codewords)
            assert stored == -(-(coded_bits(node.weight.shape, codes) - spare) // 8)


def test_a_layer_takes_the_codes_of_its_kind_and_no_more_codewords_than_it_can_fill() -> None:
    _, graph, _ = network(5)
    chosen = plan(graph, EVERY)
    first, *others = layers_of(graph)
    assert chosen and first.name not in chosen
    for node in others:
        depthwise = isinstance(node, Conv2d) and node.is_depthwise
        if node.name in chosen:
            codes = chosen[node.name]
            assert not depthwise
            assert codes.length == (EVERY.dense if isinstance(node, Dense) else EVERY.convolution).length
            assert coded_bits(node.weight.shape, codes) < node.weight.size * node.weight_bits


def test_a_layer_by_name_takes_its_own_codes_or_none() -> None:
    _, graph, _ = network(5)
    first, *others = layers_of(graph)
    chosen = plan(graph, ProductConfig(smallest=1, layers={first.name: LayerCodes(length=1, codewords=2)}))
    assert chosen[first.name] == LayerCodes(length=1, codewords=2)
    assert not plan(graph, ProductConfig(smallest=1, layers={node.name: None for node in others}))


def test_settings_of_a_layer_that_is_not_there_are_refused_with_the_nearest() -> None:
    _, graph, _ = network(5)
    name = layers_of(graph)[0].name
    with pytest.raises(FormatError) as caught:
        plan(graph, ProductConfig(layers={name + "x": None}))
    assert str(caught.value).startswith(
        f"product quantization: no layer is called {name}x; did you mean {name}"
    )


def test_more_codewords_than_vectors_are_refused_by_layer() -> None:
    module, graph, _ = network(5)
    node = layers_of(graph)[-1]
    with pytest.raises(DataError, match=f"^{node.name}: 60000 codewords for "):
        share(module, ProductConfig(layers={node.name: LayerCodes(length=2, codewords=60_000)}))


def test_a_layer_of_wide_weights_takes_no_codebook() -> None:
    for seed in range(40):
        _, graph, _ = network(seed, wide=True)
        for node in layers_of(graph):
            if node.weight_bits > 8:
                assert node.name not in plan(graph, EVERY)
                with pytest.raises(FormatError, match=r"take no codebook; quantize it to 8 bits$"):
                    plan(graph, ProductConfig(layers={node.name: LayerCodes()}))
                return
    raise AssertionError("no wide layer came up")


@pytest.mark.parametrize(("length", "codewords"), [(0, 4), (257, 4), (4, 1), (4, 65537)])
def test_codes_out_of_range_are_refused(length: int, codewords: int) -> None:
    with pytest.raises(FormatError) as caught:
        LayerCodes(length=length, codewords=codewords)
    assert str(caught.value) == (
        f"product quantization: {codewords} codewords of {length} weights; choose 2 to 65536 of 1 to 256"
    )
