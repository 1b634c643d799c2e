"""Compressing networks: by methods in a given order, or by those that a search chooses."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from bitlathe.flow.api.datasets import DatasetSource
from bitlathe.flow.api.hardware import TARGET
from bitlathe.flow.api.networks import load_network, subject_of
from bitlathe.flow.boards.latency import refuse_unread
from bitlathe.flow.compress.run import Compression, CompressOptions
from bitlathe.flow.compress.run import compress as carry_out
from bitlathe.flow.errors import UsageError, member_of, refuse_idle
from bitlathe.flow.hardware.latency import budget_of
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.network.task import FunctionSource
from bitlathe.flow.network.teacher import teacher_of, with_teacher
from bitlathe.flow.progress import Progress, silent
from bitlathe.flow.search.config import NetworkSection, SearchConfig, config_of, read_config
from bitlathe.flow.search.request import WORKERS, ExecutorKind, SearchRequest
from bitlathe.flow.search.run import FinishedSearch, run_search
from bitlathe.hls.target.config import find_target
from bitlathe.model.compress.methods import MethodParameters
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import LatencyBudget
from bitlathe.model.train.teacher import Teacher

TOML = ".toml"  # how a name ends that is a search's file


def compress(
    network: Subject | str | nn.Module,
    methods: str | Sequence[str],
    out: str | Path | None = None,
    *,
    dataset: DatasetSource | None = None,
    target: str = TARGET,
    budget_ms: float | None = None,
    budget_cycles: int | None = None,
    metric: FunctionSource | None = None,
    loss: FunctionSource | None = None,
    teacher: Subject | None = None,
    teacher_share: float = 0.5,
    teacher_temperature: float = 4.0,
    weight_bits: int = 8,
    activation_bits: int = 8,
    lr: float = 0.01,
    batch_size: int = 128,
    augment: bool = False,
    epoch_images: int | None = None,
    held_out: int = 1000,
    images: int | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = silent,
) -> Compression:
    """Prune, quantize and train a network by methods one after the other; the network given stays as it is.

    Args:
        network: what `load_network` gives or takes.
        methods: NAME:KEY=VALUE,..., in order, such as "prune:macs=0.3,epochs=2" and "quantize:weights=4";
            docs/command_line.md lists them.
        out: folder of the network in every form and of the state to resume; nothing is kept if not given.
        dataset: what `load_dataset` takes, for a network that was not loaded with one.
        target: whose cycles are predicted.
        budget_ms, budget_cycles: one of them, the most that an image may take. `check()` of the result raises
            CheckFailed where it is missed.
        metric, loss: what judges and what trains it, as in `load_network`.
        teacher: a trained network of the same classes, as `load_network` gives it, whose answers are learned
            too (distillation).
        teacher_share, teacher_temperature: its share of the loss, and what scores are divided by before they
            become probabilities.
        weight_bits, activation_bits: of the integers, where no method says otherwise.
        lr, batch_size, augment: highest learning rate, images a step, whether images are shifted and
            mirrored.
        epoch_images: training images of an epoch; None: all.
        held_out: training images, the last ones, that no method sees.
        images: test images that the metric is measured on; None: all.
        seed: of the order of images and all else that is random.
        resume: continue from the state in `out`.
        progress: is called with how many steps are done.

    Returns:
        Accuracy or another metric, parameters, multiply-accumulates, bytes and cycles before and after, both
        as integers, and `integer_network`, which `compile` and `simulate` take.

    Raises:
        UsageError: a method that is not known or does not fit, a folder that holds other files.
        FormatError, PruneError: settings out of range, a budget that cannot be met.
        Diverged: the loss became infinite or NaN; `out` keeps the state before.
    """
    options = CompressOptions(
        methods=(methods,) if isinstance(methods, str) else tuple(methods),
        lr=lr,
        batch_size=batch_size,
        augment=augment,
        epoch_images=epoch_images,
        held_out=held_out,
        images=images,
        seed=seed,
        resume=resume,
    )
    budget = budget_of(budget_ms, budget_cycles)
    config = QuantizeConfig(weight_bits=weight_bits, activation_bits=activation_bits)
    subject = subject_of(network, dataset, progress).with_task(metric, loss)
    subject = with_teacher(subject, _teacher(teacher, teacher_share, teacher_temperature))
    with ExitStack() as stack:
        folder = out or stack.enter_context(tempfile.TemporaryDirectory(prefix="bitlathe-"))
        return carry_out(subject, config, options, find_target(target), Path(folder), progress, budget)


def search(
    network: Subject | str | Path | nn.Module,
    out: str | Path,
    *,
    methods: Sequence[MethodParameters] = (),
    epochs: int | None = None,
    dataset: DatasetSource | None = None,
    rule: str | None = None,
    rule_parameters: Mapping[str, Any] | None = None,
    target: str | None = None,
    budget_ms: float | None = None,
    budget_cycles: int | None = None,
    metric: FunctionSource | None = None,
    loss: FunctionSource | None = None,
    teacher: Subject | None = None,
    teacher_share: float = 0.5,
    teacher_temperature: float = 4.0,
    baselines: Sequence[str] = (),
    seed: int | None = None,
    resume: bool = False,
    data: str | Path | None = None,
    boards: Sequence[str] = (),
    token_file: str | Path | None = None,
    overlay: str | Path | None = None,
    executor: str = ExecutorKind.SEQUENTIAL.value,
    workers: int | None = None,
    ray_address: str | None = None,
    progress: Progress = silent,
    **settings: Any,
) -> FinishedSearch:
    """Choose pruning and quantization epoch by epoch, by a rule such as measured latency (Algorithm 1).

    Args:
        network: what `load_network` gives or takes; it stays as it is. Or FILE.toml, which says all that
            `methods` to `baselines` and `settings` say here; docs/search.md describes it.
        out: folder of network.blg, choices, every epoch's state, and the report index.html.
        methods: what each epoch chooses from: `PruneParameters`, `QuantizeParameters`, `PruneWeights`,
            `ProductParameters`, `Train`.
        epochs: of the whole search.
        dataset: what `load_dataset` takes, for a network that was not loaded with one.
        rule: what decides, a name of docs/search.md or MODULE:FUNCTION; "feasible" if not given, "budget"
            with a budget.
        rule_parameters: what the rule aims at, such as {"delta": 0.01}, how much of the metric may be lost.
        target: board whose latency counts; pynq-z2 if not given.
        budget_ms, budget_cycles: one of them, the most that an image may take; instead of a file's. `check()`
            of the result raises CheckFailed where it is missed.
        metric, loss: what judges and what trains networks, as in `load_network`; by name or FILE.py:FUNCTION
            also instead of a file's.
        teacher, teacher_share, teacher_temperature: as in `compress`.
        baselines: pipelines to compare with: "ordinary", "greedy", "knapsack".
        seed: of the order of images and all else that is random; 0, or what the file says.
        resume: go on from the last epoch in `out`.
        data: folder of the data sets that have names.
        boards: HOST[:PORT] or sim://BOARD, which measure latency; several share the work.
        token_file, overlay: of real boards, as in `measure`.
        executor: who trains candidates: "sequential", "local" (processes here) or "ray".
        workers, ray_address: of the last two; 2 workers if not given.
        progress: hears of epochs and candidates.
        settings: other keys of the file's [training], [search], [latency] and [baselines] by their names,
            such as lr=0.02, held_out=300, probe=0.3, rungs=["cycle-model"].

    Returns:
        Accuracy or another metric, and cycles of the last epoch, what each epoch chose (`history`), the
        network found (`integer_network`, and its file `network`), the baselines, and the report's path.

    Raises:
        UsageError: an argument or a configuration that does not fit; a folder that holds a search.
        FormatError: what a configuration's file has wrong, with file, line and key.
        DataError, MissingData, ToolError: what network, data set and boards raise.
    """
    trains = member_of(ExecutorKind, "executor", executor)
    budget = budget_of(budget_ms, budget_cycles)
    refuse_idle("boards", bool(boards), token_file=token_file, overlay=overlay)
    refuse_unread(boards, overlay=overlay, token_file=token_file)
    refuse_idle("executor=local", trains is not ExecutorKind.SEQUENTIAL, workers=workers)
    refuse_idle("executor=ray", trains is ExecutorKind.RAY, ray_address=ray_address)
    root, task = None if data is None else Path(data), {"metric": metric, "loss": loss}
    given = {**settings, **_not_none({"epochs": epochs, "target": target, "baselines": baselines})}
    if isinstance(network, Path) or (isinstance(network, str) and network.endswith(TOML)):
        given |= {"methods": methods, "dataset": dataset, "rule": rule, "rule_parameters": rule_parameters}
        given |= {"teacher": teacher}
        config = _config_of_file(network, budget, task, given)
    else:
        by_name = teacher is None and all(isinstance(each, str | None) for each in task.values())
        named = _named_or_loaded(network, dataset, root, seed or 0, progress, by_name)
        if isinstance(named, Subject):  # an object has its task with it
            taught_by = _teacher(teacher, teacher_share, teacher_temperature)
            named, task = with_teacher(named.with_task(**task), taught_by), {}
        config = _config_of_call(named, methods, rule, rule_parameters, budget, task, given)
    request = SearchRequest(
        config=config,
        out=Path(out),
        resume=resume,
        seed=seed,
        data=root,
        boards=tuple(boards),
        token_file=None if token_file is None else Path(token_file),
        overlay=None if overlay is None else Path(overlay),
        executor=trains,
        workers=WORKERS if workers is None else workers,
        ray_address=ray_address,
    )
    return run_search(request, progress)


def _config_of_file(
    file: str | Path,
    budget: LatencyBudget | None,
    task: Mapping[str, FunctionSource | None],
    beside: Mapping[str, Any],
) -> SearchConfig:
    """A file's configuration, with the budget and what `task` names in place of its own.

    Raises UsageError for functions, and for anything `beside` that the file says.
    """
    names = {key: value for key, value in task.items() if isinstance(value, str)}
    _check_alone(file, {**beside, **{key: value for key, value in task.items() if key not in names}})
    return read_config(Path(file), {**(budget.as_setting if budget else {}), **names})


def _config_of_call(
    network: NetworkSection | Subject,
    methods: Sequence[MethodParameters],
    rule: str | None,
    rule_parameters: Mapping[str, Any] | None,
    budget: LatencyBudget | None,
    task: Mapping[str, FunctionSource | None],
    given: Mapping[str, Any],
) -> SearchConfig:
    """The configuration that the arguments make."""
    said = {**given, **_not_none(task), **(budget.as_setting if budget else {})}
    return config_of(network, methods, rule, rule_parameters or {}, said)


def _teacher(trained: Subject | None, share: float, temperature: float) -> Teacher | None:
    return None if trained is None else teacher_of(trained, share, temperature)


def _not_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _check_alone(file: str | Path, arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument beside a file that says it."""
    if beside := [key for key, value in arguments.items() if value not in (None, ())]:
        raise UsageError(f"`{beside[0]}`: {file} says it; write it there, or give a network and no file")


def _named_or_loaded(
    network: Subject | str | nn.Module,
    dataset: DatasetSource | None,
    data: Path | None,
    seed: int,
    progress: Progress,
    by_name: bool,
) -> NetworkSection | Subject:
    """Names as a file has them, or the network itself where anything is an object and not named."""
    if isinstance(network, Subject):
        return subject_of(network, dataset)
    if by_name and isinstance(network, str) and (dataset is None or isinstance(dataset, str)):
        return NetworkSection(name=network, dataset=dataset)
    return load_network(network, dataset, data=data, seed=seed, progress=progress)
