"""Small modules that the networks share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from bitlathe.model.graph.normalization import IMAGENET, NONE, Normalization

_PIXEL_SCALE = 128 / 255  # a network's input is (pixel - 128) / 128, published constants are for pixel / 255


class Normalize(nn.Module):
    """Move our input x = (pixel - 128) / 128 to (pixel / 255 - mean) / std, channel by channel.

    y = x * scale + offset with scale = (128 / 255) / std and offset = (128 / 255 - mean) / std.
    The convolution that follows pads zeros *after* this step, so folding it needs a border of
    pixel = 255 * mean, not of code 0.
    """

    scale: torch.Tensor  # (C,), or (1,) for all channels
    offset: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        means, stds = torch.broadcast_tensors(torch.tensor(mean), torch.tensor(std))
        self.register_buffer("scale", _PIXEL_SCALE / stds, persistent=False)
        self.register_buffer("offset", (_PIXEL_SCALE - means) / stds, persistent=False)

    @classmethod
    def imagenet(cls) -> Normalize:
        """Constants of ImageNet, which many published CIFAR-10 networks were trained with too."""
        return cls(IMAGENET.mean, IMAGENET.std)

    @classmethod
    def of(cls, normalization: Normalization) -> Normalize | None:
        """The module of a normalization; None where a network sees our input as it is."""
        return None if normalization == NONE else cls(normalization.mean, normalization.std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x * self.scale.view(1, -1, 1, 1) + self.offset.view(1, -1, 1, 1)


class PadShortcut(nn.Module):
    """Shortcut without parameters: every `stride`-th pixel, with zero channels before and after.

    Source: He et al. 2015, arXiv:1512.03385, section 3.3, option A. For an odd number of zero
    channels, one more is put after.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride

    @property
    def front(self) -> int:
        """Number of zero channels before the input's channels."""
        return (self.out_channels - self.in_channels) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        behind = self.out_channels - self.in_channels - self.front
        strided = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(strided, (0, 0, 0, 0, self.front, behind))


class ConvNormReLU(nn.Sequential):
    """Square convolution without bias, padded by half its kernel, then batch norm and ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        layers = {"conv": conv, "bn": nn.BatchNorm2d(out_channels), "relu": nn.ReLU()}
        super().__init__(OrderedDict(layers))


class ConvNorm(nn.Sequential):
    """Square convolution without bias, padded by half its kernel, batch norm, and an activation unless None.

    The layers are numbered, as torchvision's are.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        *,
        stride: int = 1,
        groups: int = 1,
        eps: float = 1e-5,
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        norm = nn.BatchNorm2d(out_channels, eps=eps)
        super().__init__(conv, norm, *(() if activation is None else (activation(),)))


class Classifier(nn.Module):
    """A network that classifies by its last map: `features`, average pool, `classifier`."""

    def __init__(self, features: nn.Module, classifier: nn.Module, normalize: Normalize | None) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = classifier
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        logits: torch.Tensor = self.classifier(self.flatten(self.pool(self.features(self.normalize(x)))))
        return logits


def initialize(module: nn.Module) -> None:
    """Draw weights as in He et al. 2015, arXiv:1502.01852, and zero the biases; for `Module.apply`."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
