"""Channels of an output never leave, whichever output it is; those before it may."""

from __future__ import annotations

import pytest
import torch
from two_headed import two_heads

from bitlathe.model.capture.capture import capture
from bitlathe.model.prune.channels.dependencies import CLASSES
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.removal import prune
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.zoo.outputs import tensors_of

EXAMPLE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layer", ["fc", "mask", "body"])
def test_the_channels_of_every_output_stay(layer: str) -> None:
    groups = channel_groups(two_heads(), EXAMPLE, ChannelScope.ALL)
    assert groups.refused[layer] == CLASSES
    with pytest.raises(Unprunable, match=f"^{layer}: cannot be pruned: {CLASSES}"):
        groups.find(layer)


def test_channels_before_the_outputs_leave_and_the_outputs_keep_their_shapes() -> None:
    model = two_heads()
    groups = channel_groups(model, EXAMPLE, ChannelScope.ALL)
    assert [group.name for group in groups] == ["stem"]
    shapes = [output.shape for output in tensors_of(model(EXAMPLE))]
    prune(model, Selection(groups=groups, removed={"stem": (1, 4, 6)}), example=EXAMPLE)
    assert model.stem.weight.shape[0] == 5
    assert [output.shape for output in tensors_of(model(EXAMPLE))] == shapes
    assert [output.name for output in capture(model, (1, 8, 8)).outputs] == ["classes", "mask", "features"]
