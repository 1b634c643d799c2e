"""Small networks of every structure that pruning must follow, and the masked twin of a pruned one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from bitlathe.model.prune.channels.groups import ChannelGroups
from bitlathe.model.prune.channels.members import MemberRole, tensors

SIDE = 8  # pixels of an image that `Chain` takes


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        return torch.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """Two convolutions around which the input, or a 1x1 convolution of it, is added."""

    def __init__(self, inputs: int, outputs: int, inner: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, inner)
        self.second = nn.Conv2d(inner, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class Separable(nn.Module):
    """Depthwise, then pointwise convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        return torch.relu(self.pointwise(self.depthwise(x)))


class Branches(nn.Module):
    """Branches side by side, concatenated; `keeps_input` adds the input, as a dense block does."""

    def __init__(self, inputs: int, widths: Sequence[int], *, keeps_input: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(ConvNorm(inputs, width) for width in widths)
        self.keeps_input = keeps_input
        self.outputs = sum(widths) + (inputs if keeps_input else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        own = [x] if self.keeps_input else []
        return torch.cat([*own, *(branch(x) for branch in self.branches)], 1)


class Chain(nn.Module):
    """Blocks in a row, then classes from a flattened or an averaged map."""

    def __init__(self, blocks: Sequence[nn.Module], *, flattens: bool, image_channels: int = 3) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.MaxPool2d(4) if flattens else nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        side = SIDE // 4 if flattens else 1
        last = blocks[-1].outputs
        assert isinstance(last, int)
        self.hidden = nn.Linear(last * side * side, 6)
        self.classes = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 4) of images (N, 3, SIDE, SIDE)."""
        logits: Tensor = self.classes(torch.relu(self.hidden(self.flatten(self.pool(self.blocks(x))))))
        return logits


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Random networks of one to four blocks behind a stem."""
    width = st.integers(2, 6)
    torch.manual_seed(draw(st.integers(0, 1 << 20)))
    blocks: list[nn.Module] = [ConvNorm(3, draw(width))]
    for _ in range(draw(st.integers(1, 4))):
        inputs = blocks[-1].outputs
        assert isinstance(inputs, int)
        kind = draw(st.sampled_from(["plain", "identity", "projection", "separable", "branches", "dense"]))
        if kind == "plain":
            blocks.append(ConvNorm(inputs, draw(width)))
        elif kind == "identity":
            blocks.append(Residual(inputs, inputs, draw(width)))
        elif kind == "projection":
            blocks.append(Residual(inputs, draw(width), draw(width)))
        elif kind == "separable":
            blocks.append(Separable(inputs, draw(width)))
        else:
            widths = draw(st.lists(width, min_size=2, max_size=3))
            blocks.append(Branches(inputs, widths, keeps_input=kind == "dense"))
    return prepared(Chain(blocks, flattens=draw(st.booleans())))


def prepared(model: nn.Module) -> nn.Module:
    """The model in double precision and evaluation mode, its batch norms as if trained."""
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model.double().eval()


def masked_twin(model: nn.Module, groups: ChannelGroups, removed: Mapping[str, Sequence[int]]) -> nn.Module:
    """A copy of full size with the removed channels zero where they arise, batch norm's bias included."""
    twin = copy.deepcopy(model)
    layers = dict(twin.named_modules())
    with torch.no_grad():
        for group in groups:
            channels = np.array(removed.get(group.name, ()), np.int64)
            for member in group.members:
                layer, gone = layers[member.layer], torch.from_numpy(member.at(channels))
                if member.role is not MemberRole.CONSUMER:
                    for name, dimension in tensors(layer, member.role):
                        if not name.startswith("running") and getattr(layer, name) is not None:
                            getattr(layer, name).movedim(dimension, 0)[gone] = 0
    return twin


def random_removal(
    rng: np.random.Generator, groups: ChannelGroups, share: float = 0.5
) -> dict[str, tuple[int, ...]]:
    """Some channels of every group, never all of one."""
    removed = {}
    for group in groups:
        count = int(rng.integers(0, max(1, round(group.width * share)) + 1))
        chosen = rng.choice(group.width, min(count, group.width - 1), replace=False)
        if len(chosen):
            removed[group.name] = tuple(sorted(chosen.tolist()))
    return removed
