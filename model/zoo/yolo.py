"""YOLOv3-tiny: boxes of two sizes on grids of 32 and 16 pixels.

Source: Redmon and Farhadi 2018, arXiv:1804.02767, and pjreddie/darknet, cfg/yolov3-tiny.cfg.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from bitlathe.model.zoo.layers import Normalize, initialize

ANCHORS = 3  # boxes of a cell
BOX_VALUES = 5  # x, y, width, height, and whether there is one
_STAGES = (16, 32, 64, 128, 256)  # channels; a pool behind each halves the map


class ConvNormLeaky(nn.Sequential):
    """Square convolution without bias, padded by half its kernel, then batch norm and LeakyReLU of 0.1."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        layers = {"conv": conv, "bn": nn.BatchNorm2d(out_channels), "act": nn.LeakyReLU(0.1)}
        super().__init__(OrderedDict(layers))


class SameMaxPool(nn.Module):
    """The largest of 2x2 pixels around each one, itself the upper left; nothing is beyond the map."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, 1, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        made: torch.Tensor = self.pool(x)
        return made[:, :, 1:, 1:]


class YoloV3Tiny(nn.Module):
    """Boxes on two grids: maps (N, 3 * (5 + classes), H / 32, W / 32), and the same of half the cells."""

    def __init__(self, *, num_classes: int, in_channels: int, normalize: Normalize | None = None) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        outputs = ANCHORS * (BOX_VALUES + num_classes)
        layers: list[nn.Module] = []
        inputs = in_channels
        for channels in _STAGES:
            layers += [ConvNormLeaky(inputs, channels, 3), nn.MaxPool2d(2)]
            inputs = channels
        self.early = nn.Sequential(*layers[:-1])  # its map is that of the finer grid
        self.late = nn.Sequential(
            *(layers[-1], ConvNormLeaky(256, 512, 3), SameMaxPool()),
            *(ConvNormLeaky(512, 1024, 3), ConvNormLeaky(1024, 256, 1)),
        )
        self.coarse = nn.Sequential(ConvNormLeaky(256, 512, 3), nn.Conv2d(512, outputs, 1))
        self.lateral = nn.Sequential(ConvNormLeaky(256, 128, 1), nn.Upsample(scale_factor=2))
        self.fine = nn.Sequential(ConvNormLeaky(384, 256, 3), nn.Conv2d(256, outputs, 1))
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw boxes of images (N, in_channels, H, W), whose sides are multiples of 32."""
        early = self.early(self.normalize(x))
        late = self.late(early)
        return self.coarse(late), self.fine(torch.cat([self.lateral(late), early], dim=1))
