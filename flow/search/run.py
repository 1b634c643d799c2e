"""Compression methods chosen epoch by epoch, by a rule that may be measured latency."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bitlathe.flow.boards.latency import BoardLatency, board_latency
from bitlathe.flow.errors import CheckFailed, UsageError, argument_errors
from bitlathe.flow.files import write_json
from bitlathe.flow.hardware.latency import RTL, unsaved
from bitlathe.flow.hardware.simulation import build_simulator
from bitlathe.flow.network.integer_network import IntegerNetwork, made_of, named
from bitlathe.flow.network.own_file import OWN_MODULE
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.flow.search.about import about
from bitlathe.flow.search.config import SearchConfig
from bitlathe.flow.search.listeners import SearchProgress, TensorBoardLog
from bitlathe.flow.search.report import write_report
from bitlathe.flow.search.request import ExecutorKind, SearchRequest
from bitlathe.flow.search.results import SearchResult, comparisons, training_cost
from bitlathe.flow.search.setup import Setup, baselines_of, set_up
from bitlathe.hls.target.config import Target
from bitlathe.model.compress import GivenNetwork
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.graph import proof
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.product.live import network_of
from bitlathe.model.search import (
    Baseline,
    Checkpoint,
    Executor,
    Lab,
    LabSpec,
    Ladder,
    LocalProcesses,
    Rule,
    Search,
    SeenState,
    Sequential,
    Strategy,
)
from bitlathe.model.search.checkpoint import CHECKPOINT
from bitlathe.model.search.strategies import owed
from bitlathe.model.train import METRICS, Task, score

RESULT, NETWORK = "result.json", "network.blg"
ALGORITHM = "search"  # name of the pipeline that is not a baseline


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FinishedSearch:
    """A search, what it is compared with, and its report."""

    result: SearchResult
    baselines: tuple[SearchResult, ...]
    report: Path
    integer_network: IntegerNetwork  # that the last epoch left, which `compile` and `simulate` take

    @property
    def network(self) -> Path:
        """Its file, which `load_quantized` reads."""
        return self.report.with_name(NETWORK)

    @property
    def history(self) -> tuple[str, ...]:
        """The method that each epoch chose."""
        return self.result.choices

    @property
    def score(self) -> float:
        """What the metric says of its integers for the test images."""
        return self.result.test_score

    @property
    def accuracy(self) -> float | None:
        """Share of the test images that its integers recognise, 0..1; None where the metric is not top-1."""
        return self.result.test_accuracy

    @property
    def cycles(self) -> int:
        """Cycles an image, as the search measured them."""
        return self.result.now.cycles

    def check(self) -> None:
        """Raise CheckFailed where the network found misses its budget."""
        if not self.result.meets_budget:
            raise CheckFailed(
                f"search: {self.result.verdict}; give more epochs, let P take more, or a larger budget"
            )

    def __repr__(self) -> str:
        was, now = self.result.reference.cycles, self.cycles
        metric = self.result.metric
        return (
            f"{self.result.name} on {self.result.dataset}: {metric.title} {metric.said(self.score)}, {was:,} "
            f"cycles before, {now:,} after {len(self.result.records)} epochs; {self.report}"
        )

    def to_json(self) -> dict[str, object]:
        """The object that --json prints."""
        rows = [baseline.to_json() for baseline in self.baselines]
        return {**self.result.to_json(), "baselines": rows, "report": str(self.report)}


def run_search(request: SearchRequest, progress: Progress = silent) -> FinishedSearch:
    """Search, run the baselines, look at the test images once each, and write the report.

    Raises UsageError for a bad configuration or folder, and what the search raises; every finished epoch is
    on disk then.
    """
    setup = set_up(_seeded(request.config, request.seed), request.data, progress)
    check_folder(request.out, request.resume)
    tell_normalization(setup.subject, progress)
    pipelines = baselines_of(setup.config, setup.subject)
    lab = Lab(setup.spec)
    if setup.subject.judge.name not in METRICS:  # the user's own is tried before anything is trained
        score(setup.subject.model, lab.data.held_images, lab.data.held_labels, setup.subject.judge)

    def show(done: int, total: int) -> None:
        progress(Advance("knapsack: measuring", done, total))

    with boards_of(request) as boards, executor_of(request, lab) as executor:
        ladder = setup.ladder(boards)
        if RTL in ladder.names:
            build_simulator(setup.target, progress)
        if not (request.out / CHECKPOINT).exists():
            setup.check_reachable(ladder.highest)
        runner = _Runner(
            setup=setup,
            lab=lab,
            ladder=ladder,
            executor=executor,
            resume=request.resume,
            progress=progress,
            original_score=_original_score(setup.subject, progress),
        )
        result, network = runner.run(None, setup.strategy, setup.rule, request.out)
        baselines = []
        for kind in setup.config.baselines.run:
            assert pipelines is not None
            strategy = pipelines.strategy(kind, lab, ladder, result.reference, show)
            folder = request.out / "baselines" / kind.value
            rule = kind.rule(setup.rule, setup.subject.judge)
            baselines.append(runner.run(kind, strategy, rule, folder)[0])
    origin = about(request, setup, result)
    report = write_report(request.out, result, baselines, origin, network.pictures())
    return FinishedSearch(result=result, baselines=tuple(baselines), report=report, integer_network=network)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runner:
    """Runs pipelines on one lab and one ladder."""

    setup: Setup
    lab: Lab
    ladder: Ladder
    executor: Executor
    resume: bool
    progress: Progress
    original_score: float | None  # on the test images, as `SearchResult` says

    def run(
        self, kind: Baseline | None, strategy: Strategy, rule: Rule, folder: Path
    ) -> tuple[SearchResult, IntegerNetwork]:
        """One pipeline, the search itself or a baseline, to its end and to the test images."""
        config, name = self.setup.config, ALGORITHM if kind is None else kind.value
        with ExitStack() as stack:
            bar = SearchProgress(
                progress=self.progress,
                name=name,
                epochs=self.setup.spec.settings.epochs,
                metric=self.setup.subject.judge,
            )
            log = stack.enter_context(TensorBoardLog.at(folder / "tensorboard"))
            search = Search(
                lab=self.lab,
                strategy=strategy,
                rule=rule,
                ladder=self.ladder,
                executor=self.executor,
                settings=config.search,
                folder=folder,
                identity=config.identity(self.ladder.names, kind, self.lab.dataset),
                budget=config.budget,
                is_held=config.latency.budget is not None,
                listeners=(bar, log),
            )
            checkpoint = search.run(self.resume)
            found = search.result(checkpoint)
        if missed := owed(strategy.methods, found.state):
            what = f"the methods' targets are missed, by {missed} epochs; aim lower or give more epochs"
            self.progress(Note(f"{name}: {what}"))
        return self._finished(name, checkpoint, found, folder)

    def _finished(
        self, name: str, checkpoint: Checkpoint, found: SeenState, folder: Path
    ) -> tuple[SearchResult, IntegerNetwork]:
        """Deploy the state found and look at the test images."""
        spec, data, dataset = self.lab.spec, self.lab.data, self.lab.dataset
        metric = spec.task.metric
        view = integer_view(found.state, data, spec.deployment)
        made = network_of(view)
        graph = named(made.graph, self.setup.subject, made.preprocess)
        before_view = integer_view(self.lab.first_state(), data, spec.deployment)
        before = before_view.network()
        proof.check(graph)
        network = made_of(self.setup.subject, graph, made.preprocess)
        network.save(folder / NETWORK)
        result = SearchResult(
            name=name,
            dataset=dataset.name,
            normalization=str(self.setup.subject.weights.normalization),
            target=self.setup.target.name,
            metric=metric,
            original_score=self.original_score,
            before_score=score(before_view, dataset.test_images, dataset.test_labels, metric),
            test_score=score(view, dataset.test_images, dataset.test_labels, metric),
            reference=checkpoint.reference,
            now=found.measures,
            found_epoch=found.epoch,
            found_method=found.method,
            budget=self.setup.config.budget,
            records=checkpoint.records,
            removed_channels=found.state.removed_channels,
            training_cost=training_cost(checkpoint, data.steps),
            graph=graph_digest(graph),
            **comparisons(before.graph, graph, self.setup.target),
        )
        write_json(folder / RESULT, result.to_json())
        seen = f"{result.metric.title} {result.metric.said(result.test_score)} on the test images"
        self.progress(Note(f"{name}: {seen}, {result.now.cycles:,} cycles"))
        for line in told(result, self.setup.target):
            self.progress(Note(f"{name}: {line}"))
        return result, network


def told(result: SearchResult, target: Target) -> list[str]:
    """What a budget has to do with the network found, and what pruning did not save, a line each."""
    lines = [] if result.verdict is None else [result.verdict]
    if result.found_epoch != len(result.records):
        epoch = result.found_epoch
        made = f"from epoch {epoch}, by {result.found_method}" if epoch else "the one before the search"
        lines.append(f"the network is {made}: the best of those seen that met the budget")
    before, now = ((measures.macs, measures.cycles) for measures in (result.reference, result.now))
    return [*lines, *filter(None, [unsaved(before, now, target)])]


def _original_score(subject: Subject, progress: Progress) -> float | None:
    """What the metric says of a quantized ONNX file, whose integers no search keeps; None of others."""
    if subject.quantized_file is None:
        return None
    dataset, metric = subject.dataset, subject.judge
    found = subject.score(dataset.test_images, dataset.test_labels, metric)
    said = f"{metric.title} {metric.said(found)} on the test images as the file computes"
    progress(Note(f"{subject.network}: {said}; the search trains its values, and quantizes those"))
    return found


def _seeded(config: SearchConfig, seed: int | None) -> SearchConfig:
    with argument_errors():
        return config if seed is None else replace(config, training=replace(config.training, seed=seed))


def check_folder(out: Path, resume: bool) -> None:
    """Raise UsageError where a search would write over another, or over anything else."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder")
    if not out.exists() or not any(out.iterdir()) or resume:
        return
    if (out / CHECKPOINT).exists():
        raise UsageError(f"{out}: holds a search; continue it with `resume=True`, or name another folder")
    raise UsageError(f"{out}: holds files that are not a search's; name a new or empty folder")


@contextmanager
def boards_of(request: SearchRequest) -> Iterator[BoardLatency | None]:
    """The boards named, for the time of the block; None if there are none."""
    if not request.boards:
        yield None
        return
    with board_latency(request.boards, token_file=request.token_file, overlay=request.overlay) as boards:
        yield boards


@contextmanager
def executor_of(request: SearchRequest, lab: Lab) -> Iterator[Executor]:
    """The executor asked for, closed after the block."""
    executor = _new_executor(request, lab)
    try:
        yield executor
    finally:
        executor.close()


def _new_executor(request: SearchRequest, lab: Lab) -> Executor:
    if request.executor is ExecutorKind.SEQUENTIAL:
        return Sequential(lab)
    _check_sendable(request.executor, lab.spec)
    if request.executor is ExecutorKind.LOCAL:
        return LocalProcesses(lab.spec, request.workers)
    from bitlathe.model.search.ray_executor import RayExecutor  # Ray is optional

    return RayExecutor(lab.spec, workers=request.workers, address=request.ray_address)


def _check_sendable(executor: ExecutorKind, spec: LabSpec) -> None:
    """Raise UsageError for a network, a loss or a metric handed in that other processes cannot read."""
    _check_function(executor, spec.task)
    architecture = spec.architecture
    if not isinstance(architecture, GivenNetwork):
        return
    try:
        pickle.dumps(architecture)
        kinds = [type(each) for each in architecture.model.modules()]
        of_file = [kind for kind in kinds if kind.__module__.startswith(OWN_MODULE)]
        why = f"{of_file[0].__name__} is in a file that they do not import" if of_file else ""
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        why = str(error)
    if why:
        raise UsageError(
            f"`executor={executor.value}`: its processes cannot be sent the network ({why}); give one whose "
            "classes stand in a module that they import, or `executor=sequential`"
        )


def _check_function(executor: ExecutorKind, task: Task) -> None:
    for what, each in (("loss", task.loss), ("metric", task.metric)):
        try:
            pickle.dumps(each)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UsageError(
                f"`executor={executor.value}`: its processes cannot be sent the {what} ({error}); give "
                "FILE.py:FUNCTION or a function of a module that they import, or `executor=sequential`"
            ) from error
