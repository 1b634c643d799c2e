"""A subject is normalised as its weights were trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import find_subject
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.normalization import IMAGENET, NONE
from bitlathe.model.zoo import NETWORKS, build, network_spec
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


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fastest_model_of_the_zoo_has_no_batch_norm_and_the_same_outputs(name: str) -> None:
    spec, request = network_spec(name), NetworkRequest(network="resnet8", dataset=STRANGERS)
    subject = replace(find_subject(request), model=build(name, seed=0).eval())
    fastest = subject.fastest_model
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fastest.modules())
    with torch.no_grad():
        images = torch.rand(1, spec.in_channels, spec.input_size, spec.input_size)
        wanted, made = subject.model(images), fastest(images)
    assert float((made - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())


def test_the_fastest_model_of_ones_own_network_is_that_network() -> None:
    model = build("resnet8", num_classes=STRANGERS.num_classes).eval()
    subject = find_subject(NetworkRequest(network=model, dataset=STRANGERS))
    assert subject.fastest_model is subject.model
