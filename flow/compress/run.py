"""Methods one after the other, and what the network takes before and after."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from itertools import count
from pathlib import Path

from bitlathe.flow.compress.stages import Chosen, chosen
from bitlathe.flow.errors import CheckFailed, UsageError, argument_errors
from bitlathe.flow.files import check_replaceable, write_json
from bitlathe.flow.hardware.latency import CycleModelRung, check_reachable, unsaved
from bitlathe.flow.network.integer_network import IntegerNetwork, made_of, named, preprocess_path
from bitlathe.flow.network.judged import values_of_codes
from bitlathe.flow.network.quantize_settings import layer_word
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.hls.target.config import Target
from bitlathe.model.compress import Diverged, GivenNetwork, Method, MethodContext, MethodData
from bitlathe.model.compress.methods import PruneParameters
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import State, fresh_state, load
from bitlathe.model.data import Images, Labels, to_input
from bitlathe.model.graph import proof
from bitlathe.model.graph.files.account import Account
from bitlathe.model.graph.files.archive import graph_digest, write_graph
from bitlathe.model.graph.files.compact import save_compact
from bitlathe.model.graph.files.storage import make_folder, writable
from bitlathe.model.graph.graph import Graph
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.product.live import network_of
from bitlathe.model.prune.channels.groups import ChannelGroups, channel_groups
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize
from bitlathe.model.search import LatencyBudget
from bitlathe.model.train import TaskMetric, TrainConfig
from bitlathe.model.train.config import Schedule

STATE_NAME, GRAPH_NAME, COMPACT_NAME, ACCOUNT_NAME = "state.pt", "network.blg", "network.blgc", "account.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressOptions:
    """How a network is trained under its methods."""

    methods: tuple[str, ...]  # NAME:KEY=VALUE,...
    lr: float = 0.01
    batch_size: int = 128
    augment: bool = False
    epoch_images: int | None = None  # training images an epoch takes; None: all
    held_out: int = 1000  # training images that no method sees
    images: int | None = None  # test images that the metric is measured on; None: all
    seed: int = 0
    resume: bool = False

    @property
    def shaping(self) -> dict[str, object]:
        """All settings that the network depends on, as plain values.

        Without the learning rate: a run that diverged may go on with a lower one.
        """
        return {
            "methods": list(self.methods),
            "batch_size": self.batch_size,
            "augment": self.augment,
            "epoch_images": self.epoch_images,
            "held_out": self.held_out,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A network's measures."""

    score: float  # of its integers, by the metric
    parameters: int
    nonzero: int
    macs: int
    float_bytes: int
    file_bytes: int
    parts: Mapping[str, int]  # of the file, bytes by kind of content
    cycles: int  # predicted, of one image


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compression:
    """The methods applied and what they gained; all but the network is the row that --json prints."""

    network: str
    dataset: str
    target: str
    methods: tuple[str, ...]
    images: int
    metric: TaskMetric
    score_float: float  # before
    before: Size  # quantized as the options say, and nothing else
    after: Size
    latency_ms: float  # after
    budget: LatencyBudget | None  # that it must meet
    graph: str  # digest
    out: str
    integer_network: IntegerNetwork = field(compare=False)  # the network itself

    @property
    def score(self) -> float:
        """What the metric says of its integers."""
        return self.after.score

    @property
    def accuracy_float(self) -> float | None:
        """The float score before where the metric is top-1, 0..1; else None."""
        return self.metric.accuracy(self.score_float)

    @property
    def accuracy(self) -> float | None:
        """Share of the test images that its integers recognise, 0..1; None where the metric is not top-1."""
        return self.metric.accuracy(self.score)

    @property
    def cycles(self) -> int:
        """Cycles an image on the target, predicted."""
        return self.after.cycles

    def __repr__(self) -> str:
        old, new = self.before, self.after
        return (
            f"{self.network} on {self.dataset}, compressed: {self.metric.title} "
            f"{self.metric.said(old.score)} to {self.metric.said(new.score)}, "
            f"{old.file_bytes:,} bytes to {new.file_bytes:,}, {old.cycles:,} cycles to {new.cycles:,} "
            f"on {self.target}"
        )

    @property
    def verdict(self) -> str | None:
        """The budget and whether it was met, in words; None without one."""
        if self.budget is None:
            return None
        return f"budget of {self.budget} {self.budget.verdict(self.cycles, self.latency_ms)}"

    def check(self) -> None:
        """Raise CheckFailed where the network misses its budget."""
        if self.budget is not None and not self.budget.is_met(self.cycles, self.latency_ms):
            raise CheckFailed(f"{self.network}: {self.verdict}; prune more, by latency=SHARE, or give more")

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.compare}
        return {
            **plain,
            "metric": self.metric.name,
            "accuracy_float": self.accuracy_float,
            "before": self._plain(self.before),
            "after": self._plain(self.after),
            "budget": self.budget and self.budget.to_json(self.cycles, self.latency_ms),
        }

    def _plain(self, size: Size) -> dict[str, object]:
        return {"accuracy": self.metric.accuracy(size.score), **asdict(size)}


def compress(
    subject: Subject,
    config: QuantizeConfig,
    options: CompressOptions,
    target: Target,
    out: Path,
    progress: Progress = silent,
    budget: LatencyBudget | None = None,
) -> Compression:
    """Apply the methods, write the network into `out` in every form, and return sizes before and after.

    A budget that they cannot reach is refused before anything is trained; `check()` of the result tells of
    one that is missed. The subject's own network stays as it is. Errors: those of the methods, UsageError for
    methods, a budget or a folder that do not fit.
    """
    if not options.methods:
        raise UsageError("nothing to do: give `methods` once or more")
    every = [chosen(text, config) for text in options.methods]
    check_folder(out, options.resume)
    subject.check_trains()
    tell_normalization(subject, progress)
    for line in _left_whole(every, subject):
        progress(Note(line))
    recipe = _recipe(every, subject, config, target, budget)
    data, shown, metric = subject.dataset, options.images, subject.judge
    images, labels = data.test_images[:shown], data.test_labels[:shown]
    float_before = subject.score(images, labels, metric)
    before = quantize(subject.model, data.train_images, config, classifies=subject.classifies)
    with writable(out):
        network = _compressed(subject, config, options, recipe, out, progress)
        graph = named(network.graph, subject, network.preprocess)
        _write(graph, network.preprocess, out)
    sizes = [_size(g, network.preprocess, target, images, labels, metric) for g in (before.graph, graph)]
    result = Compression(
        network=subject.network,
        dataset=data.name,
        target=target.name,
        methods=options.methods,
        images=len(labels),
        metric=metric,
        score_float=float_before,
        before=sizes[0],
        after=sizes[1],
        latency_ms=target.milliseconds(sizes[1].cycles),
        budget=budget,
        graph=graph_digest(graph),
        out=str(out),
        integer_network=made_of(subject, graph, network.preprocess, file=out / GRAPH_NAME, config=config),
    )
    write_json(out / ACCOUNT_NAME, result.to_json())
    was, now = ((size.macs, size.cycles) for size in sizes)
    if unsaved_line := unsaved(was, now, target):
        progress(Note(unsaved_line))
    return result


def _recipe(
    every: Sequence[Chosen],
    subject: Subject,
    config: QuantizeConfig,
    target: Target,
    budget: LatencyBudget | None,
) -> Recipe:
    """The methods for this network; UsageError for a budget that they cannot reach."""
    rung = CycleModelRung(target=target)
    context = MethodContext(
        groups=partial(_groups, subject), quantization=config, lanes=target.engine.pi, cycles=rung.cycles
    )
    stages = tuple(RecipeStage(method=one.parameters.method(context), epochs=one.epochs) for one in every)
    if budget is not None:
        check_reachable(budget, subject, [stage.method for stage in stages], [config], rung, target)
    return Recipe(stages=stages)


def _left_whole(every: Sequence[Chosen], subject: Subject) -> list[str]:
    """A line for each reason why `prune` leaves layers as they are."""
    pruners = {p.scope: p for one in every if isinstance(p := one.parameters, PruneParameters)}
    return [line for pruner in pruners.values() for line in _groups(subject, replace(pruner, skip=())).told()]


def _groups(subject: Subject, parameters: PruneParameters) -> ChannelGroups:
    """Groups of channels that a P may prune, in scope and not skipped."""
    example = to_input(subject.dataset.train_images[:2])
    return channel_groups(subject.model, example, parameters.scope).without(parameters.skip)


def check_folder(out: Path, resume: bool) -> None:
    """Raise UsageError where a run would write among files that are not ours, or over an interrupted run."""
    if (out / STATE_NAME).exists() and not (out / ACCOUNT_NAME).exists() and not resume:
        raise UsageError(
            f"{out}: holds a compression that was interrupted; continue it with `resume=True`, "
            "or name another folder"
        )
    check_replaceable(out, ACCOUNT_NAME, STATE_NAME)


def _compressed(
    subject: Subject,
    config: QuantizeConfig,
    options: CompressOptions,
    recipe: Recipe,
    out: Path,
    progress: Progress,
) -> QuantizedNetwork:
    """The network after the recipe, continued from the state in `out` if asked for."""
    settings = _settings(options, recipe.epochs)
    data = MethodData.split(
        subject.dataset,
        held_out=options.held_out,
        batch_size=options.batch_size,
        augment=options.augment,
        epoch_images=options.epoch_images,
        loss=subject.task.loss,
        teacher=subject.teacher,
    )
    make_folder(out)
    kept = _Kept(path=out / STATE_NAME, identity=_identity(subject, config, options))
    if options.resume and kept.path.exists():
        state = load(kept.path, GivenNetwork(model=subject.model), settings, kept.identity)
        kept.is_there = True
    else:
        state = fresh_state(copy.deepcopy(subject.model), settings)
    done = count(state.epoch * data.steps + 1)
    steps = recipe.epochs * data.steps

    def stepped() -> None:
        progress(Advance(f"{subject.network}: training", next(done), steps))

    def told(method: Method) -> None:
        progress(Note(f"{method.name}: changes nothing; what it aims at is met by the methods before it"))

    with kept.named_in_errors():
        state = follow(recipe, state, data, settings, kept.save, stepped, told)
    kept.save(state)
    if state.quantization is None:  # nothing was trained as integers: calibrate, biases corrected
        return quantize(state.model.eval(), data.train_images, config, classifies=subject.classifies)
    return network_of(integer_view(state, data, state.quantization.config))


def _identity(subject: Subject, config: QuantizeConfig, options: CompressOptions) -> dict[str, object]:
    """Plain values that must be equal for a run to be resumed."""
    return {
        "network": subject.network,
        "dataset": subject.dataset.identity,
        "normalization": str(subject.weights.normalization),
        "seed": options.seed,
        "weight_bits": config.weight_bits,
        "activation_bits": config.activation_bits,
        "per_channel": config.per_channel,
        "calibration_images": config.calibration_images,
        "rounding": config.rounding.value,
        "layers": [layer_word(name, bits) for name, bits in config.layers.items()],
        **options.shaping,
        **subject.task.shaping,
        "weights": subject.digest,  # last: of random ones the seed says more
    }


@dataclass(slots=True, kw_only=True)
class _Kept:
    """Where a run's last good state is."""

    path: Path
    identity: Mapping[str, object]
    is_there: bool = False  # this run's, not an earlier one's

    def save(self, state: State) -> None:
        """Write it over the one before; the stale account of an earlier run is deleted first."""
        self.path.with_name(ACCOUNT_NAME).unlink(missing_ok=True)
        state.save(self.path, self.identity)
        self.is_there = True

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Add the place of the last good state to the error of a training that diverged."""
        try:
            yield
        except Diverged as error:
            kept = f"{self.path} keeps the state before, `resume=True` continues from it"
            raise Diverged(f"{error}; {kept if self.is_there else 'nothing was kept'}") from error


def _settings(options: CompressOptions, epochs: int) -> TrainConfig:
    with argument_errors():
        return TrainConfig(
            epochs=max(1, epochs),
            batch_size=options.batch_size,
            lr=options.lr,
            schedule=Schedule.COSINE,
            augment=options.augment,
            seed=options.seed,
        )


def _write(graph: Graph, preprocess: Preprocess, out: Path) -> None:
    proof.check(graph)
    write_graph(graph, out / GRAPH_NAME)
    save_compact(graph, out / COMPACT_NAME)
    preprocess.save(preprocess_path(out / GRAPH_NAME))  # the compact file's too, whose stem is the same


def _size(
    graph: Graph,
    preprocess: Preprocess,
    target: Target,
    images: Images,
    labels: Labels,
    metric: TaskMetric,
) -> Size:
    account = Account.of(graph)
    return Size(
        score=metric(values_of_codes(graph, evaluator(graph)(preprocess.codes(images))), labels),
        parameters=account.parameters,
        nonzero=account.nonzero,
        macs=account.macs,
        float_bytes=account.float_bytes,
        file_bytes=account.file_bytes,
        parts=account.parts,
        cycles=CycleModelRung(target=target).cost(graph).cycles,
    )
