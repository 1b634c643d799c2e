"""The loss and the metric that a user names or hands in: LOSSES, METRICS, or functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_file import beside, is_function, label, located, own_function
from bitlathe.model.train import LOSSES, METRICS, Task, TaskLoss, TaskMetric

FunctionSource: TypeAlias = "str | Callable[..., Any]"  # a name, FILE.py:FUNCTION, or the function itself
LOWER = "lower_is_better"  # attribute of a metric's function

Known = TypeVar("Known", TaskLoss, TaskMetric)


class OwnFunction:
    """A function of the user's, which another process finds by its file or else by its module."""

    def __init__(self, source: FunctionSource, returns: str) -> None:
        self.source, self._returns = source, returns
        self.function = own_function(source, returns) if isinstance(source, str) else source

    def __reduce__(self) -> tuple[type[OwnFunction], tuple[FunctionSource, str]]:
        return OwnFunction, (self.source, self._returns)

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns; UsageError, with file and line, for what it raises."""
        return self._called(self.function, arguments)

    def attribute(self, name: str) -> Callable[..., Any] | None:
        """A function that is an attribute of the user's, called as that is; None where it has none."""
        found = getattr(self.function, name, None)
        return None if found is None else lambda *arguments: self._called(found, arguments)

    def _called(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        folder = Path(self.source.rpartition(":")[0]) if isinstance(self.source, str) else Path()
        with beside(folder), located(self.source):
            return function(*arguments)


def find_metric(source: FunctionSource) -> TaskMetric:
    """The metric of a name or a function; UsageError where there is none.

    Of a function with a true attribute `lower_is_better` less is better.
    """
    if known := _known("metric", source, METRICS):
        return known
    function = OwnFunction(source, "a number")
    return TaskMetric(
        name=_name(source),
        title=label(source).rpartition(":")[2],
        function=function,
        is_lower_better=bool(getattr(function.function, LOWER, False)),
    )


def find_loss(source: FunctionSource) -> TaskLoss:
    """The loss of a name or a function; UsageError where there is none."""
    if known := _known("loss", source, LOSSES):
        return known
    return TaskLoss(name=_name(source), function=OwnFunction(source, "a scalar tensor"))


def find_task(metric: FunctionSource | None, loss: FunctionSource | None, usual: Task) -> Task:
    """The usual task, with another metric and another loss where they are given."""
    return Task(
        loss=usual.loss if loss is None else find_loss(loss),
        metric=usual.metric if metric is None else find_metric(metric),
    )


def _known(argument: str, source: FunctionSource, table: Mapping[str, Known]) -> Known | None:
    if isinstance(source, str) and not is_function(source):
        if source not in table:
            raise UsageError(
                f"`{argument}={source}`: choose one of {', '.join(table)}, or give FILE.py:FUNCTION"
            )
        return table[source]
    if not isinstance(source, str) and not callable(source):
        raise UsageError(f"`{argument}`: is of type {type(source).__name__}; give a name or a function")
    return None


def _name(source: FunctionSource) -> str:
    """FILE.py:FUNCTION, or MODULE.FUNCTION."""
    return source if isinstance(source, str) else f"{source.__module__}.{label(source)}"
