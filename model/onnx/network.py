"""The module made from an ONNX file: layers named after its nodes and run in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE = "the image"  # key of the tensor that a network is given


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCall:
    """A layer by its name in the module, the tensors that it reads and the tensor that it makes."""

    layer: str
    sources: tuple[str, ...]
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCodes:
    """Codes that the file has of a tensor: value = (code - zero) * step, code from lo to hi."""

    step: float
    zero: int
    lo: int
    hi: int

    @property
    def ends(self) -> tuple[int, int]:
        return self.lo, self.hi


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutput:
    """An output of an ONNX file, read up to the operators that are left to the host, such as Softmax."""

    name: str
    result: str  # the module's tensor
    logits: str  # the file's tensor, before those operators
    host: tuple[str, ...] = ()  # those operators, the last one first
    is_channels_last: bool = False  # in the file; the module's maps are (N, C, H, W)
    codes: FileCodes | None = None  # if the file's tensor is of codes, those


class OnnxNetwork(nn.Module):
    """A network read from an ONNX file, from images (N, C, H, W) to its output (N, ...), or several by name.

    `file_axes` is the file's order of an image's axes. A file that `computes_with_bytes` has operators on
    unsigned codes; one that `takes_steps_from_images` rounds by them, which is left out here.
    """

    def __init__(
        self,
        steps: Sequence[LayerCall] = (),
        layers: Mapping[str, nn.Module] | None = None,
        outputs: Sequence[FileOutput] = (),
        *,
        file_axes: tuple[int, ...] = (0, 1, 2, 3),
        computes_with_bytes: bool = False,
        takes_steps_from_images: bool = False,
    ) -> None:
        super().__init__()
        self.computes_with_bytes, self.takes_steps_from_images = computes_with_bytes, takes_steps_from_images
        self.steps, self.outputs, self.file_axes = tuple(steps), tuple(outputs), file_axes
        for name, layer in (layers or {}).items():
            self.add_module(name, layer)

    @property
    def rounds(self) -> bool:
        """Whether the file is quantized: it rounds tensors to codes."""
        return self.takes_steps_from_images or any(
            isinstance(layer, RoundToCodes) for layer in self.modules()
        )

    @property
    def host(self) -> tuple[str, ...]:
        """The operators that are left to the host, the last one first."""
        return tuple(dict.fromkeys(name for output in self.outputs for name in output.host))

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Output (N, ...) of images (N, C, H, W), or several by name."""
        made = dict(zip((output.name for output in self.outputs), self.tensors(image), strict=True))
        return made if len(made) > 1 else next(iter(made.values()))

    def tensors(self, image: Tensor) -> list[Tensor]:
        """Every output (N, ...), in order."""
        values = {IMAGE: image}
        for step in self.steps:
            layer = self.get_submodule(step.layer)
            values[step.result] = layer(*(values[source] for source in step.sources))
        return [values[output.result] for output in self.outputs]


class AddConstant(nn.Module):
    """x + constant; the constant is trained."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


class MultiplyConstant(nn.Module):
    """x * constant; the constant is trained."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value


class ReverseSubtract(nn.Module):
    """constant - x."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, x: Tensor) -> Tensor:
        return self.value - x


class Combine(nn.Module):
    """A binary function of torch applied to two tensors."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        result: Tensor = getattr(torch, self.function)(left, right)
        return result


class Total(nn.Module):
    """Sum of all operands."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first


class Concatenate(nn.Module):
    """Concatenation of the operands."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *operands: Tensor) -> Tensor:
        return torch.cat(operands, dim=self.axis)


class Reshape(nn.Module):
    """Each image's values in another shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if len(self.shape) == 1 else x.reshape(x.shape[0], *self.shape)


class Permute(nn.Module):
    """Axes in another order."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.axes)


class Mean(nn.Module):
    """Average over axes."""

    def __init__(self, axes: Sequence[int], keep: bool) -> None:
        super().__init__()
        self.axes, self.keep = tuple(axes), keep

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes, keepdim=self.keep)


class Slice(nn.Module):
    """A part of one axis."""

    def __init__(self, axis: int, start: int, end: int, step: int) -> None:
        super().__init__()
        self.axis, self.part = axis, slice(start, end, step)

    def forward(self, x: Tensor) -> Tensor:
        return x[(slice(None),) * self.axis + (self.part,)]


class SelectChannels(nn.Module):
    """Some channels, in any order."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.index_select(x, 1, self.get_buffer("order"))


class Pad(nn.Module):
    """Zeros or another constant around; amounts as torch.nn.functional.pad takes them."""

    def __init__(self, amounts: Sequence[int], value: float = 0.0) -> None:
        super().__init__()
        self.amounts, self.value = tuple(amounts), value

    @classmethod
    def around(cls, padding: Sequence[int], value: float = 0.0) -> Pad:
        """A frame around a map, whose amounts before each axis come first, as ONNX has them."""
        axes = len(padding) // 2
        return cls([amount for axis in reversed(range(axes)) for amount in padding[axis::axes]], value)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.amounts, value=self.value)


class Resize(nn.Module):
    """Nearest neighbours, or values on the lines between them, by whole factors."""

    def __init__(self, factors: Sequence[int], mode: str = "nearest", align_corners: bool | None = None):
        super().__init__()
        self.factors, self.mode, self.align_corners = tuple(factors), mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        factors = [float(factor) for factor in self.factors]
        return functional.interpolate(
            x, scale_factor=factors, mode=self.mode, align_corners=self.align_corners
        )


class Function(nn.Module):
    """A function of torch, applied to each value."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = getattr(torch, self.function)(x)
        return result


class Power(nn.Module):
    """Each value to a power."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = int(exponent) if exponent.is_integer() else exponent

    def forward(self, x: Tensor) -> Tensor:
        return torch.pow(x, self.exponent)


class HardSigmoid(nn.Module):
    """slope * x + offset, between 0 and 1."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x * self.slope + self.offset, 0.0, 1.0)


class ScaledElu(nn.Module):
    """scale * x of positive values, scale * depth * (exp(x) - 1) of others."""

    def __init__(self, depth: float, scale: float) -> None:
        super().__init__()
        self.depth, self.scale = depth, scale

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(x, self.depth) * self.scale


class Clip(nn.Module):
    """Values between two bounds."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, self.low, self.high)


class RoundToCodes(nn.Module):
    """Values rounded to `step` times the codes from lo to hi, halves to even; the gradient passes inside."""

    def __init__(self, step: float, lo: int, hi: int) -> None:
        super().__init__()
        self.step, self.lo, self.hi = step, lo, hi

    def forward(self, x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, self.step, 0, self.lo, self.hi)
