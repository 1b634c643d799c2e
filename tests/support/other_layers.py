"""Networks of grouped and transposed convolutions, shuffles, splits and products of maps, of 3x8x8 images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F


def resnext() -> nn.Module:
    """A grouped convolution between two 1x1 convolutions, with a shortcut."""
    return Forward(
        lambda m, x: m.last(
            F.relu(m.out(F.relu(m.norm(m.grouped(F.relu(m.into(m.stem(x))))))) + m.stem(x)).mean((2, 3))
        ),
        stem=nn.Conv2d(3, 6, 3, padding=1),
        into=nn.Conv2d(6, 12, 1),
        grouped=nn.Conv2d(12, 20, 3, padding=1, groups=4),
        norm=nn.BatchNorm2d(20),
        out=nn.Conv2d(20, 6, 1),
        last=nn.Linear(6, 4),
    )


def depth_multiplier() -> nn.Module:
    return Forward(
        lambda m, x: m.last(F.hardswish(m.out(F.silu(m.norm(m.deep(F.relu(m.stem(x))))))).mean((2, 3))),
        stem=nn.Conv2d(3, 5, 3),
        deep=nn.Conv2d(5, 15, 3, groups=5),
        norm=nn.BatchNorm2d(15),
        out=nn.Conv2d(15, 6, 1),
        last=nn.Linear(6, 4),
    )


def u_net() -> nn.Module:
    """Transposed convolutions, one of them depthwise, and skips that are joined."""

    def run(m: Forward, x: Tensor) -> Tensor:
        down = F.relu(m.down(x))
        inner = F.relu(m.norm(m.inner(F.max_pool2d(down, 2))))
        up = F.relu(m.norm_up(m.up(inner)))
        wide = m.wide(F.leaky_relu(m.joined(torch.cat([down, up], 1)), 0.1))
        return m.last(F.interpolate(wide, scale_factor=2, mode="bilinear"))

    return Forward(
        run,
        down=nn.Conv2d(3, 5, 3, padding=1),
        inner=nn.Conv2d(5, 8, 3, padding=1),
        norm=nn.BatchNorm2d(8),
        up=nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False),
        norm_up=nn.BatchNorm2d(6),
        joined=nn.Conv2d(11, 7, 3, padding=1),
        wide=nn.ConvTranspose2d(7, 7, 3, stride=2, padding=1, output_padding=1, groups=7),
        last=nn.Conv2d(7, 2, 1),
    )


def shuffles() -> nn.Module:
    """Pixels from channels, channels from pixels, nearest upsampling."""
    return Forward(
        lambda m, x: F.interpolate(m.last(m.back(m.mid(m.up(F.relu(m.wide(x)))).relu())), scale_factor=2),
        wide=nn.Conv2d(3, 20, 3, padding=1),
        up=nn.PixelShuffle(2),
        mid=nn.Conv2d(5, 4, 3, padding=1),
        back=nn.PixelUnshuffle(2),
        last=nn.Conv2d(16, 2, 1),
    )


def channel_shuffle(shuffle: Callable[[Tensor], Tensor]) -> nn.Module:
    """Two grouped convolutions with a shuffle between them."""
    return Forward(
        lambda m, x: m.last(m.second(shuffle(F.relu(m.first(m.stem(x))))).mean((2, 3))),
        stem=nn.Conv2d(3, 12, 1),
        first=nn.Conv2d(12, 18, 1, groups=3),
        second=nn.Conv2d(18, 12, 3, groups=3),
        last=nn.Linear(12, 4),
    )


def shuffled_by_hand(x: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    return x.view(count, 3, channels // 3, height, width).transpose(1, 2).reshape(x.shape)


def halves() -> nn.Module:
    """Halves of a map that go different ways and are joined in the other order."""

    def run(m: Forward, x: Tensor) -> Tensor:
        one, other = F.relu(m.stem(x)).chunk(2, 1)
        return m.last(torch.cat([m.side(other), one], 1).mean((2, 3)))

    return Forward(run, stem=nn.Conv2d(3, 12, 3), side=nn.Conv2d(6, 5, 1), last=nn.Linear(11, 4))


def squeeze_excite() -> nn.Module:
    """A map times a vector made of it, and times another map."""

    def run(m: Forward, x: Tensor) -> Tensor:
        x = F.relu(m.stem(x))
        gate = torch.sigmoid(m.excite(F.relu(m.squeeze(x.mean((2, 3), keepdim=True)))))
        return m.last(m.slopes(m.mixed(x * gate) * m.other(x)).mean((2, 3)))

    return Forward(
        run,
        stem=nn.Conv2d(3, 8, 3),
        squeeze=nn.Conv2d(8, 4, 1),
        excite=nn.Conv2d(4, 8, 1),
        mixed=nn.Conv2d(8, 6, 1),
        other=nn.Conv2d(8, 6, 1),
        slopes=nn.PReLU(6),
        last=nn.Linear(6, 4),
    )


OTHER_NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "resnext": (resnext, {"stem": 6, "into": 3, "grouped": 5}),
    "depth multiplier": (depth_multiplier, {"stem": 5, "out": 6}),
    "u-net": (u_net, {"down": 5, "inner": 8, "up": 6, "joined": 7}),
    "shuffles": (shuffles, {"wide": 5, "mid": 4}),
    "channel shuffle": (lambda: channel_shuffle(nn.ChannelShuffle(3)), {"stem": 4, "first": 2, "second": 4}),
    "channel shuffle by hand": (
        lambda: channel_shuffle(shuffled_by_hand),
        {"stem": 4, "first": 2, "second": 4},  # places 0, 2, 4 meet in the second layer's groups
    ),
    "halves": (halves, {"stem": 6, "side": 5}),
    "squeeze-excite": (squeeze_excite, {"stem": 8, "squeeze": 4, "mixed": 6}),
}
