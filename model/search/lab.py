"""Make candidates: an outcome is a pure function of a lab's specification and a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.compress.architecture import Architecture
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.epoch import EpochResult, train_epoch
from bitlathe.model.compress.method import Method
from bitlathe.model.compress.methods import penalty_of
from bitlathe.model.compress.precision import integer_view, judged_module
from bitlathe.model.compress.release import released
from bitlathe.model.compress.state import State, fresh_state, from_bytes
from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.files.archive import encode_graph
from bitlathe.model.product.live import network_of
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.evaluate import score
from bitlathe.model.train.task import CLASSIFICATION, Task


class Judge(Enum):
    """Images that candidates are judged on."""

    HELD_OUT = "held-out"  # a part of the training images
    TEST = "test"  # as in the paper: the choice then makes the test accuracy optimistic


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """What a lab is made from; it can be pickled. A data set by name is read where the lab is made."""

    architecture: Architecture
    weights: Path | None  # to start from; None: the architecture's own first weights
    dataset: str | Dataset
    data_root: Path | None  # of a data set by name
    settings: TrainConfig  # `epochs` is the whole search's
    held_out: int  # training images to judge on
    judge: Judge
    deployment: QuantizeConfig  # of a state that is not quantized
    epoch_images: int | None = None  # random training images per epoch; None: all
    as_trained: bool = False  # judge such a state in float, as the paper did
    task: Task = CLASSIFICATION


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """Make a candidate: change a state by a method, train it, judge it."""

    label: str  # unique among the jobs of an epoch
    state: bytes  # `State.to_bytes`
    method: Method | None  # None: the network as it is
    is_begun: bool = False  # whether the method has already changed the state
    until: float  # train up to this share of the current epoch; 0: not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """A candidate, or the reason why there is none."""

    label: str
    state: bytes = b""
    graph: bytes = b""  # the integer graph as a file's bytes
    merit: float = 0.0  # by the task's metric
    loss: float = 0.0  # mean over the steps taken
    steps: int = 0
    seconds: float = 0.0
    failure: str | None = None


class Lab:
    """Data set and settings in memory. Equal jobs give equal outcomes, times aside."""

    def __init__(self, spec: LabSpec) -> None:
        self.spec = spec
        torch.set_num_threads(spec.settings.threads or 1)  # sums depend on it, so all labs have one
        named = spec.dataset
        self.dataset = load_dataset(named, spec.data_root) if isinstance(named, str) else named
        self.data = MethodData.split(
            self.dataset,
            held_out=spec.held_out,
            batch_size=spec.settings.batch_size,
            augment=spec.settings.augment,
            seed=spec.settings.seed,
            epoch_images=spec.epoch_images,
            loss=spec.task.loss,
            teacher=spec.task.teacher,
        )

    def first_state(self) -> State:
        """The state before the first epoch."""
        model = self.spec.architecture.build()
        if self.spec.weights is not None:
            load_weights(model, self.spec.weights)
        return fresh_state(model, self.spec.settings)

    def run(self, job: TrialJob, advance: Callable[[], None] = lambda: None) -> TrialOutcome:
        """The candidate of a job; `advance` is called after each step.

        Errors that a user can fix, such as a diverged loss or a possible overflow, are reported in the
        outcome, so that other candidates continue.
        """
        started = time.monotonic()
        try:
            outcome = self._candidate(job, advance)
        except BitlatheError as error:
            outcome = TrialOutcome(label=job.label, failure=str(error))
        return replace(outcome, seconds=time.monotonic() - started)

    def _candidate(self, job: TrialJob, advance: Callable[[], None]) -> TrialOutcome:
        state = self.read(job.state)
        if job.method is not None and not job.is_begun:
            state = job.method.apply(released(state), self.data)
        before, trained = self._steps(state), EpochResult(loss=0.0, view=None)
        if job.until:
            trained = train_epoch(
                state,
                self.data,
                self.spec.settings,
                share=job.until,
                penalty=penalty_of(job.method),
                advance=advance,
            )
        view = trained.view or integer_view(state, self.data, self.spec.deployment)
        return TrialOutcome(
            label=job.label,
            state=state.to_bytes(),
            graph=encode_graph(network_of(view).graph),
            merit=self._merit(judged_module(state, view, self.spec.as_trained)),
            loss=trained.loss,
            steps=self._steps(state) - before,
        )

    def read(self, state: bytes) -> State:
        """The state of an outcome."""
        return from_bytes(state, self.spec.architecture, self.spec.settings)

    def _steps(self, state: State) -> int:
        return state.epoch * self.data.steps + state.step

    def _merit(self, module: nn.Module) -> float:
        images, labels = self.data.held_images, self.data.held_labels
        if self.spec.judge is Judge.TEST:
            images, labels = self.dataset.test_images, self.dataset.test_labels
        return self.spec.task.metric.merit(score(module, images, labels, self.spec.task.metric))
