"""The parts of an integer graph's hls4ml project: layers, exact types, reuse factors.

Everything is decided here, in integers; `convert` hands it to hls4ml and reads it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod

import numpy as np
import numpy.typing as npt

from bitlathe.hls.hls4ml.project.ap_fixed import ApFixed
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.graph import Graph

Attribute = str | int | bool | list[int]


class Backend(Enum):
    """hls4ml's backend; the value is its name there."""

    VITIS = "Vitis"
    VIVADO_ACCELERATOR = "VivadoAccelerator"


class MultiplierStrategy(Enum):
    """How hls4ml multiplies: `LATENCY` unrolls, `RESOURCE` reuses multipliers and keeps weights in memory."""

    LATENCY = "Latency"
    RESOURCE = "Resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choices of the caller."""

    backend: Backend = Backend.VITIS
    reuse_factor: int | None = None  # of all layers; None: chosen for the target's DSPs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerConstants:
    """Integer constants of a layer, in hls4ml's order of axes."""

    codes: Int64s
    type: ApFixed

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Exact values: codes have less than 53 bits."""
        return np.ldexp(self.codes.astype(np.float64), -self.type.frac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """The matrix-vector product that a layer repeats for every output pixel."""

    rows: int  # products of one sum
    columns: int  # sums
    is_resource: bool  # else every product has its own place, repeated `reuse_factor` cycles apart
    dsps_a_product: int
    pixels_in: int  # padding included
    pixels_out: int

    def dsps(self, reuse_factor: int) -> int:
        """DSPs for a reuse factor; an estimate, as synthesis may put narrow products into LUTs."""
        return -(-self.rows * self.columns // reuse_factor) * self.dsps_a_product

    def cycles(self, reuse_factor: int) -> int:
        """Cycles an image takes: each pixel enters, each window is multiplied."""
        return self.pixels_in + self.pixels_out * reuse_factor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectLayer:
    """One layer of hls4ml's list."""

    name: str
    class_name: str
    node: str  # of the graph
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...]  # of the output, channels last
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    weights: Mapping[str, LayerConstants] = field(
        default_factory=dict
    )  # by hls4ml's name: weight_data, bias_data
    types: Mapping[str, ApFixed]  # result, accum, weight, bias
    multipliers: Multipliers | None = None

    @property
    def size(self) -> int:
        """Elements of the output."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectPlan:
    """A project before hls4ml sees it."""

    graph: Graph
    layers: tuple[ProjectLayer, ...]
    output: str  # the last layer
    reuse_factors: Mapping[str, int]  # of each layer with multipliers

    @property
    def last(self) -> ProjectLayer:
        """The layer whose output leaves; its codes are the graph's."""
        return next(layer for layer in self.layers if layer.name == self.output)

    @property
    def dsps(self) -> int:
        """DSPs of all layers, estimated."""
        return sum(
            layer.multipliers.dsps(self.reuse_factors[layer.name])
            for layer in self.layers
            if layer.multipliers
        )

    @property
    def interval_cycles(self) -> int:
        """Cycles from image to image, estimated: those of the slowest layer."""
        return max(
            (
                layer.multipliers.cycles(self.reuse_factors[layer.name])
                for layer in self.layers
                if layer.multipliers
            ),
            default=prod(self.graph.input.shape[1:]),
        )

    @property
    def weight_bits(self) -> int:
        """Bits of all constants."""
        return sum(w.codes.size * w.type.bits for layer in self.layers for w in layer.weights.values())
