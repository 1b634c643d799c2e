"""What a network is trained by and judged by: a loss and a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from bitlathe.model.data import Dataset, Labels
from bitlathe.model.train.losses import CROSS_ENTROPY, LOSSES, TaskLoss
from bitlathe.model.train.metrics import METRICS, TOP1, OutputValues, TaskMetric, top1
from bitlathe.model.train.teacher import Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A loss and a metric, and perhaps a teacher."""

    loss: TaskLoss = CROSS_ENTROPY
    metric: TaskMetric = TOP1
    teacher: Teacher | None = None

    @property
    def named(self) -> dict[str, str]:
        """The names of loss and metric that are not a classifier's."""
        return self._loss | ({} if self.metric.name == TOP1.name else {"metric": self.metric.name})

    @property
    def shaping(self) -> dict[str, str]:
        """Plain words of all but the metric, for the identity of what is trained by it."""
        return self._loss | ({} if self.teacher is None else {"teacher": self.teacher.identity})

    @property
    def _loss(self) -> dict[str, str]:
        return {} if self.loss.name == CROSS_ENTROPY.name else {"loss": self.loss.name}


CLASSIFICATION = Task()


def usual_task(dataset: Dataset, outputs: Sequence[tuple[int, ...]]) -> Task | None:
    """The task that a data set's labels imply for outputs (K,) or (K, H, W) of an image; None if unclear.

    Classes, in vectors or in maps, take cross entropy, and top-1 or mean IoU; as many numbers as outputs take
    their squared error. Of several outputs the only one that is the classes counts.

    >>> from bitlathe.model.data import load_dataset
    >>> usual_task(load_dataset("digits"), [(10,)]).metric.name
    'top1'
    """
    if dataset.classifies:
        place = dataset.classes_among(outputs)
        if place is None or len(outputs) == 1:
            return None if place is None else CLASSIFICATION
        return Task(metric=replace(TOP1, function=partial(_top1_among, place)))
    if len(outputs) != 1:
        return None
    (one,), label, kind = outputs, dataset.train_labels.shape[1:], dataset.train_labels.dtype.kind
    if kind in "iu" and len(one) > 2 and one[1:] == label and one[0] > 1:
        return Task(metric=METRICS["miou"])
    if prod(label) == prod(one) and (kind == "f" or (kind in "iu" and not label)):
        return Task(loss=LOSSES["mse"], metric=METRICS["mse"])
    return None


def _top1_among(place: int, outputs: tuple[OutputValues, ...], labels: Labels) -> float:
    return top1(outputs[place], labels)
