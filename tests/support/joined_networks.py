"""Random networks that join the image, constants, maps and flattened maps in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from prunable_networks import SIDE, ConvNorm, prepared
from torch import Tensor, nn

IMAGE, CONSTANT = "image", "constant"
IMAGE_CHANNELS, CONSTANT_CHANNELS = 3, 2


@dataclass(frozen=True, kw_only=True)
class Join:
    """Maps that are concatenated, by name, and what is done to the result."""

    parts: tuple[str, ...]
    behind: str  # "", "norm", "depthwise", "residual", "pad", "convolution", "halves"


class Joined(nn.Module):
    """Two or more convolutions of the image, joins of what there is, then classes."""

    def __init__(self, widths: Sequence[int], joins: Sequence[Join], end: str, last: Sequence[str]) -> None:
        super().__init__()
        self.joins, self.end, self.last = tuple(joins), end, tuple(last)
        self.channels = {IMAGE: IMAGE_CHANNELS, CONSTANT: CONSTANT_CHANNELS}
        self.layers = nn.ModuleDict()
        self.register_buffer(CONSTANT, torch.randn(1, CONSTANT_CHANNELS, SIDE, SIDE))
        for number, width in enumerate(widths):
            self.layers[f"map{number}"] = ConvNorm(IMAGE_CHANNELS, width)
            self.channels[f"map{number}"] = width
        for number, join in enumerate(self.joins):
            self._make(f"join{number}", join)
        self.pool = nn.AvgPool2d(SIDE // 2)
        per_channel = 1 if end == "mean" else 4
        features = per_channel * sum(self.channels[name] for name in self.last)
        self.spread = nn.BatchNorm1d(features) if end == "normed" else nn.Identity()
        self.hidden, self.classes = nn.Linear(features, 6), nn.Linear(6, 4)

    def _make(self, name: str, join: Join) -> None:
        width = sum(self.channels[part] for part in join.parts)
        self.channels[name] = width
        match join.behind:
            case "norm":
                self.layers[name] = nn.BatchNorm2d(width)
            case "depthwise":
                self.layers[name] = nn.Conv2d(width, width, 3, padding=1, groups=width)
            case "residual":
                self.layers[name] = nn.Conv2d(width, width, 3, padding=1)
            case "convolution":
                self.layers[name] = nn.Conv2d(width, 4, 1)
                self.channels[name] = 4

    def _join(self, name: str, join: Join, maps: dict[str, Tensor]) -> Tensor:
        joined = torch.cat([maps[part] for part in join.parts], 1)
        match join.behind:
            case "residual":
                return torch.relu(joined + self.layers[name](joined))
            case "pad":
                return nn.functional.pad(joined, (1, 1, 1, 1))[:, :, 1:-1, 2:]
            case "halves":
                return torch.cat(torch.chunk(joined, 2, 1)[::-1], 1)
            case "norm" | "depthwise" | "convolution":
                return torch.relu(self.layers[name](joined))
        return joined

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 4) of images (N, 3, SIDE, SIDE)."""
        constant: Tensor = self.get_buffer(CONSTANT)
        maps = {IMAGE: x, CONSTANT: constant.expand(len(x), -1, -1, -1)}
        for name, layer in self.layers.items():
            if name.startswith("map"):
                maps[name] = layer(x)
        for number, join in enumerate(self.joins):
            maps[f"join{number}"] = self._join(f"join{number}", join, maps)
        pooled = [self.pool(maps[name]) for name in self.last]
        match self.end:
            case "mean":
                features = torch.cat(pooled, 1).mean((2, 3))
            case "pixels last":
                features = torch.cat([p.permute(0, 2, 3, 1) for p in pooled], 3).flatten(1)
            case "flattened late":
                features = torch.cat(pooled, 1).flatten(1)
            case _:
                features = torch.cat([p.flatten(1) for p in pooled], 1)
        logits: Tensor = self.classes(torch.relu(self.hidden(self.spread(features))))
        return logits


@st.composite
def joined_networks(draw: st.DrawFn) -> Joined:
    """Networks of one to three joins, nested or side by side."""
    torch.manual_seed(draw(st.integers(0, 1 << 20)))
    widths = draw(st.lists(st.integers(2, 5), min_size=2, max_size=3))
    names = [IMAGE, CONSTANT, *(f"map{number}" for number in range(len(widths)))]
    joins = []
    for number in range(draw(st.integers(1, 3))):
        parts = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
        behind = draw(st.sampled_from(["", "norm", "depthwise", "residual", "pad", "convolution", "halves"]))
        joins.append(Join(parts=tuple(parts), behind=behind))
        names.append(f"join{number}")
    end = draw(st.sampled_from(["mean", "pixels last", "flattened late", "flattened early", "normed"]))
    last = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    model = Joined(widths, joins, end, last)
    prepared(model)
    return model
