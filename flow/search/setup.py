"""From a configuration to the parts of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from bitlathe.flow.boards.latency import BoardLatency
from bitlathe.flow.errors import UsageError
from bitlathe.flow.hardware.latency import CycleModelRung, check_reachable, rungs
from bitlathe.flow.network.own_network import make_own
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import Subject, find_subject, zoo_entry
from bitlathe.flow.network.teacher import find_teacher, with_teacher
from bitlathe.flow.progress import Progress, silent
from bitlathe.flow.search.config import USUAL_SHARE, Mode, NetworkSection, SearchConfig
from bitlathe.hls.target.config import Target, find_target
from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.names import identifier
from bitlathe.model.compress import Architecture, GivenNetwork, Method, MethodContext, ZooArchitecture
from bitlathe.model.compress.methods import PruneChannels, PruneParameters, QuantizeParameters, joint_reach
from bitlathe.model.data import to_input
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.prune.channels.groups import ChannelGroups, channel_groups
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import (
    Baseline,
    Baselines,
    EachEpochTheBest,
    Judge,
    LabSpec,
    Ladder,
    LatencyRung,
    Rule,
)
from bitlathe.model.train import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnArchitecture:
    """A network of the user's own."""

    network: str  # FILE.py:FUNCTION or FILE.onnx
    seed: int
    input_shape: Shape  # (C, H, W)
    normalization: Normalization = NONE  # of images

    def build(self) -> nn.Module:
        """The network that the function returns or the file holds."""
        return make_own(self.network, self.seed, self.input_shape, self.normalization)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration made ready."""

    config: SearchConfig
    subject: Subject
    spec: LabSpec
    methods: tuple[Method, ...]
    rule: Rule
    target: Target

    @property
    def strategy(self) -> EachEpochTheBest:
        """Algorithm 1 over all methods."""
        return EachEpochTheBest(methods=self.methods)

    def check_reachable(self, rung: LatencyRung) -> None:
        """Raise UsageError, with the least possible, for a budget that the methods cannot reach."""
        if (budget := self.config.budget) is not None:
            deployment = [self.spec.deployment]
            check_reachable(budget, self.subject, self.methods, deployment, rung, self.target)

    def ladder(self, boards: BoardLatency | None = None) -> Ladder:
        """The rungs that the configuration names, and the boards if there are any."""
        if boards is not None and boards.target.name != self.target.name:
            raise UsageError(f"`boards`: is a {boards.target.name}, the search for {self.target.name}")
        return Ladder(rungs=rungs(self.config.latency.rungs, self.target, boards))


def set_up(config: SearchConfig, data: Path | None, progress: Progress = silent) -> Setup:
    """Find network, weights and data set; `progress` is called with how they were found.

    Raises what finding them raises, and UsageError, with file, line and key, for layers that are not there.
    """
    subject = _subject(config, data, progress)
    subject.check_trains()
    rule = config.rule(subject.judge)
    try:
        subject.task.loss.smoothed(config.training.label_smoothing)
    except FormatError as error:
        raise config.wrong(("training", "label_smoothing"), str(error)) from error
    _check_full_layers(config, subject)
    return Setup(
        config=config,
        subject=subject,
        spec=lab_spec(config, subject, data),
        methods=methods_of(config, subject),
        rule=rule,
        target=find_target(config.latency.target),
    )


def _subject(config: SearchConfig, data: Path | None, progress: Progress) -> Subject:
    """The network handed in, or found by its name, with its teacher."""
    subject = _untaught(config, data, progress)
    if (wanted := config.training.taught_by) is None:
        return subject
    return with_teacher(subject, find_teacher(wanted, subject.dataset, data, progress))


def _untaught(config: SearchConfig, data: Path | None, progress: Progress) -> Subject:
    named = config.network
    metric, loss = config.search.metric, config.training.loss
    if isinstance(named, Subject):
        return named.with_task(metric, loss)
    return find_subject(
        NetworkRequest(
            network=named.name,
            dataset=named.dataset,
            weights=named.weights,
            normalization=named.normalization,
            seed=config.training.seed,
            data=data,
            image_size=named.image_size,
            metric=metric,
            loss=loss,
        ),
        progress,
    )


def lab_spec(config: SearchConfig, subject: Subject, data: Path | None) -> LabSpec:
    """What every worker makes its lab from: by names if the search has names, else the objects themselves."""
    literal, is_named = config.search.mode is Mode.LITERAL, isinstance(config.network, NetworkSection)
    return LabSpec(
        architecture=architecture_of(config, subject),
        weights=subject.weights.path if is_named else None,
        dataset=subject.dataset.name if is_named and subject.dataset.is_known else subject.dataset,
        data_root=data,
        settings=training_settings(config, subject),
        held_out=config.search.held_out,
        judge=Judge.TEST if literal else config.search.judge,
        deployment=deployment_of(config),
        epoch_images=config.training.epoch_images,
        as_trained=literal,
        task=subject.task,
    )


def training_settings(config: SearchConfig, subject: Subject) -> TrainConfig:
    """Settings of every epoch."""
    return TrainConfig(network=subject.network, dataset=subject.dataset.name, **config.training.settings)


def architecture_of(config: SearchConfig, subject: Subject) -> Architecture:
    """How a worker makes the network."""
    if isinstance(config.network, Subject):
        return GivenNetwork(model=subject.model)
    spec = zoo_entry(config.network.name)
    if spec is None:
        return OwnArchitecture(
            network=config.network.name,
            seed=config.training.seed,
            input_shape=subject.input_shape,
            normalization=subject.weights.normalization,
        )
    if not spec.classifies:
        return GivenNetwork(model=subject.model)
    return ZooArchitecture(
        network=config.network.name,
        num_classes=subject.dataset.num_classes,
        in_channels=subject.dataset.in_channels,
        input_size=subject.dataset.input_size,
        normalization=subject.weights.normalization,
        seed=config.training.seed,
    )


def methods_of(config: SearchConfig, subject: Subject) -> tuple[Method, ...]:
    """The set C, in the order that breaks ties: P, Q from the first pair of bits on, W, PQ, T."""
    context = context_of(config, subject)
    found = [parameters.method(context) for several in config.methods.values() for parameters in several]
    return _within_reach(found, subject)


def context_of(config: SearchConfig, subject: Subject) -> MethodContext:
    """What methods must know about the search; Q does not last where Algorithm 1 is read literally."""
    target = find_target(config.latency.target)
    return MethodContext(
        groups=partial(prunable_groups, config, subject),
        lasting=config.search.mode is not Mode.LITERAL,
        lanes=target.engine.pi,
        cycles=CycleModelRung(target=target).cycles,
    )


def prunable_groups(config: SearchConfig, subject: Subject, parameters: PruneParameters) -> ChannelGroups:
    """Groups of channels that a P may prune, in scope and not skipped.

    UsageError for a layer to skip that cannot be pruned, and for a stage without a layer that can.
    """
    every = channel_groups(subject.model, _example(subject), parameters.scope)
    try:
        groups = every.without(parameters.skip)
    except Unprunable as error:
        raise config.wrong(("methods", "P", "skip"), str(error)) from error
    names = [group.name for group in groups]
    if not any(name.startswith(parameters.stage) for name in names):
        there = ", ".join(names) or "none"
        what = f"no layer that can be pruned begins with {parameters.stage}; there are {there}"
        raise config.wrong(("methods", "P", "stage"), what)
    return groups


def baselines_of(config: SearchConfig, subject: Subject) -> Baselines | None:
    """The parts of the pipelines that the search is compared with; None if there are none.

    UsageError or FormatError, before anything is trained, for those that cannot be run.
    """
    kinds = config.baselines.run
    if not kinds:
        return None
    if not config.prune or not config.quantize:
        raise config.wrong(("baselines", "run"), f"{kinds[0].value} needs a P and a Q; give both methods")
    lanes = min((one.lanes for one in config.prune if one.lanes is not None), default=None)
    parameters = replace(config.prune[0], stage="", lanes=lanes)
    context = context_of(config, subject)
    (prune,) = _within_reach([parameters.method(context)], subject)
    if not isinstance(prune, PruneChannels):
        what = f"removes all at once, and the baseline {kinds[0].value} some in each epoch; give channels"
        raise config.wrong(("methods", "P"), what)
    first = config.quantize[0]
    made = Baselines(
        prune=prune,
        groups=context.groups(parameters),
        quantizers=tuple(one.method(context) for one in config.quantize),
        last=replace(first, bits=config.baselines.bits or first.bits).method(context),
        epochs=config.training.epochs,
        quantized_epochs=config.baselines.quantized_epochs,
        latency_share=config.baselines.latency_share or USUAL_SHARE,
        lanes=context.lanes,
        budget=config.latency.budget if config.baselines.latency_share is None else None,
    )
    if Baseline.ORDINARY in kinds:
        made.ordinary()
    if Baseline.GREEDY in kinds and not subject.judge.is_share:
        what = f"greedy weighs lost shares, and {subject.judge.name} is no share; leave it out"
        raise config.wrong(("baselines", "run"), what)
    return made


def deployment_of(config: SearchConfig) -> QuantizeConfig:
    """The quantizer of a state that no Q was chosen for."""
    usual = config.quantize[0] if config.quantize else QuantizeParameters()
    return replace(usual, bits=config.search.deployment).config()


def _within_reach(methods: Sequence[Method], subject: Subject) -> tuple[Method, ...]:
    """The methods; a target that is only a bound is lowered to what the pruners can remove together."""
    pruners = [method for method in methods if isinstance(method, PruneChannels)]
    if all(pruner.required for pruner in pruners):
        return tuple(methods)
    most = joint_reach(pruners, subject.model, _example(subject))
    return tuple(
        replace(m, target=min(m.target, most)) if isinstance(m, PruneChannels) and not m.required else m
        for m in methods
    )


def _example(subject: Subject) -> Tensor:
    """Images (2, C, H, W) float32 to trace the network with."""
    return to_input(subject.dataset.train_images[:2])


def _check_full_layers(config: SearchConfig, subject: Subject) -> None:
    """Raise UsageError for a layer that is to stay at 8 bits and is not there."""
    modules = subject.model.named_modules()
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    layers = {identifier(path) for path, module in modules if isinstance(module, kinds)}
    for parameters in config.quantize:
        settings = parameters.config()
        if settings.layers.keys() <= layers:
            continue
        try:  # some are not modules
            settings.check_layers(capture(subject.model, subject.input_shape).by_name)
        except FormatError as error:
            raise config.wrong(("methods", "Q", "full"), str(error)) from error
