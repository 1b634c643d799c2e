"""Single weights: influence as defined, exact numbers, masks that survive training and quantization."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import sum_tolerance, terms_of
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.data import load_dataset, to_input
from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.prune.weights.influence import Influence, influences, weight_parameters
from bitlathe.model.prune.weights.masks import Masks, SparsityTarget, WeightScope, choose_masks
from bitlathe.model.prune.weights.schedule import CubicSchedule
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train.batches import Batch
from bitlathe.model.zoo import build

SHARES = st.floats(0, 0.95)


def digit_batches(count: int) -> list[Batch]:
    digits = load_dataset("digits", None)
    images, labels = to_input(torch.from_numpy(digits.train_images)), torch.from_numpy(digits.train_labels)
    return [(images[32 * i : 32 * i + 32], labels[32 * i : 32 * i + 32].long()) for i in range(count)]


def scores_of(seed: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    shapes = {"a.weight": (4, 3, 3, 3), "b.weight": (7, 5), "c.weight": (1, 9)}
    return {name: torch.from_numpy(rng.random(shape).round(2)) for name, shape in shapes.items()}


def pruned(masks: Masks) -> int:
    return sum(int((~mask).sum()) for mask in masks.kept.values())


@given(seed=st.integers(0, 9), share=SHARES)
@settings(deadline=None, max_examples=40)
def test_each_layer_loses_the_weights_of_least_influence(seed: int, share: float) -> None:
    scores = scores_of(seed)
    masks = choose_masks(scores, SparsityTarget(sparsity=share))
    for name, mask in masks.kept.items():
        assert int((~mask).sum()) == min(round(share * mask.numel()), mask.numel() - 1)
        if mask.any() and not mask.all():
            assert scores[name][~mask].max() <= scores[name][mask].min()


@given(seed=st.integers(0, 9), share=st.floats(0, 0.8))
@settings(deadline=None, max_examples=40)
def test_all_layers_together_lose_exactly_the_share(seed: int, share: float) -> None:
    scores = scores_of(seed)
    total = sum(value.numel() for value in scores.values())
    masks = choose_masks(scores, SparsityTarget(sparsity=share, scope=WeightScope.GLOBAL))
    assert pruned(masks) == round(share * total)
    relative = {name: value / value.square().mean().sqrt() for name, value in scores.items()}
    gone = torch.cat([relative[name][~mask] for name, mask in masks.kept.items()])
    open_layers = {name: mask for name, mask in masks.kept.items() if int(mask.sum()) > 1}
    left = torch.cat([relative[name][mask] for name, mask in open_layers.items()])
    if len(gone) and len(left):
        assert gone.max() <= left.min()


@given(seed=st.integers(0, 9), low=SHARES, high=SHARES, scope=st.sampled_from(WeightScope))
@settings(deadline=None, max_examples=30)
def test_what_is_pruned_stays_pruned_as_the_share_rises(
    seed: int, low: float, high: float, scope: WeightScope
) -> None:
    low, high = sorted((min(low, 0.8), min(high, 0.8)))
    scores = scores_of(seed)
    first = choose_masks(scores, SparsityTarget(sparsity=low, scope=scope))
    left = {name: value * first.kept[name] for name, value in scores.items()}
    second = choose_masks(left, SparsityTarget(sparsity=high, scope=scope))
    assert pruned(second) >= pruned(first)
    if scope is WeightScope.LAYER:
        assert all(not (second.kept[name] & ~mask).any() for name, mask in first.kept.items())


@pytest.mark.parametrize("scope", WeightScope)
def test_a_cap_spares_its_layer(scope: WeightScope) -> None:
    target = SparsityTarget(sparsity=0.7, scope=scope, caps={"b.weight": 0.2})
    masks = choose_masks(scores_of(1), target)
    assert int((~masks.kept["b.weight"]).sum()) <= 7


def test_the_schedule_rises_to_its_end() -> None:
    schedule = CubicSchedule(final=0.9, begin=10, end=110, every=25)
    shares = [schedule.sparsity(step) for step in range(150)]
    assert shares == sorted(shares)
    assert (shares[10], shares[110]) == (0.0, 0.9)
    assert [step for step in range(150) if schedule.is_due(step)] == [10, 35, 60, 85, 110]


def test_influences_are_what_they_are_called() -> None:
    model = build("lenet5").eval()
    images, labels = digit_batches(1)[0]
    loss = functional.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, list(weight_parameters(model).values()))
    wanted = {
        Influence.MAGNITUDE: lambda w, g: w.abs(),
        Influence.TAYLOR: lambda w, g: (w * g).abs(),
        Influence.OBD: lambda w, g: 0.5 * g**2 * w**2,
    }
    for kind, formula in wanted.items():
        scores = influences(model, kind, [(images, labels)])
        for (name, weight), gradient in zip(weight_parameters(model).items(), gradients, strict=True):
            expected = formula(weight.detach(), gradient)
            near = sum_tolerance(terms_of(model) + len(images), expected.max())
            assert torch.allclose(scores[name], expected, rtol=0, atol=near)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_pruned_weights_are_zeros_of_the_integer_graph() -> None:
    model = build("lenet5")
    masks = choose_masks(influences(model, Influence.MAGNITUDE), SparsityTarget(sparsity=0.7))
    masks.apply(model)
    digits = load_dataset("digits", None)
    graph = quantize(model.eval(), digits.train_images[:64], QuantizeConfig()).graph
    weighted = [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]
    for node, mask in zip(weighted, masks.kept.values(), strict=True):
        assert not node.weight.reshape(-1)[~mask.reshape(-1).numpy()].any()


def refusal(call: object) -> str:
    assert callable(call)
    with pytest.raises(BitlatheError) as caught:
        call()
    return str(caught.value)


def test_what_has_no_meaning_is_refused() -> None:
    scores = scores_of(0)
    model = build("lenet5")
    assert "0 <= sparsity < 1" in refusal(lambda: SparsityTarget(sparsity=1.0))
    assert "initial" in refusal(lambda: CubicSchedule(final=0.2, initial=0.5, end=3))
    unknown = SparsityTarget(sparsity=0.5, caps={"d.weight": 0.1})
    assert "d.weight" in refusal(lambda: choose_masks(scores, unknown))
    narrow = SparsityTarget(sparsity=0.9, scope=WeightScope.GLOBAL, caps=dict.fromkeys(scores, 0.1))
    assert "caps allow" in refusal(lambda: choose_masks(scores, narrow))
    assert "batches" in refusal(lambda: influences(model, Influence.OBD))
    assert "a.weight" in refusal(lambda: Masks({"a.weight": scores["a.weight"] > 0}).apply(model))
    assert issubclass(FormatError, BitlatheError)
    assert issubclass(DataError, BitlatheError)


def test_a_weight_that_two_layers_share_has_one_mask(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16, 10))
    model[1].weight = model[0].weight
    batches = [(torch.from_numpy(rng.random((4, 1, 8, 8), np.float32)), torch.arange(4))]
    for influence in Influence:
        scores = influences(model, influence, batches)
        masks = choose_masks(scores, SparsityTarget(sparsity=0.5, scope=WeightScope.GLOBAL))
        masks.apply(model, torch.optim.SGD(model.parameters(), lr=0.1))
        assert list(masks.kept) == ["0.weight", "3.weight"]
        assert model[1].weight is model[0].weight
        assert not model[0].weight[~masks.kept["0.weight"]].any()


def test_a_weight_that_a_parametrization_computes_has_no_mask() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)), nn.Conv2d(2, 1, 1))
    assert list(weight_parameters(model)) == ["1.weight"]
    assert list(weight_parameters(nn.Conv2d(1, 2, 3))) == ["weight"]
