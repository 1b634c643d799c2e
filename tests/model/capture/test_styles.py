"""Networks in the styles of the field, as people write them, are captured whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captured_modules import captured_alike
from torch import Tensor, nn
from torch.nn import functional as F

Block = Callable[..., nn.Module]


def conv_norm(
    inputs: int, outputs: int, kernel: int = 3, act: nn.Module | None = None, **more: int
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    padding = more.get("dilation", 1) * (kernel // 2)
    layers = [
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False, **more),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act]))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def mobilenet_v2() -> nn.Module:
    def inverted(c: int) -> nn.Module:
        wide = conv_norm(c, 6 * c, 1, nn.ReLU6(inplace=True))
        deep = conv_norm(6 * c, 6 * c, 3, nn.ReLU6(inplace=True), groups=6 * c)
        return Residual(wide, deep, conv_norm(6 * c, c, 1))

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(6, 4)]
    return nn.Sequential(conv_norm(3, 6, 3, nn.ReLU6(True), stride=2), inverted(6), inverted(6), *head)


class SqueezeExcite(nn.Module):
    """As torchvision writes it, or with dense layers."""

    def __init__(self, c: int, act: nn.Module, *, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense
        self.first = nn.Linear(c, 2) if dense else nn.Conv2d(c, 2, 1)
        self.second = nn.Linear(2, c) if dense else nn.Conv2d(2, c, 1)
        self.pool, self.act = nn.AdaptiveAvgPool2d(1), act

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = self.pool(x).view(b, c) if self.dense else self.pool(x)
        y = self.act(self.second(F.relu(self.first(y))))
        return x * (y.view(b, c, 1, 1) if self.dense else y)


def mobilenet_v3() -> nn.Module:
    def block(c: int, act: Block) -> nn.Module:
        deep = conv_norm(2 * c, 2 * c, 5, act(), groups=2 * c)
        squeeze = SqueezeExcite(2 * c, nn.Hardsigmoid(inplace=True))
        return Residual(conv_norm(c, 2 * c, 1, act()), deep, squeeze, conv_norm(2 * c, c, 1))

    head = [conv_norm(6, 9, 1, nn.Hardswish(True)), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    head += [nn.Linear(9, 12), nn.Hardswish(inplace=True), nn.Dropout(p=0.2, inplace=True), nn.Linear(12, 4)]
    return nn.Sequential(
        conv_norm(3, 6, 3, nn.Hardswish(True), stride=2), block(6, nn.ReLU), block(6, nn.Hardswish), *head
    )


def efficientnet() -> nn.Module:
    squeeze = SqueezeExcite(12, nn.Sigmoid(), dense=True)
    body = Residual(
        conv_norm(6, 12, 1, nn.SiLU(True)),
        conv_norm(12, 12, 3, nn.SiLU(), groups=12),
        squeeze,
        conv_norm(12, 6, 1),
    )
    same = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 6, 3, 2, bias=False), nn.BatchNorm2d(6))
    return nn.Sequential(same, nn.SiLU(), body, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(6, 4))


class Shuffle(nn.Module):
    """A unit of ShuffleNetV2."""

    def __init__(self, c: int, stride: int = 1) -> None:
        super().__init__()
        half = c // 2
        inputs = c if stride == 2 else half
        self.branch = nn.Sequential(
            conv_norm(inputs, half, 1, nn.ReLU(True)),
            conv_norm(half, half, 3, stride=stride, groups=half),
            conv_norm(half, half, 1, nn.ReLU(True)),
        )
        self.short = None if stride == 1 else conv_norm(c, half, 3, nn.ReLU(), stride=2)

    def forward(self, x: Tensor) -> Tensor:
        if self.short is None:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch(x2)), dim=1)
        else:
            out = torch.cat((self.short(x), self.branch(x)), dim=1)
        batch, channels, height, width = out.size()
        out = out.view(batch, 2, channels // 2, height, width)
        return torch.transpose(out, 1, 2).contiguous().view(batch, -1, height, width)


class ShuffleNet(nn.Module):
    """ShuffleNetV2, small."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, 8, 3, nn.ReLU(), stride=2), nn.MaxPool2d(3, 2, 1))
        self.units = nn.Sequential(Shuffle(8, 2), Shuffle(8), Shuffle(8))
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.units(self.stem(x)).mean([2, 3]))


class Fire(nn.Module):
    """A unit of SqueezeNet."""

    def __init__(self, c: int, s: int, e: int) -> None:
        super().__init__()
        self.squeeze, self.one, self.three = (
            nn.Conv2d(c, s, 1),
            nn.Conv2d(s, e, 1),
            nn.Conv2d(s, e, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x), inplace=True)
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def squeezenet() -> nn.Module:
    head = [nn.Dropout(), nn.Conv2d(12, 4, 1), nn.ReLU(True), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1)]
    pool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(True), pool, Fire(8, 3, 5), Fire(10, 4, 6), *head, nn.Softmax(1)
    )


class Dense(nn.Module):
    """A layer of DenseNet-BC."""

    def __init__(self, c: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 4 * growth, 1, bias=False)),
            *(nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


def densenet() -> nn.Module:
    transition = [nn.BatchNorm2d(14), nn.ReLU(), nn.Conv2d(14, 7, 1, bias=False), nn.AvgPool2d(2, 2)]
    head = [nn.BatchNorm2d(10), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 4)]
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), Dense(8, 3), Dense(11, 3), *transition, Dense(7, 3), *head
    )


def resnext() -> nn.Module:
    def block() -> nn.Module:
        deep = conv_norm(8, 8, 3, nn.ReLU(True), groups=4)
        return nn.Sequential(
            Residual(conv_norm(12, 8, 1, nn.ReLU(True)), deep, conv_norm(8, 12, 1)), nn.ReLU()
        )

    return nn.Sequential(
        conv_norm(3, 12, 3, nn.ReLU()), block(), block(), nn.AvgPool2d(16), nn.Flatten(), nn.Linear(12, 4)
    )


class TinyYolo(nn.Module):
    """Two heads, a route by upsampling, leaky ReLUs and a max pool of stride 1."""

    def __init__(self) -> None:
        super().__init__()
        leaky = lambda: nn.LeakyReLU(0.1, inplace=True)  # noqa: E731
        self.front = nn.Sequential(
            conv_norm(3, 6, 3, leaky()), nn.MaxPool2d(2, 2), conv_norm(6, 8, 3, leaky())
        )
        self.deep = nn.Sequential(
            nn.MaxPool2d(2, 2), conv_norm(8, 10, 3, leaky()), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1)
        )
        self.one, self.two = nn.Conv2d(10, 18, 1), nn.Conv2d(13, 18, 1)
        self.route = nn.Sequential(conv_norm(10, 5, 1, leaky()), nn.Upsample(scale_factor=2, mode="nearest"))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.front(x)
        coarse = self.deep(fine)
        heads = self.one(coarse), self.two(torch.cat((self.route(coarse), fine), 1))
        n = len(x)
        return tuple(  # type: ignore[return-value]
            y.view(n, 3, 6, *y.shape[2:]).permute(0, 1, 3, 4, 2).contiguous() for y in heads
        )


class CspYolo(nn.Module):
    """Focus, split and joined parts, pyramid of max pools, SiLU, a head of boxes and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(12, 8, 3, nn.SiLU())
        self.first, self.inner = conv_norm(8, 8, 1, nn.SiLU()), Residual(conv_norm(4, 4, 3, nn.SiLU()))
        self.last = conv_norm(12, 8, 1, nn.SiLU())
        self.pool, self.after = nn.MaxPool2d(5, 1, 2), conv_norm(32, 8, 1, nn.SiLU())
        self.box, self.score = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        parts = list(self.first(self.stem(x)).split((4, 4), 1))
        parts.append(self.inner(parts[-1]))
        x = self.last(torch.cat(parts, 1))
        one = self.pool(x)
        two = self.pool(one)
        x = self.after(torch.cat((x, one, two, self.pool(two)), 1))
        return torch.cat((self.box(x), self.score(x)), 1).view(len(x), 7, -1).transpose(1, 2)


class UNet(nn.Module):
    """Down, up by transposed convolution or bilinearly, padded to the size of what it joins."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.down, self.low = conv_norm(3, 6, 3, nn.ReLU()), conv_norm(6, 8, 3, nn.ReLU())
        self.up, self.last = up, nn.Sequential(conv_norm(14, 6, 3, nn.ReLU()), nn.Conv2d(6, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down(x)
        y = self.up(self.low(F.max_pool2d(fine, 2)))
        dy, dx = fine.size(2) - y.size(2), fine.size(3) - y.size(3)
        y = F.pad(y, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return torch.sigmoid(self.last(torch.cat([fine, y], dim=1)))


class Pyramid(nn.Module):
    """Dilated branches and a pooled one, as DeepLab, then a finer head that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, 6, 3, nn.ReLU(), stride=2)
        self.branches = nn.ModuleList(conv_norm(6, 4, 3, nn.ReLU(), dilation=d) for d in (1, 2, 4))
        self.pooled, self.head = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_norm(6, 4, 1, nn.ReLU())),
            nn.Conv2d(16, 3, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        pooled = F.interpolate(self.pooled(y), size=y.shape[-2:], mode="bilinear", align_corners=False)
        y = self.head(torch.cat([*(branch(y) for branch in self.branches), pooled], 1))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class SpatialPyramid(nn.Module):
    """Pools of several sizes, flattened and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 5, 3, 2), nn.BatchNorm1d(105), nn.Linear(105, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.conv(x))
        pools = [F.adaptive_max_pool2d(x, size).view(x.shape[0], -1) for size in (4, 2, 1)]
        return self.fc(self.norm(torch.cat(pools, dim=-1)))


class Autoencoder(nn.Module):
    """A vector between, and a map made of it again."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1),
            nn.GELU(),
            nn.Conv2d(6, 6, 3, 2, 1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(96, 10),
        )
        self.grow = nn.Linear(10, 96)
        self.decode = nn.Sequential(
            *(nn.Unflatten(1, (6, 4, 4)), nn.ConvTranspose2d(6, 6, 3, 2, 1, output_padding=1), nn.ELU()),
            *(nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.grow(self.encode(x)))


class SuperResolution(nn.Module):
    """Pixels of channels, and a bilinear shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.PReLU(8), nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def convnext() -> nn.Module:
    class Block(nn.Module):
        def __init__(self, c: int) -> None:
            super().__init__()
            self.deep, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.BatchNorm2d(c)
            self.wide, self.narrow = nn.Linear(c, 2 * c), nn.Linear(2 * c, c)
            self.gamma = nn.Parameter(0.1 * torch.ones(c))

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(self.deep(x)).permute(0, 2, 3, 1)
            y = self.gamma * self.narrow(F.gelu(self.wide(y)))
            return x + y.permute(0, 3, 1, 2)

    return nn.Sequential(
        nn.Conv2d(3, 6, 4, 4), Block(6), Block(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "MobileNetV2": (mobilenet_v2, 12),
    "MobileNetV3": (mobilenet_v3, 12),
    "EfficientNet": (efficientnet, 13),
    "ShuffleNetV2": (ShuffleNet, 16),
    "SqueezeNet": (squeezenet, 17),
    "DenseNet-BC": (densenet, 10),
    "ResNeXt": (resnext, 16),
    "tiny YOLO": (TinyYolo, 16),
    "YOLO of split parts": (CspYolo, 12),
    "U-Net": (lambda: UNet(nn.ConvTranspose2d(8, 8, 2, stride=2)), 16),
    "U-Net of an odd size": (
        lambda: UNet(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
        15,
    ),
    "DeepLab": (Pyramid, 16),
    "spatial pyramid": (SpatialPyramid, 14),
    "autoencoder": (Autoencoder, 16),
    "super-resolution": (SuperResolution, 8),
    "ConvNeXt": (convnext, 16),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_field_is_captured(name: str) -> None:
    torch.manual_seed(0)
    make, size = NETWORKS[name]
    captured_alike(make(), (3, size, size))
