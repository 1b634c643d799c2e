"""The rows of papers.py: how each claim is measured, and the bar it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.compress import MethodData, ZooArchitecture
from bitlathe.model.compress.methods import Quantize, Train
from bitlathe.model.compress.one_shot import PruneOnce
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, Stage, follow
from bitlathe.model.compress.state import State, fresh_state, load
from bitlathe.model.compress.weights import PruneWeights
from bitlathe.model.data import Dataset, load_dataset, to_input
from bitlathe.model.graph.account import Account
from bitlathe.model.graph.compact import save_compact
from bitlathe.model.graph.reference import evaluate as evaluate_integers
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.finetuning import finetune
from bitlathe.model.product.share import lowered, share
from bitlathe.model.prune.budget import Budget, CostShare, Limits
from bitlathe.model.prune.costs import Metric
from bitlathe.model.prune.masks import Scope, SparsityTarget
from bitlathe.model.prune.plug_in import PruneSettings
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize
from bitlathe.model.train import TrainConfig, evaluate, load_weights, train
from bitlathe.model.train.config import Schedule
from bitlathe.model.zoo.cost import macs

MEBIBYTE = 1 << 20
HELD_OUT = 5000  # training images that no method sees
INT8 = QuantizeConfig()
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where a row finds its data and keeps its states."""

    data: Path | None
    weights: Path  # folder of the published CIFAR ResNets
    work: Path
    seed: int

    def folder(self, name: str) -> Path:
        """Folder of a run, made if it is missing."""
        folder = self.work / f"{name}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim of a paper."""

    name: str
    paper: str
    dataset: str
    bar: str
    run: Callable[[Bench], Metrics]
    met: Callable[[Mapping[str, float]], bool]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A trained float network and its images."""

    architecture: ZooArchitecture
    model: nn.Module
    dataset: Dataset
    accuracy: float  # percent of the test images, in float

    @property
    def example(self) -> torch.Tensor:
        """One black image (1, C, H, W)."""
        size = self.architecture.input_size
        return torch.zeros(1, self.architecture.in_channels, size, size)

    def accuracy_of(self, model: nn.Module) -> float:
        """Percent of all test images."""
        return 100 * evaluate(model, self.dataset.test_images, self.dataset.test_labels).accuracy


def trained(bench: Bench, config: TrainConfig) -> Subject:
    """A network trained here, once a seed."""
    out = bench.folder(f"float-{config.network}-{config.dataset}")
    result = train(config, bench.data, out, resume=True)
    data = result.dataset
    architecture = ZooArchitecture(
        network=config.network,
        num_classes=data.num_classes,
        in_channels=data.in_channels,
        input_size=data.input_size,
        seed=config.seed,
    )
    return Subject(
        architecture=architecture, model=result.model, dataset=data, accuracy=100 * result.accuracy
    )


def published(bench: Bench, network: str) -> Subject:
    """A CIFAR ResNet with its published weights."""
    architecture = ZooArchitecture(
        network=network, num_classes=10, in_channels=3, input_size=32, imagenet=True, seed=bench.seed
    )
    model = architecture.build()
    load_weights(model, bench.weights / f"{network}_cifar10.pt")
    dataset = load_dataset("cifar10", bench.data)
    top1 = 100 * evaluate(model, dataset.test_images, dataset.test_labels).accuracy
    return Subject(architecture=architecture, model=model, dataset=dataset, accuracy=top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How long and how fast a network trains under a recipe."""

    lr: float
    batch_size: int = 128
    augment: bool = True
    epoch_images: int | None = None  # None: all training images

    def settings(self, recipe: Recipe, seed: int) -> TrainConfig:
        """Cosine from `lr` to 0 over the recipe."""
        return TrainConfig(
            epochs=max(1, recipe.epochs),
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=Schedule.COSINE,
            augment=self.augment,
            seed=seed,
        )

    def images(self, dataset: Dataset) -> MethodData:
        """Training images, less those held out."""
        return MethodData.split(
            dataset,
            held_out=HELD_OUT,
            batch_size=self.batch_size,
            augment=self.augment,
            epoch_images=self.epoch_images,
        )


def carried_out(bench: Bench, name: str, subject: Subject, recipe: Recipe, tuning: Tuning) -> State:
    """The state after the recipe; goes on from the state kept last."""
    path, settings = bench.folder(name) / "state.pt", tuning.settings(recipe, bench.seed)
    if path.exists():
        state = load(path, subject.architecture, settings)
    else:
        state = fresh_state(subject.model, settings)
    return follow(recipe, state, tuning.images(subject.dataset), settings, lambda s: s.save(path))


def integers(state: State, subject: Subject, config: QuantizeConfig) -> QuantizedNetwork:
    """The state as an integer network: by its own quantizer, else calibrated."""
    return integer_view(state, Tuning(lr=0).images(subject.dataset), config).network()


def integer_accuracy(network: QuantizedNetwork, dataset: Dataset) -> float:
    """Percent of all test images, by the reference evaluator."""
    codes = network.preprocess.codes(dataset.test_images)
    scores = evaluate_integers(network.graph, codes).reshape(len(codes), -1)
    return float(100 * (scores.argmax(axis=1) == dataset.test_labels).mean())


def prune_and_quantize(
    bench: Bench,
    name: str,
    config: TrainConfig,
    target: SparsityTarget,
    rounds: int,
    tuned: int,
    tuning: Tuning,
) -> Metrics:
    """Train, prune weights by influence, fine-tune, quantize with training; bytes of the file."""
    subject = trained(bench, config)
    recipe = Recipe(
        stages=(
            Stage(method=PruneWeights(target=target, rounds=rounds), epochs=rounds),
            Stage(method=Train(), epochs=tuned),
            Stage(method=Quantize(config=INT8), epochs=1),
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
    bench: Bench, name: str, network: str, budget: Budget, epochs: int, images: int
) -> Metrics:
    """Prune channels of least standard deviation in one go, then fine-tune."""
    subject = published(bench, network)
    before = macs(subject.model, tuple(subject.example.shape[1:]))
    settings = PruneSettings(budget=budget, criterion="std", limits=Limits(floor=2, cap=0.7))
    recipe = Recipe(stages=(Stage(method=PruneOnce(settings=settings), epochs=epochs),))
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
    recipe = Recipe(stages=(Stage(method=Quantize(config=config), epochs=epochs),))
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
        limits=Limits(floor=2, cap=0.95),
    )
    recipe = Recipe(stages=(Stage(method=PruneOnce(settings=settings), epochs=epochs),))
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
    """Quantize, tie weights to codewords, train the codewords; bytes of the file, codebooks counted."""
    start = subject(bench)
    dataset, folder = start.dataset, bench.folder(name)
    quantized_network = quantize(start.model.eval(), dataset.train_images, INT8)
    module = quantized_network.trainable()
    share(module, config, to_input(dataset.train_images[:256]))
    finetune(module, dataset, replace(training, seed=bench.seed), folder, resume=True)
    network = replace(quantized_network, graph=lowered(module.eval()))
    size = save_compact(network.graph, folder / "network.blgc")
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
            target=SparsityTarget(sparsity=0.80, scope=Scope.GLOBAL),
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
            target=SparsityTarget(sparsity=0.6, scope=Scope.GLOBAL),
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
            epochs=6,
            images=15_000,
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
            epochs=6,
            images=12_000,
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
