"""Compressing networks: by methods in a given order, or by those that a search chooses."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from torch import nn

from bitlathe.flow.api.datasets import DatasetSource
from bitlathe.flow.api.hardware import TARGET
from bitlathe.flow.api.networks import subject_of
from bitlathe.flow.compress.run import Compression, CompressOptions
from bitlathe.flow.compress.run import compress as carry_out
from bitlathe.flow.errors import member_of
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.progress import Progress, silent
from bitlathe.flow.search.run import ExecutorKind, FinishedSearch, SearchRequest, run_search
from bitlathe.hls.target.config import find_target
from bitlathe.model.quantize.config import QuantizeConfig


def compress(
    network: Subject | str | nn.Module,
    methods: str | Sequence[str],
    out: str | Path | None = None,
    *,
    dataset: DatasetSource | None = None,
    target: str = TARGET,
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
        network: what `load_network` gives or takes, with one output per class.
        methods: NAME:KEY=VALUE,..., in order, such as "prune:macs=0.3,epochs=2" and "quantize:weights=4";
            docs/command_line.md lists them.
        out: folder of the network in every form and of the state to resume; nothing is kept if not given.
        dataset: what `load_dataset` takes, for a network that was not loaded with one.
        target: whose cycles are predicted.
        weight_bits, activation_bits: of the integers, where no method says otherwise.
        lr, batch_size, augment: highest learning rate, images a step, whether images are shifted and
            mirrored.
        epoch_images: training images of an epoch; None: all.
        held_out: training images, the last ones, that no method sees.
        images: test images that accuracy is measured on; None: all.
        seed: of the order of images and all else that is random.
        resume: continue from the state in `out`.
        progress: is called with how many steps are done.

    Returns:
        Accuracy, parameters, multiply-accumulates, bytes and cycles before and after, both as integers, and
        `integer_network`, which `compile` and `simulate` take.

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
    config = QuantizeConfig(weight_bits=weight_bits, activation_bits=activation_bits)
    subject = subject_of(network, dataset, progress)
    with ExitStack() as stack:
        folder = out or stack.enter_context(tempfile.TemporaryDirectory(prefix="bitlathe-"))
        return carry_out(subject, config, options, find_target(target), Path(folder), progress)


def search(
    config: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    seed: int | None = None,
    data: str | Path | None = None,
    boards: Sequence[str] = (),
    token_file: str | Path | None = None,
    overlay: str | Path | None = None,
    executor: str = ExecutorKind.SEQUENTIAL.value,
    workers: int = 2,
    ray_address: str | None = None,
    progress: Progress = silent,
) -> FinishedSearch:
    """Choose pruning and quantization epoch by epoch, by a rule such as measured latency (Algorithm 1).

    Args:
        config: TOML file of network, data set, methods and rule; docs/search.md describes it.
        out: folder of network.blg, choices, every epoch's state, and the report index.html.
        resume: continue from the last epoch in `out`.
        seed: instead of the configuration's.
        data: folder of the data sets that have names.
        boards: HOST[:PORT] or sim://BOARD, which measure latency; several share the work.
        token_file, overlay: of real boards, as in `measure`.
        executor: who trains candidates: "sequential", "local" (processes here) or "ray".
        workers, ray_address: of the last two.
        progress: is called with epochs and candidates.

    Returns:
        The measures of the last epoch, those of the baselines, and the report's path.

    Raises:
        UsageError: a configuration that does not fit, with file, line and key; a folder that holds a search.
        DataError, MissingData, ToolError: what network, data set and boards raise.
    """
    return run_search(
        SearchRequest(
            config=Path(config),
            out=Path(out),
            resume=resume,
            seed=seed,
            data=None if data is None else Path(data),
            boards=tuple(boards),
            token_file=None if token_file is None else Path(token_file),
            overlay=None if overlay is None else Path(overlay),
            executor=member_of(ExecutorKind, "executor", executor),
            workers=workers,
            ray_address=ray_address,
        ),
        progress,
    )
