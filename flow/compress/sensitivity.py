"""`bitlathe sensitivity`: what each layer's channels are worth, every layer pruned alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import count

from torch import nn

from bitlathe.flow.errors import UsageError, member_of
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.model.data import to_input, to_target
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.scores import find_criterion, score_channels
from bitlathe.model.prune.channels.sensitivity import sensitivity
from bitlathe.model.train import TaskMetric, score
from bitlathe.model.train.batches import Batch

_SCORED = 1024  # training images that a criterion looks at, if it looks at any
_BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityOptions:
    """How layers are pruned and judged."""

    criterion: str = "l2"
    scope: ChannelScope = ChannelScope.INTERNAL
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)  # of a layer's channels
    images: int = 1000  # the last training images; the test images stay unseen


def sensitivity_options(*, criterion: str, shares: str, scope: str, images: int) -> SensitivityOptions:
    """Options from their texts; UsageError or PruneError says what is wrong with them."""
    find_criterion(criterion)
    return SensitivityOptions(
        criterion=criterion,
        scope=member_of(ChannelScope, "scope", scope),
        shares=_shares(shares),
        images=images,
    )


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(word) for word in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share < 1 for share in shares):
        raise UsageError(f"`shares={text}`: give shares between 0 and 1, such as 0.25,0.5")
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSensitivity:
    """The object that --json prints."""

    network: str
    dataset: str
    criterion: str
    images: int
    metric: TaskMetric
    score: float  # nothing pruned, by the metric
    shares: tuple[float, ...]
    channels: Mapping[str, int]  # by layer
    scores: Mapping[str, tuple[float, ...]]  # by layer, at each share; nothing retrained
    stuck: Mapping[str, str]  # layers whose channels must stay -> reason

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        same = {"accuracy": self.score, "accuracies": self.scores} if self.metric.name == "top1" else {}
        return {**plain, "metric": self.metric.name, **same}


def measure_sensitivity(
    subject: Subject, options: SensitivityOptions, progress: Progress = silent
) -> NetworkSensitivity:
    """Prune each layer alone at each share and measure; errors are those of the pruner."""
    task = subject.task
    tell_normalization(subject, progress)
    images = subject.dataset.train_images[-options.images :]
    labels = subject.dataset.train_labels[-options.images :]
    groups = channel_groups(subject.model, to_input(images[:2]), options.scope)
    for line in groups.told():
        progress(Note(line))
    criterion = find_criterion(options.criterion, loss=task.loss)
    scores = score_channels(subject.model, groups, criterion, tuple(_batches(subject)))
    work, total, done = f"{subject.network}: layers", len(groups) * len(options.shares), count()

    def judged(model: nn.Module) -> float:
        progress(Advance(work, next(done), total))
        return score(model, images, labels, task.metric)

    found = sensitivity(subject.model, groups, scores, judged, options.shares)
    return NetworkSensitivity(
        network=subject.network,
        dataset=subject.dataset.name,
        criterion=options.criterion,
        images=len(labels),
        metric=task.metric,
        score=found.base,
        shares=found.ratios,
        channels={group.name: group.width for group in groups},
        scores=found.accuracies,
        stuck=groups.stuck,
    )


def _batches(subject: Subject) -> Iterator[Batch]:
    """The first training images."""
    dataset = subject.dataset
    for start in range(0, min(_SCORED, len(dataset.train_labels)), _BATCH):
        part = slice(start, start + _BATCH)
        yield to_input(dataset.train_images[part]), to_target(dataset.train_labels[part])
