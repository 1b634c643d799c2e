"""From a configuration to the parts of a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from torch import Tensor, nn

from bitlathe.flow.board_latency import BoardLatency
from bitlathe.flow.errors import UsageError
from bitlathe.flow.latency import rungs
from bitlathe.flow.own_network import is_own, make_own
from bitlathe.flow.request import NetworkRequest, Normalization
from bitlathe.flow.search_config import Mode, SearchConfig, WeightsSection
from bitlathe.flow.subject import Subject, find_subject
from bitlathe.hls.config import Target, find_target
from bitlathe.model.compress import Architecture, Method, ZooArchitecture
from bitlathe.model.compress.channels import PruneChannels, joint_reach
from bitlathe.model.compress.methods import Quantize, Train
from bitlathe.model.compress.product import ShareWeights
from bitlathe.model.compress.weights import PruneWeights
from bitlathe.model.data import to_input
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.prune.groups import ChannelGroups, channel_groups
from bitlathe.model.prune.masks import SparsityTarget
from bitlathe.model.quantize.capture import capture
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.search import EachEpochTheBest, Judge, LabSpec, Ladder
from bitlathe.model.train import TrainConfig
from bitlathe.model.zoo import Normalize

_FULL_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnArchitecture:
    """A network of the user's own."""

    network: str  # FILE.py:FUNCTION or FILE.onnx
    seed: int
    input_shape: Shape  # (C, H, W)
    imagenet: bool = False  # images are normalised as ImageNet's networks expect them

    def build(self) -> nn.Module:
        """What the function returns, or the file holds."""
        normalize = Normalize.imagenet() if self.imagenet else None
        return make_own(self.network, self.seed, self.input_shape, normalize)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration made ready."""

    config: SearchConfig
    subject: Subject
    spec: LabSpec
    methods: tuple[Method, ...]
    target: Target

    @property
    def strategy(self) -> EachEpochTheBest:
        """Algorithm 1 over all methods."""
        return EachEpochTheBest(methods=self.methods)

    def ladder(self, boards: BoardLatency | None = None) -> Ladder:
        """The rungs that the configuration names, and the boards if there are any."""
        if boards is not None and boards.target.name != self.target.name:
            raise UsageError(f"--board: is a {boards.target.name}, {self.config.path} for {self.target.name}")
        return Ladder(rungs=rungs(self.config.latency.rungs, self.target, boards))


def set_up(config: SearchConfig, data: Path | None) -> Setup:
    """Find network, weights and data set.

    Raises what finding them raises, and UsageError, with file, line and key, for layers that are not there.
    """
    subject = find_subject(
        NetworkRequest(
            network=config.network.name,
            dataset=config.network.dataset,
            weights=config.network.weights,
            normalization=config.network.normalize,
            seed=config.training.seed,
            data=data,
        )
    )
    subject.check_trains()
    _check_full_layers(config, subject)
    return Setup(
        config=config,
        subject=subject,
        spec=lab_spec(config, subject, data),
        methods=methods_of(config, subject),
        target=find_target(config.latency.target),
    )


def lab_spec(config: SearchConfig, subject: Subject, data: Path | None) -> LabSpec:
    """What every worker makes its lab from."""
    literal = config.search.mode is Mode.LITERAL
    return LabSpec(
        architecture=architecture_of(config, subject),
        weights=subject.weights.path,
        dataset=subject.dataset.name,
        data_root=data,
        settings=training_settings(config, subject),
        held_out=config.search.held_out,
        judge=Judge.TEST if literal else config.search.judge,
        deployment=quantize_config(config, config.search.deployment),
        epoch_images=config.training.epoch_images,
        as_trained=literal,
    )


def training_settings(config: SearchConfig, subject: Subject) -> TrainConfig:
    """Settings of every epoch."""
    return TrainConfig(network=subject.network, dataset=subject.dataset.name, **config.training.settings)


def architecture_of(config: SearchConfig, subject: Subject) -> Architecture:
    """How a worker makes the network."""
    imagenet = subject.weights.normalization is Normalization.IMAGENET
    if is_own(config.network.name):
        return OwnArchitecture(
            network=config.network.name,
            seed=config.training.seed,
            input_shape=subject.input_shape,
            imagenet=imagenet,
        )
    return ZooArchitecture(
        network=config.network.name,
        num_classes=subject.dataset.num_classes,
        in_channels=subject.dataset.in_channels,
        input_size=subject.dataset.input_size,
        imagenet=imagenet,
        seed=config.training.seed,
    )


def methods_of(config: SearchConfig, subject: Subject) -> tuple[Method, ...]:
    """The set C, in the order that breaks ties: P, Q from the first pair of bits on, W, PQ, T."""
    found: list[Method] = []
    if config.prune is not None:
        found.extend(prune_methods(config, subject))
    if config.quantize is not None:
        found.extend(quantize_method(config, bits) for bits in config.quantize.bits)
    if config.weights is not None:
        found.append(weights_method(config.weights))
    if config.product is not None:
        found.append(ShareWeights(**dataclasses.asdict(config.product)))
    if config.train is not None:
        found.append(Train())
    return tuple(found)


def prune_methods(config: SearchConfig, subject: Subject) -> tuple[PruneChannels, ...]:
    """P for each stage, each criterion and each number of lanes."""
    section, base = config.prune, _whole_pruner(config, subject)
    assert section is not None
    pruners = tuple(
        replace(base, stage=stage, criterion=criterion, lanes=lanes)
        for stage, criterion, lanes in product(section.stages, section.criteria, section.lanes)
    )
    return _within_reach(pruners, subject)


def prune_method(config: SearchConfig, subject: Subject) -> PruneChannels:
    """P over the whole network, of the baselines."""
    (method,) = _within_reach((_whole_pruner(config, subject),), subject)
    return method


def prunable_groups(config: SearchConfig, subject: Subject) -> ChannelGroups:
    """Groups of channels that P may prune, in scope and not skipped.

    UsageError for a layer to skip that cannot be pruned, and for a stage without a layer that can.
    """
    section = config.prune
    assert section is not None
    every = channel_groups(subject.model, _example(subject), section.scope)
    try:
        groups = every.without(section.skip)
    except Unprunable as error:
        raise config.wrong(("methods", "P", "skip"), str(error)) from error
    names = [group.name for group in groups]
    for stage in section.stages:
        if not any(name.startswith(stage) for name in names):
            what = f"no layer that can be pruned begins with {stage}; there are {', '.join(names) or 'none'}"
            raise config.wrong(("methods", "P", "stages"), what)
    return groups


def _whole_pruner(config: SearchConfig, subject: Subject) -> PruneChannels:
    """P over the whole network, its share as a number of channels."""
    section = config.prune
    assert section is not None
    return PruneChannels(
        channels=section.channels,
        target=round(section.share * prunable_groups(config, subject).width),
        criterion=section.criterion,
        scope=section.scope,
        floor=section.floor,
        lanes=min(section.lanes),
        skip=section.skip,
        required=section.required,
    )


def _within_reach(pruners: Sequence[PruneChannels], subject: Subject) -> tuple[PruneChannels, ...]:
    """The methods; a target that is only a bound is no more than they can remove together."""
    most = joint_reach(pruners, subject.model, _example(subject))
    return tuple(p if p.required else replace(p, target=min(p.target, most)) for p in pruners)


def _example(subject: Subject) -> Tensor:
    """Images (2, C, H, W) float32 to trace the network with."""
    return to_input(subject.dataset.train_images[:2])


def _check_full_layers(config: SearchConfig, subject: Subject) -> None:
    """Raise UsageError for a layer that is to stay at 8 bits and is not there."""
    if config.quantize is None or not config.quantize.full:
        return
    known = capture(subject.model, subject.input_shape).by_name
    try:
        quantize_config(config, config.search.deployment).check_layers(known)
    except FormatError as error:
        raise config.wrong(("methods", "Q", "full"), str(error)) from error


def weights_method(section: WeightsSection) -> PruneWeights:
    """W with its target."""
    target = SparsityTarget(sparsity=section.sparsity, scope=section.scope)
    return PruneWeights(target=target, rounds=section.rounds, influence=section.influence)


def quantize_method(config: SearchConfig, bits: tuple[int, int]) -> Quantize:
    """Q of a pair of bits."""
    return Quantize(
        config=quantize_config(config, bits),
        lasting=config.search.mode is not Mode.LITERAL,
        threshold_lr=0.0 if config.quantize is None else config.quantize.threshold_lr,
    )


def quantize_config(config: SearchConfig, bits: tuple[int, int]) -> QuantizeConfig:
    """Quantizer of a pair of bits, with the layers that stay at 8."""
    weight_bits, activation_bits = bits
    section = config.quantize
    if section is None:
        return QuantizeConfig(weight_bits=weight_bits, activation_bits=activation_bits)
    full = LayerBits(weight_bits=_FULL_BITS, activation_bits=_FULL_BITS)
    return QuantizeConfig(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=section.per_channel,
        calibration_images=section.calibration_images,
        layers=dict.fromkeys(section.full, full),
    )
