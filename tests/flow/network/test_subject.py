"""A subject is normalised as its weights were trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import find_subject
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.normalization import IMAGENET, NONE
from bitlathe.model.zoo import NETWORKS, build
from bitlathe.model.zoo.resnet import CifarResNet

STRANGERS = load_dataset("synthetic224")  # three channels; these networks average maps of any size


def is_small_resnet(name: str) -> bool:
    with torch.device("meta"):
        return isinstance(build(name), CifarResNet)


@pytest.mark.parametrize("name", [name for name in NETWORKS if is_small_resnet(name)])
def test_foreign_weights_of_the_published_family_were_trained_on_imagenets_constants(
    name: str, tmp_path: Path
) -> None:
    model = build(name, num_classes=STRANGERS.num_classes)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    request = NetworkRequest(network=name, dataset=STRANGERS, weights=tmp_path / "weights.pt")
    # all but ResNet-8, which is MLPerf Tiny's
    expected = NONE if name == "resnet8" else IMAGENET
    assert find_subject(request).weights.normalization == expected
