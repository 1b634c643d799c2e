"""The rows of papers.py: how each claim is measured, and the bar it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from paper_subjects import (
    Bench,
    Subject,
    Tuning,
    carried_out,
    integer_accuracy,
    integers,
    published,
    trained,
)

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import PruneOnce, PruneWeights, Quantize, ShareWeights, Train
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.graph.files.account import Account
from bitlathe.model.graph.files.compact import save_compact
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.live import network_of
from bitlathe.model.prune.channels.budget import ChannelBudget, CostShare, WidthLimits
from bitlathe.model.prune.channels.costs import Metric
from bitlathe.model.prune.channels.plug_in import PruneSettings
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.train import TrainConfig
from bitlathe.model.zoo.cost import macs

MEBIBYTE = 1 << 20
INT8 = QuantizeConfig()
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim of a paper."""

    name: str
    paper: str
    dataset: str
    bar: str
    run: Callable[[Bench], Metrics]
    met: Callable[[Mapping[str, float]], bool]


def prune_and_quantize(
    bench: Bench,
    name: str,
    config: TrainConfig,
    sparsity: float,
    rounds: int,
    tuned: int,
    tuning: Tuning,
) -> Metrics:
    """Train, prune weights by influence, fine-tune, quantize with training; bytes of the file."""
    subject = trained(bench, config)
    recipe = Recipe(
        stages=(
            RecipeStage(method=PruneWeights(sparsity=sparsity, rounds=rounds), epochs=rounds),
            RecipeStage(method=Train(), epochs=tuned),
            RecipeStage(method=Quantize(config=INT8), epochs=1),
        )
    )
    state = carried_out(bench, name, subject, recipe, tuning)
    network = integers(state, subject, INT8)
    size = save_compact(network.graph, bench.folder(name) / "network.blgc")
    account = Account.of(network.graph)
    accuracy = integer_accuracy(network, subject.dataset)
    return {
        "float %": subject.accuracy,
        "integer %": accuracy,
        "drop": subject.accuracy - accuracy,
        "float MiB": account.float_bytes / MEBIBYTE,
        "file MiB": size / MEBIBYTE,
        "file share %": 100 * size / account.float_bytes,
        "nonzero %": 100 * account.nonzero / account.parameters,
    }


def filters_by_deviation(
    bench: Bench, name: str, network: str, budget: ChannelBudget, epochs: int, images: int
) -> Metrics:
    """Prune channels of least standard deviation in one go, then fine-tune."""
    subject = published(bench, network)
    before = macs(subject.model, tuple(subject.example.shape[1:]))
    settings = PruneSettings(budget=budget, criterion="std", limits=WidthLimits(floor=2, cap=0.7))
    recipe = Recipe(stages=(RecipeStage(method=PruneOnce(settings=settings), epochs=epochs),))
    state = carried_out(bench, name, subject, recipe, Tuning(lr=0.02, epoch_images=images))
    after = subject.accuracy_of(state.model)
    network_now = integers(state, subject, INT8)
    return {
        "float %": subject.accuracy,
        "pruned %": after,
        "drop": subject.accuracy - after,
        "MACs less %": 100 * (1 - macs(state.model, tuple(subject.example.shape[1:])) / before),
        "pruned int8 %": integer_accuracy(network_now, subject.dataset),
        "images trained on": float(epochs * images),
    }


def quantized(bench: Bench, name: str, bits: tuple[int, int], lr: float, epochs: int, images: int) -> Metrics:
    """Q(m, n) on ResNet-20; first layer and classifier keep 8-bit weights where m is less."""
    subject = published(bench, "resnet20")
    ends = LayerBits(weight_bits=8)
    config = QuantizeConfig(
        weight_bits=bits[0],
        activation_bits=bits[1],
        layers={"conv1": ends, "linear": ends} if bits[0] < 8 else {},
    )
    recipe = Recipe(stages=(RecipeStage(method=Quantize(config=config), epochs=epochs),))
    state = carried_out(bench, name, subject, recipe, Tuning(lr=lr, epoch_images=images))
    accuracy = integer_accuracy(integers(state, subject, config), subject.dataset)
    return {
        "float %": subject.accuracy,
        "integer %": accuracy,
        "drop": subject.accuracy - accuracy,
        "images trained on": float(epochs * images),
    }


def sparsity_index(bench: Bench, name: str, epochs: int, images: int) -> Metrics:
    """ResNet-56 to 0.64 MB of float parameters by the sparsity index, and by L2, with equal training."""
    metrics: Metrics = {}
    for criterion in ("sparsity", "l2"):
        metrics |= _to_size(bench, f"{name}-{criterion}", criterion, epochs, images)
    return metrics


def _to_size(bench: Bench, name: str, criterion: str, epochs: int, images: int) -> Metrics:
    subject = published(bench, "resnet56")
    tuning = Tuning(lr=0.05, epoch_images=images)
    parameters = sum(p.numel() for p in subject.model.parameters())
    share = 1 - 0.64e6 / 4 / parameters
    settings = PruneSettings(
        budget=CostShare(share=share, metric=Metric.PARAMETERS),
        criterion=criterion,
        limits=WidthLimits(floor=2, cap=0.95),
    )
    recipe = Recipe(stages=(RecipeStage(method=PruneOnce(settings=settings), epochs=epochs),))
    state = carried_out(bench, name, subject, recipe, tuning)
    network = integers(state, subject, INT8)
    size = save_compact(network.graph, bench.folder(name) / "network.blgc")
    return {
        f"{criterion} %": subject.accuracy_of(state.model),
        f"{criterion} int8 %": integer_accuracy(network, subject.dataset),
        f"{criterion} float MB": 4e-6 * sum(p.numel() for p in state.model.parameters()),
        f"{criterion} file MB": size / 1e6,
    }


def codewords(
    bench: Bench, name: str, subject: Callable[[Bench], Subject], config: ProductConfig, training: TrainConfig
) -> Metrics:
    """Tie weights to codewords, train those; bytes of the file, codebooks counted."""
    start = subject(bench)
    dataset, settings = start.dataset, replace(training, seed=bench.seed)
    stage = RecipeStage(method=ShareWeights(config=config, quantizer=INT8), epochs=training.epochs)
    data = MethodData.whole(dataset, batch_size=training.batch_size, augment=training.augment)
    path = bench.folder(name) / "state.pt"
    state = load(path, start.architecture, settings) if path.exists() else fresh_state(start.model, settings)
    state = follow(Recipe(stages=(stage,)), state, data, settings, lambda s: s.save(path))
    network = network_of(integer_view(state, data, INT8))
    size = save_compact(network.graph, path.with_name("network.blgc"))
    account, accuracy = Account.of(network.graph), integer_accuracy(network, dataset)
    return {
        "float %": start.accuracy,
        "integer %": accuracy,
        "drop": start.accuracy - accuracy,
        "float KB": account.float_bytes / 1000,
        "file KB": size / 1000,
        "ratio": account.float_bytes / size,
    }


LENET = TrainConfig(network="lenet5-caffe", dataset="mnist", epochs=8, batch_size=64, lr=0.05)
MOBILENET = TrainConfig(network="mobilenet-28", dataset="fashion_mnist", epochs=6, batch_size=128, lr=0.1)
PRUNE_QAT = "pruning and quantization-aware training"
STD = "filter pruning by standard deviation"
PQ = "product quantization and pruning"
INDEX = "channel pruning on regularized sparsity"
FRAMEWORK = "regularized training framework"
THIRD = CostShare(share=0.30, metric=Metric.MACS)

_ROWS = (
    Row(
        name="lenet5-weights",
        paper=PRUNE_QAT,
        dataset="MNIST",
        bar="file <= 0.20 MiB, drop <= 0.2",
        run=partial(
            prune_and_quantize,
            name="lenet5-weights",
            config=LENET,
            sparsity=0.80,
            rounds=2,
            tuned=3,
            tuning=Tuning(lr=0.01, batch_size=64, augment=False),
        ),
        met=lambda m: m["file MiB"] <= 0.20 and m["drop"] <= 0.2,
    ),
    Row(
        name="mobilenet-weights",
        paper=PRUNE_QAT,
        dataset="Fashion-MNIST",
        bar="file <= 18 % of float",
        run=partial(
            prune_and_quantize,
            name="mobilenet-weights",
            config=MOBILENET,
            sparsity=0.6,
            rounds=1,
            tuned=1,
            tuning=Tuning(lr=0.02, augment=False, epoch_images=20_000),
        ),
        met=lambda m: m["file share %"] <= 18,
    ),
    Row(
        name="lenet5-codewords",
        paper=PQ,
        dataset="MNIST",
        bar=">= 38 times smaller, drop <= 0.2",
        run=partial(
            codewords,
            name="lenet5-codewords",
            subject=partial(trained, config=LENET),
            config=ProductConfig(
                layers={
                    "conv2": LayerCodes(length=10, codewords=256),
                    "fc1": LayerCodes(length=16, codewords=256),
                }
            ),
            training=replace(LENET, epochs=2, lr=0.02),
        ),
        met=lambda m: m["ratio"] >= 38 and m["drop"] <= 0.2,
    ),
    Row(
        name="resnet20-codewords",
        paper=PQ,
        dataset="CIFAR-10",
        bar=">= 14 times smaller, drop reported",
        run=partial(
            codewords,
            name="resnet20-codewords",
            subject=partial(published, network="resnet20"),
            config=ProductConfig(),
            training=TrainConfig(
                network="resnet20", dataset="cifar10", epochs=1, batch_size=128, lr=0.003, augment=True
            ),
        ),
        met=lambda m: m["ratio"] >= 14,
    ),
    Row(
        name="resnet20-deviation",
        paper=STD,
        dataset="CIFAR-10",
        bar=">= 30 % fewer MACs, drop <= 1.0",
        run=partial(
            filters_by_deviation,
            name="resnet20-deviation",
            network="resnet20",
            budget=THIRD,
            epochs=8,
            images=45_000,
        ),
        met=lambda m: m["MACs less %"] >= 30 and m["drop"] <= 1.0,
    ),
    Row(
        name="resnet56-deviation",
        paper=STD,
        dataset="CIFAR-10",
        bar=">= 30 % fewer MACs, drop <= 0.5",
        run=partial(
            filters_by_deviation,
            name="resnet56-deviation",
            network="resnet56",
            budget=THIRD,
            epochs=8,
            images=22_500,
        ),
        met=lambda m: m["MACs less %"] >= 30 and m["drop"] <= 0.5,
    ),
    Row(
        name="resnet56-index",
        paper=INDEX,
        dataset="CIFAR-10",
        bar="0.64 MB of float parameters, reported against L2; file <= 0.25 MB as int8",
        run=partial(sparsity_index, name="resnet56-index", epochs=6, images=15_000),
        met=lambda m: m["sparsity float MB"] <= 0.64 and m["sparsity file MB"] <= 0.25,
    ),
    *(
        Row(  # 4-bit activations diverge at the rate that suits 8-bit ones
            name=f"resnet20-q{bits[0]}{bits[1]}",
            paper=FRAMEWORK,
            dataset="CIFAR-10",
            bar=f"drop <= {drop}",
            run=partial(
                quantized,
                name=f"resnet20-q{bits[0]}{bits[1]}",
                bits=bits,
                lr=lr,
                epochs=epochs,
                images=15_000,
            ),
            met=lambda m, drop=drop: m["drop"] <= drop,
        )
        for bits, lr, epochs, drop in (
            ((8, 8), 0.001, 0, 0.1),
            ((4, 8), 0.01, 3, 0.7),
            ((4, 4), 0.003, 5, 2.0),
        )
    ),
)
ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
