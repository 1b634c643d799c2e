"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.zoo.layers import Normalize
from bitlathe.model.zoo.lenet import LeNet5
from bitlathe.model.zoo.lenet_caffe import CaffeLeNet5
from bitlathe.model.zoo.mobilenet import CIFAR_STRIDES, SMALL_STRIDES, MobileNet, Strides
from bitlathe.model.zoo.resnet import CifarResNet, Shortcut, conv_shortcut, pad_shortcut

_CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"
_RESNET_MIN_SIZE = 4  # two stacks halve the map


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a builder must fit: classes, and the images' channels, size and normalisation."""

    num_classes: int
    in_channels: int
    input_size: int  # height and width in pixels
    normalize: Normalize | None = None


Builder = Callable[[Inputs], nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network of the zoo, the data set it is usually trained on, and that set's shape."""

    name: str
    builder: Builder
    dataset: str
    num_classes: int
    in_channels: int
    input_size: int


def _lenet5(inputs: Inputs) -> nn.Module:
    return LeNet5(
        num_classes=inputs.num_classes,
        in_channels=inputs.in_channels,
        input_size=inputs.input_size,
        normalize=inputs.normalize,
    )


def _lenet5_caffe(inputs: Inputs) -> nn.Module:
    return CaffeLeNet5(
        num_classes=inputs.num_classes,
        in_channels=inputs.in_channels,
        input_size=inputs.input_size,
        normalize=inputs.normalize,
    )


def _mobilenet(*, strides: Strides, width: float = 1.0) -> Builder:
    def builder(inputs: Inputs) -> nn.Module:
        return MobileNet(
            num_classes=inputs.num_classes,
            in_channels=inputs.in_channels,
            width=width,
            strides=strides,
            normalize=inputs.normalize,
        )

    return builder


def _resnet(name: str, blocks: int, shortcut: Shortcut) -> NetworkSpec:
    def builder(inputs: Inputs) -> nn.Module:
        if inputs.input_size < _RESNET_MIN_SIZE:
            raise ShapeError(
                f"{name}: image size {inputs.input_size} is too small; use {_RESNET_MIN_SIZE} or more"
            )
        return CifarResNet(
            blocks=blocks,
            shortcut=shortcut,
            num_classes=inputs.num_classes,
            in_channels=inputs.in_channels,
            normalize=inputs.normalize,
        )

    return NetworkSpec(
        name=name, builder=builder, dataset="cifar10", num_classes=10, in_channels=3, input_size=32
    )


_SPECS = (
    NetworkSpec(
        name="lenet5", builder=_lenet5, dataset="digits", num_classes=10, in_channels=1, input_size=8
    ),
    NetworkSpec(
        name="lenet5-caffe",
        builder=_lenet5_caffe,
        dataset="mnist",
        num_classes=10,
        in_channels=1,
        input_size=28,
    ),
    _resnet("resnet8", 1, conv_shortcut),
    _resnet("resnet20", 3, pad_shortcut),
    _resnet("resnet56", 9, pad_shortcut),
    _resnet("resnet110", 18, pad_shortcut),
    NetworkSpec(
        name="mobilenet",
        builder=_mobilenet(strides=CIFAR_STRIDES),
        dataset="cifar10",
        num_classes=10,
        in_channels=3,
        input_size=32,
    ),
    NetworkSpec(
        name="mobilenet-28",
        builder=_mobilenet(strides=SMALL_STRIDES),
        dataset="fashion_mnist",
        num_classes=10,
        in_channels=1,
        input_size=28,
    ),
)

NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in _SPECS}


def network_spec(name: str) -> NetworkSpec:
    """Entry of the network called `name`; UnsupportedLayer lists the names when there is none."""
    if name not in NETWORKS:
        raise UnsupportedLayer(f"{name}: no such network; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: int | None = None,
    seed: int = 0,
    normalize: Normalize | None = None,
) -> nn.Module:
    """Make a network with seeded initial weights; what is not given comes from its `NetworkSpec`."""
    spec = network_spec(name)
    inputs = Inputs(
        num_classes=spec.num_classes if num_classes is None else num_classes,
        in_channels=spec.in_channels if in_channels is None else in_channels,
        input_size=spec.input_size if input_size is None else input_size,
        normalize=normalize,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return spec.builder(inputs)


def checkpoint_path(network: str, dataset: str) -> Path:
    """Where the trained weights that come with the package lie (they exist for a few pairs)."""
    return _CHECKPOINTS / f"{network}-{dataset}.pt"
