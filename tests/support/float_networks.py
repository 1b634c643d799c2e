"""Random float networks of every kind of node, with a module that holds their weights."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInput,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatLookup,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatProduct,
    FloatUpsample2d,
    Origin,
)
from bitlathe.model.capture.formula import Live, Real
from bitlathe.model.capture.returned import ReturnedForm
from bitlathe.model.capture.scalar_function import ScalarFunction
from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.graph.nodes import Pair, Shape, Windows
from bitlathe.model.graph.resampling import Interval

INF = float("inf")
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "hardswish": functional.hardswish,
    "leaky_relu(0.1)": lambda x: functional.leaky_relu(x, 0.1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "elu": functional.elu,
    "abs": torch.abs,
    "square": torch.square,
    "mish": functional.mish,
}


def function_called(name: str) -> ScalarFunction:
    """One of `FUNCTIONS`."""
    return ScalarFunction(name=name, apply=FUNCTIONS[name])


class FloatNetworkBuilder:
    """Builds a float network node by node; each method returns the name of the tensor it makes."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.module = nn.Module()
        self.nodes: dict[str, FloatNode] = {"image": FloatInput(name="image", shape=shape)}

    def shape(self, name: str) -> Shape:
        """Shape of a tensor."""
        return self.nodes[name].shape

    def network(self, output: str) -> FloatNetwork:
        """The network with one output."""
        form = ReturnedForm.of([self.shape(output)])
        return FloatNetwork(name="made", nodes=tuple(self.nodes.values()), output=output, form=form)

    def add(self, kind: type[FloatNode], shape: Shape, **fields: object) -> str:
        """Any node."""
        name = f"{kind.__name__.removeprefix('Float').lower()}{len(self.nodes)}"
        self.nodes[name] = kind(name=name, shape=shape, **fields)
        return name

    def parameters(self, *shape: int) -> dict[str, object]:
        """Weights (out, ...) and biases of the next layer, parameters of the module."""
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        tensors = {
            "weight": torch.from_numpy(self.rng.normal(0, 1.5 * scale, shape).astype(np.float32)),
            "bias": torch.from_numpy(self.rng.normal(0, 0.2, shape[0]).astype(np.float32)),
        }
        lives = {}
        for kind, tensor in tensors.items():
            key = f"{kind}{len(self.nodes)}"
            self.module.register_parameter(key, nn.Parameter(tensor))
            lives[kind] = Real(Live(key, tensor))
        return {
            "weight": tensors["weight"].numpy().copy(),
            "bias": tensors["bias"].double().numpy().copy(),
            "captured": Origin(**lives),
        }

    def convolution(
        self, source: str, outputs: int, kernel: Pair, *, groups: int = 1, **fields: object
    ) -> str:
        """A convolution; ShapeError if its window fits nowhere."""
        channels, height, width = self.shape(source)
        padding = fields.get("padding", (0, 0))
        windows = Windows(
            kernel_size=kernel,
            **{"end_padding": padding, **{k: v for k, v in fields.items() if k in Windows.__slots__}},
        )
        size = windows.size("convolution", height, width)
        made = self.parameters(outputs, channels // groups, *kernel)
        return self.add(FloatConv2d, (outputs, *size), source=source, groups=groups, **made, **fields)

    def transposed(
        self, source: str, outputs: int, kernel: Pair, stride: Pair, *, groups: int = 1, **fields: Pair
    ) -> str:
        """A transposed convolution; ShapeError if nothing is left of its map."""
        channels, *size = self.shape(source)
        none = (0, 0)
        made = [
            (n - 1) * s - 2 * p + k + o
            for n, s, k, p, o in zip(
                size,
                stride,
                kernel,
                fields.get("padding", none),
                fields.get("output_padding", none),
                strict=True,
            )
        ]
        if min(made) < 1:
            raise ShapeError("nothing is left")
        weights = self.parameters(outputs, channels // groups, *kernel)
        shape = (outputs, made[0], made[1])
        return self.add(
            FloatConvTranspose2d, shape, source=source, stride=stride, groups=groups, **weights, **fields
        )

    def adaptive_pool(self, source: str, size: Pair, *, is_max: bool) -> str:
        """An adaptive pool."""
        channels, *old = self.shape(source)
        intervals = [
            tuple(
                Interval(floor(i * n / m), ceil((i + 1) * n / m), ceil((i + 1) * n / m) - floor(i * n / m))
                for i in range(m)
            )
            for n, m in zip(old, size, strict=True)
        ]
        return self.add(
            FloatIntervalPool2d,
            (channels, *size),
            source=source,
            is_max=is_max,
            rows=intervals[0],
            columns=intervals[1],
        )

    def lookup(self, source: str, function: str) -> str:
        """A function by table."""
        return self.add(FloatLookup, self.shape(source), source=source, function=function_called(function))

    def product(self, source: str, factor: str, **clamp: float) -> str:
        """A product."""
        return self.add(FloatProduct, self.shape(source), source=source, factor=factor, **clamp)

    def concatenation(self, *operands: str) -> str:
        """Tensors one after another."""
        channels = sum(self.shape(name)[0] for name in operands)
        return self.add(FloatConcat, (channels, *self.shape(operands[0])[1:]), operands=operands)

    def upsampled(self, source: str, factors: Pair) -> str:
        """Nearest neighbours."""
        channels, height, width = self.shape(source)
        shape = (channels, height * factors[0], width * factors[1])
        return self.add(FloatUpsample2d, shape, source=source, factors=factors)

    def interpolated(self, source: str, factors: Pair, *, align_corners: bool) -> str:
        """Bilinear upsampling."""
        channels, height, width = self.shape(source)
        shape = (channels, height * factors[0], width * factors[1])
        return self.add(
            FloatInterpolate2d, shape, source=source, factors=factors, align_corners=align_corners
        )

    def shuffled(self, source: str, factor: int) -> str:
        """A pixel shuffle."""
        channels, height, width = self.shape(source)
        shape = (channels // factor**2, height * factor, width * factor)
        return self.add(FloatPixelShuffle2d, shape, source=source, factor=factor)

    def unshuffled(self, source: str, factor: int) -> str:
        """A pixel unshuffle."""
        channels, height, width = self.shape(source)
        shape = (channels * factor**2, height // factor, width // factor)
        return self.add(FloatPixelUnshuffle2d, shape, source=source, factor=factor)

    def dense(self, source: str, outputs: int) -> str:
        """A dense layer."""
        made = self.parameters(outputs, int(np.prod(self.shape(source))))
        return self.add(FloatDense, (outputs, 1, 1), source=source, **made)


LARGEST_SIDE, LARGEST_WIDTH = 20, 16


class _Draw(FloatNetworkBuilder):
    """Steps drawn at random; each returns nothing where it does not fit."""

    def pick(self, *choices: object) -> object:
        return choices[self.rng.integers(len(choices))]

    def pair(self, low: int, high: int) -> Pair:
        one, other = (int(n) for n in self.rng.integers(low, high + 1, 2))
        return one, other

    def any_tensor(self) -> str:
        names = list(self.nodes)[-2:]
        return names[self.rng.integers(len(names))]

    def clamp(self) -> dict[str, float]:
        limits = [{}, {"low": 0.0}, {"low": 0.0, "high": 6.0}, {"low": -1.0, "high": 1.5}]
        return limits[self.rng.integers(len(limits))]

    def groups(self, channels: int) -> int:
        return int(self.pick(*(n for n in range(1, channels + 1) if channels % n == 0)))

    def some_convolution(self) -> None:
        source = self.any_tensor()
        groups = self.groups(self.shape(source)[0])
        outputs = groups * int(self.rng.integers(1, max(2, LARGEST_WIDTH // groups // 2)))
        begin, end = self.pair(-1, 2), self.pair(-1, 2)
        fields = {"stride": self.pair(1, 2), "dilation": self.pair(1, 2), "padding": begin, **self.clamp()}
        name = self.convolution(source, outputs, self.pair(1, 3), groups=groups, end_padding=end, **fields)
        alike = [n for n in self.nodes if n != name and self.shape(n) == self.shape(name)]
        if alike and "image" not in alike and self.rng.random() < 0.5:
            made = self.nodes[name]
            fields = {field: getattr(made, field) for field in made.__dataclass_fields__}
            self.nodes[name] = FloatConv2d(**{**fields, "residual": alike[-1]})

    def some_transposed(self) -> None:
        source = self.any_tensor()
        groups = self.groups(self.shape(source)[0])
        stride = self.pair(1, 3)
        more = (int(self.rng.integers(0, stride[0])), int(self.rng.integers(0, stride[1])))
        outputs = groups * int(self.rng.integers(1, max(2, LARGEST_WIDTH // groups // 2)))
        self.transposed(
            source,
            outputs,
            self.pair(1, 4),
            stride,
            groups=groups,
            padding=self.pair(0, 1),
            output_padding=more,
            **self.clamp(),
        )

    def some_pool(self) -> None:
        source = self.any_tensor()
        channels, height, width = self.shape(source)
        kernel, stride = self.pair(1, 3), self.pair(1, 2)
        match self.rng.integers(3):
            case 0:
                size = (int(self.rng.integers(1, height + 1)), int(self.rng.integers(1, width + 1)))
                self.adaptive_pool(source, size, is_max=bool(self.rng.integers(2)))
            case 1:
                padding = (kernel[0] // 2, kernel[1] // 2)
                windows = Windows(kernel_size=kernel, stride=stride, padding=padding, end_padding=padding)
                shape = (channels, *windows.size("pool", height, width))
                pool = {"source": source, "kernel_size": kernel, "stride": stride, "padding": padding}
                self.add(FloatAvgPool2d, shape, **pool)
            case _:
                dilation = self.pair(1, 2)
                windows = Windows(kernel_size=kernel, stride=stride, dilation=dilation)
                shape = (channels, *windows.size("pool", height, width))
                pool = {"source": source, "kernel_size": kernel, "stride": stride, "dilation": dilation}
                self.add(FloatMaxPool2d, shape, **pool)

    def some_resampling(self) -> None:
        source = self.any_tensor()
        channels, height, width = self.shape(source)
        match self.rng.integers(4):
            case 0:
                self.upsampled(source, self.pair(1, 3))
            case 1:
                factors = self.pick((1, 2), (2, 1), (4, 1)) if self.rng.random() < 0.5 else None
                aligned = factors is not None
                self.interpolated(source, factors or self.pick((2, 2), (4, 2)), align_corners=aligned)
            case 2 if channels % 4 == 0:
                self.shuffled(source, 2)
            case 3 if height % 2 == width % 2 == 0 and channels * 4 <= LARGEST_WIDTH:
                self.unshuffled(source, 2)

    def some_lookup(self) -> None:
        self.lookup(self.any_tensor(), str(self.pick(*FUNCTIONS)))

    def some_product(self) -> None:
        source = self.any_tensor()
        shape = self.shape(source)
        alike = [name for name in self.nodes if self.shape(name) == shape]
        if self.rng.random() < 0.6:
            pooled = self.adaptive_pool(source, (1, 1), is_max=False)
            alike = [self.lookup(self.convolution(pooled, shape[0], (1, 1)), "sigmoid")]
        self.product(source, alike[0], **self.clamp())

    def some_concatenation(self) -> None:
        source = self.any_tensor()
        fitting = [name for name in self.nodes if self.shape(name)[1:] == self.shape(source)[1:]]
        if "image" in fitting:
            fitting.remove("image")
        if len(fitting) > 1:
            self.concatenation(*fitting[-2:])


def random_float_network(seed: int, steps: int = 14) -> tuple[FloatNetwork, nn.Module]:
    """A network of one image of 2 to 4 channels, every kind of node in it by chance, that ends in classes."""
    rng = np.random.default_rng(seed)
    draw = _Draw((int(rng.integers(2, 5)), int(rng.integers(5, 10)), int(rng.integers(5, 10))), seed)
    first = draw.convolution("image", 4 * int(rng.integers(1, 3)), (3, 3), padding=(1, 1), **draw.clamp())
    kinds = [
        draw.some_convolution,
        draw.some_transposed,
        draw.some_pool,
        draw.some_resampling,
        draw.some_resampling,
        draw.some_lookup,
        draw.some_product,
        draw.some_concatenation,
    ]
    assert first in draw.nodes
    while len(draw.nodes) < steps:
        kept = dict(draw.nodes)
        try:
            kinds[rng.integers(len(kinds))]()
        except ShapeError:
            draw.nodes = kept
        made = [node.shape for name, node in draw.nodes.items() if name not in kept]
        if any(max(shape[1:]) > LARGEST_SIDE or shape[0] > LARGEST_WIDTH for shape in made):
            draw.nodes = kept
    last = list(draw.nodes)[-1]
    classes = draw.dense(last, 5)
    needed = {classes}
    for node in reversed(draw.nodes.values()):
        if node.name in needed:
            needed.update(node.sources)
    draw.nodes = {name: node for name, node in draw.nodes.items() if name in needed}
    return draw.network(classes), draw.module
