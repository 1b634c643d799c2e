"""A subject is normalised as its weights were trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import find_subject
from bitlathe.model.compress.weight_files import WeightsMetadata, save_weights
from bitlathe.model.data import load_dataset
from bitlathe.model.data.arrays import dataset_of
from bitlathe.model.graph.normalization import IMAGENET, NONE, Normalization
from bitlathe.model.zoo import NETWORKS, build, network_spec
from bitlathe.model.zoo.outputs import tensors_of
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


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("mean=0.485,0.456,0.406,std=0.229,0.224,0.225", None),
        ("0..1", "trained with normalization imagenet, which `normalization=range=0..1` replaces"),
    ],
)
def test_a_normalization_that_contradicts_the_weight_files_own_is_told(
    tmp_path: Path, asked: str, line: str | None
) -> None:
    note = WeightsMetadata(
        network="resnet8",
        dataset=STRANGERS.name,
        accuracy=None,
        num_classes=STRANGERS.num_classes,
        in_channels=3,
        input_size=224,
        epochs=1,
        seed=0,
        command="",
        normalization="imagenet",
    )
    path = tmp_path / "weights.pt"
    save_weights(path, build("resnet8", num_classes=STRANGERS.num_classes), note)
    request = NetworkRequest(
        network="resnet8", dataset=STRANGERS, weights=path, normalization=Normalization.parse(asked)
    )
    told: list[str] = []
    subject = find_subject(request, lambda event: told.append(str(event)))
    assert subject.weights.normalization == request.normalization
    assert [one for one in told if "trained with" in one] == (
        [] if line is None else [f"{path}: its weights were {line}"]
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fastest_model_of_the_zoo_has_no_batch_norm_that_folds_and_the_same_outputs(name: str) -> None:
    spec, request = network_spec(name), NetworkRequest(network="resnet8", dataset=STRANGERS)
    subject = replace(find_subject(request), model=build(name, seed=0).eval())
    fastest = subject.fastest_model
    stands_before = name == "densenet-bc"  # the convolution, behind joined maps
    assert any(isinstance(module, nn.BatchNorm2d) for module in fastest.modules()) == stands_before
    with torch.no_grad():
        images = torch.rand(1, spec.in_channels, spec.input_size, spec.input_size)
        outputs = zip(tensors_of(subject.model(images)), tensors_of(fastest(images)), strict=True)
    assert all(float((a - b).abs().max()) <= 1e-4 * float(a.abs().max()) for a, b in outputs)


def test_a_network_of_the_zoo_that_makes_maps_is_judged_by_what_its_labels_are() -> None:
    rng = np.random.default_rng(0)
    images, maps = rng.integers(0, 256, (10, 16, 24, 1), np.uint8), rng.integers(0, 11, (10, 16, 24))
    pictures = dataset_of((images, maps), name="maps")
    subject = find_subject(NetworkRequest(network="unet", dataset=pictures))
    assert (subject.outputs, subject.judge.name) == (((11, 16, 24),), "miou")
    boxes = dataset_of((rng.integers(0, 256, (10, 32, 64, 3), np.uint8), np.zeros((10, 2, 5))), name="boxes")
    subject = find_subject(NetworkRequest(network="yolov3-tiny", dataset=boxes))
    assert subject.outputs == ((255, 1, 2), (255, 2, 4))
    with pytest.raises(UsageError, match=r"yolov3-tiny: .*; give `metric`"):
        _ = subject.judge


def test_the_fastest_model_of_ones_own_network_is_that_network() -> None:
    model = build("resnet8", num_classes=STRANGERS.num_classes).eval()
    subject = find_subject(NetworkRequest(network=model, dataset=STRANGERS))
    assert subject.fastest_model is subject.model
