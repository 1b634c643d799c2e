"""How nodes make an arrangement of values: at once, or from one that the values went through on their way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bitlathe.model.capture.arrangement import Order, Step, made_of_images, steps_to
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Shape

BATCH = 2  # images of the example: 1 would hide operations that mix images
Move = Callable[[Order], Order]
Refusal = Callable[[str, str], UnsupportedLayer]


def taking(places: ArrayLike, axis: int) -> Move:
    """The move that takes some places along an axis."""
    indices = np.asarray(places, np.int64)
    return lambda order: order.take(indices, axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Steps from an earlier arrangement, or what joins all parts of a concatenation."""

    start: Arrangement | None = None  # None: the maps themselves
    steps: tuple[Step, ...] = ()
    joins: bool = False
    shape: Shape  # of the last node
    cost: int  # nodes, those up to the start included


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Values of maps of one shape in the order that calls brought them into, one after another."""

    shape: Shape  # of the maps
    places: Order  # the place of each value in the maps, image after image; -1 for a zero
    name: str  # for a node that makes them of the maps
    last_name: str  # for one that makes them of an earlier arrangement
    rank: int  # of the last call
    refusal: Refusal  # of the last call, for a problem and how to mend it
    before: Arrangement | None = None  # what the last call moved; None: the maps, or nothing that is known
    move: Move | None = None  # what it did
    parts: tuple[Arrangement | None, ...] = ()  # what it joined along the channels; None: the maps

    def since(self, stage: Arrangement | None) -> Order:
        """The place of each value in an earlier arrangement."""
        if stage is None:
            return self.places
        return self.moved(np.arange(stage.places.size).reshape(stage.places.shape), stage)

    def moved(self, places: Order, stage: Arrangement) -> Order:
        """What all calls after a stage make of that stage's places."""
        if stage is self:
            return places
        assert self.before is not None and self.move is not None
        return np.ascontiguousarray(self.move(self.before.moved(places, stage)))

    @cached_property
    def stages(self) -> tuple[Arrangement, ...]:
        """This arrangement and those before it, the oldest first."""
        return (self,) if self.before is None else (*self.before.stages, self)

    @cached_property
    def route(self) -> Route | None:
        """At once where that is possible, else by the fewest nodes; None if nothing makes it."""
        route = self._flattened or self._from(None)
        if route is not None:
            return route
        routes = [self._from(stage) for stage in self.stages[:-1]]
        if self.parts and all(part is None or part.route for part in self.parts):
            cost = 1 + sum(part.route.cost for part in self.parts if part is not None and part.route)
            routes.append(Route(joins=True, shape=shape_of(self.places.shape), cost=cost))
        return min((found for found in routes if found), key=lambda found: found.cost, default=None)

    @property
    def unmade(self) -> UnsupportedLayer:
        """The error that names the call from which on no node makes the maps."""
        before = self.before
        if before is not None and before.route is None and before.places.ndim == 4:
            return before.unmade
        source = self.shape if before is None or before.route is None else before.route.shape
        return self.refusal(
            f"arranges {source} values as {self.places.shape}, which no node here does",
            "keep the order (N, C, H, W); a dense layer may read any order of flattened values",
        )

    @property
    def _flattened(self) -> Route | None:
        """Of a map, some of whose values may be left out or repeated, as a vector: what makes the map."""
        if self.places.ndim != 2 or self.before is None:
            return None
        for stage in self.stages[:-1]:
            is_map = stage.places.ndim == 4 and len(stage.places) == len(self.places) == BATCH
            as_it_is = is_map and np.array_equal(self.since(stage).ravel(), np.arange(stage.places.size))
            if as_it_is and stage.route is not None:
                return Route(start=stage, shape=stage.route.shape, cost=stage.route.cost)
        return None

    def _from(self, stage: Arrangement | None) -> Route | None:
        start = None if stage is None else stage.route
        if not 2 <= self.places.ndim <= 4 or (stage is not None and start is None):
            return None
        shape, places = self.shape if start is None else start.shape, self.since(stage)
        if not made_of_images(places, shape, BATCH):
            return None
        made = shape_of(places.shape)
        steps = steps_to(shape, places[0].reshape(made))
        if steps is None:
            return None
        cost = len(steps) + (0 if start is None else start.cost)
        return Route(start=stage, steps=tuple(steps), shape=made, cost=cost)


def last_common(arrangements: list[Arrangement]) -> Arrangement | None:
    """The last arrangement that all went through."""
    first, *others = (each.stages for each in arrangements)
    shared = [stage for stage in first if all(stage in stages for stages in others)]
    return shared[-1] if shared else None


def shape_of(size: tuple[int, ...]) -> Shape:
    """(C, H, W) of a tensor of one image: a vector is a 1x1 map, a sequence a map of one row.

    >>> shape_of((2, 3)), shape_of((2, 3, 9)), shape_of((2, 3, 4, 5))
    ((3, 1, 1), (3, 1, 9), (3, 4, 5))
    """
    channels, *rest = size[1:]
    height, width = (*([1] * (2 - len(rest))), *rest)
    return channels, height, width
