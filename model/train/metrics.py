"""Metrics that a network is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.data import Labels
from bitlathe.model.graph.errors import DataError
from bitlathe.model.train.losses import counts

OutputValues = NDArray[Any]  # of an output: real values (N, K) or (N, K, H, W)
MetricFunction: TypeAlias = Callable[
    [Any, Labels], Any
]  # of outputs, several as a tuple, and labels (N, ...)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetric:
    """A number that tells how well outputs fit the labels of all images."""

    name: str  # of METRICS, or the user's function
    title: str  # in tables
    function: MetricFunction
    is_lower_better: bool = False
    is_share: bool = False  # 0..1, said in percent

    def __call__(self, outputs: OutputValues | tuple[OutputValues, ...], labels: Labels) -> float:
        """The number; DataError where it is none, or where outputs or labels are not what it takes."""
        found = self.function(outputs, labels)
        try:
            number = float(found) if isinstance(found, int | float | np.integer | np.floating) else nan
        except OverflowError:  # of an int that no float holds
            number = inf
        if not isfinite(number):
            what = repr(found) if isinstance(found, float | str) else type(found).__name__
            raise DataError(f"metric {self.name}: returned {what[:80]}; return one finite number, a float")
        return number

    def said(self, score: float) -> str:
        """Text of such a number, in percent where it is a share.

        >>> METRICS["top1"].said(0.97777), METRICS["mse"].said(0.0123456)
        ('97.78 %', '0.01235')
        """
        return f"{100 * score:.2f} %" if self.is_share else f"{score:.4g}"

    def accuracy(self, score: float) -> float | None:
        """A score that is an accuracy of classes, by top-1; None for one by another metric."""
        return score if self.name == "top1" else None

    def merit(self, score: float) -> float:
        """The number where greater is better, else the number negated."""
        return -score if self.is_lower_better else score


def top1(outputs: OutputValues, labels: Labels) -> float:
    """Share of images whose largest output is that of their label; of equal outputs the first counts."""
    return float((_logits("top1", outputs, labels, 2).argmax(axis=1) == labels).mean())


def top5(outputs: OutputValues, labels: Labels) -> float:
    """Share of images whose label is among the five largest outputs; of equal outputs the first count."""
    first = np.argsort(-_logits("top5", outputs, labels, 6), axis=1, kind="stable")[:, :5]
    return float((first == labels[:, None]).any(axis=1).mean())


def mse(outputs: OutputValues, labels: Labels) -> float:
    """Mean squared error."""
    one = _one("mse", outputs)
    if len(labels) != len(one) or labels.size != one.size:
        raise DataError(
            f"metric mse: outputs are {one.shape}, labels {labels.shape}; it takes labels of their shape"
        )
    return float(np.square(one.astype(np.float64) - labels.reshape(one.shape)).mean())


def miou(outputs: OutputValues, labels: Labels) -> float:
    """Mean over classes of intersection over union, of the classes that labels or outputs have.

    Pixels whose label is 255 or negative do not count.
    """
    one = _one("miou", outputs)
    if labels.dtype.kind == "f" or one.ndim < 3 or (len(one), *one.shape[2:]) != labels.shape:
        raise DataError(
            f"metric miou: outputs are {one.shape}, labels {labels.dtype} {labels.shape}; it takes maps "
            "(N, K, H, W) and integers (N, H, W)"
        )
    classes = one.shape[1]
    counted = counts(labels, classes)
    right, made = labels[counted].astype(np.int64), one.argmax(axis=1)[counted]
    if classes < 2 or not len(right) or right.max() >= classes:
        what = f"labels reach {right.max()}" if len(right) else "no pixel counts"
        raise DataError(
            f"metric miou: the outputs have {classes} classes, {what}; it takes 2 or more, and all"
        )
    pairs = np.bincount(right * classes + made, minlength=classes**2).reshape(classes, classes)
    both = pairs.sum(axis=0) + pairs.sum(axis=1) - pairs.diagonal()
    return float((pairs.diagonal()[both > 0] / both[both > 0]).mean())


TOP1 = TaskMetric(name="top1", title="accuracy", function=top1, is_share=True)
METRICS: Mapping[str, TaskMetric] = {
    metric.name: metric
    for metric in (
        TOP1,
        TaskMetric(name="top5", title="top-5 accuracy", function=top5, is_share=True),
        TaskMetric(name="mse", title="MSE", function=mse, is_lower_better=True),
        TaskMetric(name="miou", title="mIoU", function=miou, is_share=True),
    )
}


def _one(name: str, outputs: Any) -> OutputValues:
    if isinstance(outputs, tuple):
        raise DataError(f"metric {name}: takes one output, here are {len(outputs)}; give FILE.py:FUNCTION")
    one: OutputValues = outputs
    return one


def _logits(name: str, outputs: Any, labels: Labels, least: int) -> OutputValues:
    """Outputs (N, K) of at least so many classes, for labels that are classes."""
    one = _one(name, outputs)
    if one.ndim != 2 or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"metric {name}: outputs are {one.shape}, labels {labels.dtype} {labels.shape}; it takes one "
            "output per class and integers (N,)"
        )
    if one.shape[1] < least:
        raise DataError(f"metric {name}: needs {least} classes or more, the outputs have {one.shape[1]}")
    return one
