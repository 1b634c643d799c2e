"""The teacher of a network: a trained one of the same classes, whose answers it learns beside the labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bitlathe.flow.errors import UsageError, argument_errors
from bitlathe.flow.network.request import NetworkRequest, TeacherRequest
from bitlathe.flow.network.subject import Subject, WeightsSource, find_subject
from bitlathe.flow.progress import Progress, silent
from bitlathe.model.data import Dataset
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss
from bitlathe.model.train.teacher import Teacher, Teaching


def find_teacher(
    request: TeacherRequest, dataset: Dataset, data: Path | None, progress: Progress = silent
) -> Teacher:
    """The teacher asked for, on its student's data set; UsageError for one that was never trained."""
    wanted = NetworkRequest(network=request.network, dataset=dataset, weights=request.weights, data=data)
    return teacher_of(find_subject(wanted, progress), request.share, request.temperature)


def teacher_of(trained: Subject, share: float, temperature: float) -> Teacher:
    """A network as a teacher; UsageError for one of random weights and for numbers out of range."""
    if trained.weights.source is WeightsSource.RANDOM:
        raise UsageError(
            f"`teacher={trained.network}`: has random weights; give `teacher_weights`, a file of trained ones"
        )
    with argument_errors("teacher_"):
        teaching = Teaching(share=share, temperature=temperature)
    name = f"{trained.network}, {trained.digest}"
    return Teacher(name=name, model=trained.fastest_model, teaching=teaching)


def with_teacher(student: Subject, teacher: Teacher | None) -> Subject:
    """The student as it learns from a teacher too; UsageError where it does not learn classes."""
    if teacher is None:
        return student
    check_learns_classes(student.network, student.task.loss)
    return replace(student, teacher=teacher)


def check_learns_classes(network: str, loss: TaskLoss) -> None:
    """Raise UsageError for a loss that no teacher of classes can stand beside."""
    if loss.name != CROSS_ENTROPY.name:
        raise UsageError(
            f"{network}: learns by {loss.name}, and a teacher teaches classes; leave out `teacher`"
        )
