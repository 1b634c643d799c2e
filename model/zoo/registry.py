"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.zoo.alexnet import AlexNet
from bitlathe.model.zoo.deep_resnet import Bottleneck, DeepResNet, ProjectedBlock, Stem
from bitlathe.model.zoo.densenet import densenet_bc
from bitlathe.model.zoo.googlenet import GoogLeNet
from bitlathe.model.zoo.inverted_residual import (
    CIFAR_EFFICIENTNET_LITE0,
    CIFAR_MOBILENET_V2,
    EFFICIENTNET_LITE0,
    MOBILENET_V2,
    inverted_residuals,
)
from bitlathe.model.zoo.layers import Normalize
from bitlathe.model.zoo.lenet import LeNet5
from bitlathe.model.zoo.lenet_caffe import CaffeLeNet5
from bitlathe.model.zoo.mobilenet import CIFAR_STRIDES, IMAGENET_STRIDES, SMALL_STRIDES, MobileNet
from bitlathe.model.zoo.mobilenet_v3 import mobilenet_v3_small
from bitlathe.model.zoo.resnet import CifarResNet, Shortcut, conv_shortcut, pad_shortcut
from bitlathe.model.zoo.resnext import resnext29
from bitlathe.model.zoo.shufflenet_v2 import ShuffleNetV2
from bitlathe.model.zoo.squeezenet import SqueezeNet
from bitlathe.model.zoo.unet import UNet
from bitlathe.model.zoo.vgg import Vgg16
from bitlathe.model.zoo.yolo import YoloV3Tiny

_CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"


InputSize = int | tuple[int, int]  # side of square images, or height and width, in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a builder needs: classes, and the images' channels, size and normalisation."""

    num_classes: int
    in_channels: int
    input_size: tuple[int, int]  # height and width in pixels
    normalize: Normalize | None = None


NetworkBuilder = Callable[[Inputs], nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network of the zoo, the data set it is usually trained on, and that set's shape."""

    name: str
    builder: NetworkBuilder
    dataset: str
    num_classes: int
    in_channels: int
    input_size: int
    classifies: bool = True  # whether its output is one value a class; else maps


def _sized(name: str, module: Callable[..., nn.Module]) -> NetworkBuilder:
    """Builder of a module for square images that depends on their size and checks it itself."""

    def builder(inputs: Inputs) -> nn.Module:
        height, width = inputs.input_size
        if height != width:
            raise ShapeError(
                f"{name}: images are {height}x{width}, and it takes square ones; resize or pad them, or give "
                "a network of your own, or one that averages its last map, such as resnet8"
            )
        return module(
            num_classes=inputs.num_classes,
            in_channels=inputs.in_channels,
            input_size=height,
            normalize=inputs.normalize,
        )

    return builder


def _of_maps(name: str, module: Callable[..., nn.Module], multiple: int) -> NetworkBuilder:
    """Builder of a module that makes maps, for images whose sides are multiples of a number."""

    def builder(inputs: Inputs) -> nn.Module:
        if any(side % multiple or not side for side in inputs.input_size):
            height, width = inputs.input_size
            raise ShapeError(
                f"{name}: images are {height}x{width}; resize them to sides that are multiples of {multiple}"
            )
        return module(
            num_classes=inputs.num_classes, in_channels=inputs.in_channels, normalize=inputs.normalize
        )

    return builder


def _fully_convolutional(
    name: str, module: Callable[..., nn.Module], smallest: int, **settings: object
) -> NetworkSpec:
    """A CIFAR-10 network that averages the last map; it takes images of at least `smallest` pixels a side."""

    def builder(inputs: Inputs) -> nn.Module:
        if (side := min(inputs.input_size)) < smallest:
            raise ShapeError(f"{name}: image size {side} is too small; use {smallest} or more")
        return module(
            num_classes=inputs.num_classes,
            in_channels=inputs.in_channels,
            normalize=inputs.normalize,
            **settings,
        )

    return _cifar10(name, builder)


def _resnet(name: str, blocks: int, shortcut: Shortcut) -> NetworkSpec:
    return _fully_convolutional(name, CifarResNet, 4, blocks=blocks, shortcut=shortcut)


def _resnet18(name: str, stem: Stem, smallest: int) -> NetworkSpec:
    blocks = (2, 2, 2, 2)
    return _fully_convolutional(name, DeepResNet, smallest, block=ProjectedBlock, blocks=blocks, stem=stem)


def _resnet50(name: str, stem: Stem, smallest: int) -> NetworkSpec:
    blocks = (3, 4, 6, 3)
    return _fully_convolutional(name, DeepResNet, smallest, block=Bottleneck, blocks=blocks, stem=stem)


def _cifar10(name: str, builder: NetworkBuilder) -> NetworkSpec:
    return NetworkSpec(
        name=name, builder=builder, dataset="cifar10", num_classes=10, in_channels=3, input_size=32
    )


def _grey(name: str, builder: NetworkBuilder, dataset: str, input_size: int) -> NetworkSpec:
    return NetworkSpec(
        name=name, builder=builder, dataset=dataset, num_classes=10, in_channels=1, input_size=input_size
    )


def _imagenet(spec: NetworkSpec) -> NetworkSpec:
    """A network for the shape of ImageNet's images, with a stand-in for them."""
    return replace(spec, dataset="synthetic224", num_classes=1000, input_size=224)


_SPECS = (
    _grey("lenet5", _sized("lenet5", LeNet5), "digits", 8),
    _grey("lenet5-caffe", _sized("lenet5-caffe", CaffeLeNet5), "mnist", 28),
    _cifar10("alexnet", _sized("alexnet", AlexNet)),
    _cifar10("vgg16", _sized("vgg16", Vgg16)),
    _fully_convolutional("googlenet", GoogLeNet, 4),
    _resnet("resnet8", 1, conv_shortcut),
    _resnet("resnet20", 3, pad_shortcut),
    _resnet("resnet32", 5, pad_shortcut),
    _resnet("resnet44", 7, pad_shortcut),
    _resnet("resnet56", 9, pad_shortcut),
    _resnet("resnet110", 18, pad_shortcut),
    _resnet18("resnet18", Stem.CIFAR, 8),
    _resnet50("resnet50", Stem.CIFAR, 8),
    _fully_convolutional("mobilenet", MobileNet, 16, strides=CIFAR_STRIDES),
    replace(
        _fully_convolutional("mobilenet-28", MobileNet, 16, strides=SMALL_STRIDES),
        dataset="fashion_mnist",
        in_channels=1,
        input_size=28,
    ),
    _imagenet(_resnet18("resnet18-224", Stem.IMAGENET, 32)),
    _imagenet(_resnet50("resnet50-224", Stem.IMAGENET, 32)),
    _imagenet(_fully_convolutional("mobilenet-224", MobileNet, 32, strides=IMAGENET_STRIDES)),
    _fully_convolutional("mobilenetv2", inverted_residuals, 8, network=CIFAR_MOBILENET_V2),
    _fully_convolutional("mobilenetv3-small", mobilenet_v3_small, 8, halves_first=False),
    _fully_convolutional("efficientnet-lite0", inverted_residuals, 8, network=CIFAR_EFFICIENTNET_LITE0),
    _fully_convolutional("shufflenetv2", ShuffleNetV2, 8, halves_first=False),
    _fully_convolutional("squeezenet", SqueezeNet, 17, halves_first=False),
    _fully_convolutional("densenet-bc", densenet_bc, 4, depth=40, growth=12),
    _fully_convolutional("resnext29", resnext29, 4, groups=32, width=4),
    _imagenet(_fully_convolutional("mobilenetv2-224", inverted_residuals, 32, network=MOBILENET_V2)),
    _imagenet(_fully_convolutional("mobilenetv3-small-224", mobilenet_v3_small, 32, halves_first=True)),
    _imagenet(
        _fully_convolutional("efficientnet-lite0-224", inverted_residuals, 32, network=EFFICIENTNET_LITE0)
    ),
    _imagenet(_fully_convolutional("shufflenetv2-224", ShuffleNetV2, 32, halves_first=True)),
    _imagenet(_fully_convolutional("squeezenet-224", SqueezeNet, 32, halves_first=True)),
    NetworkSpec(
        name="yolov3-tiny",
        builder=_of_maps("yolov3-tiny", YoloV3Tiny, 32),
        dataset="synthetic416",
        num_classes=80,
        in_channels=3,
        input_size=416,
        classifies=False,
    ),
    NetworkSpec(
        name="unet",
        builder=_of_maps("unet", UNet, 8),
        dataset="digit_masks",
        num_classes=11,
        in_channels=1,
        input_size=96,
        classifies=False,
    ),
)

NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in _SPECS}


def network_spec(name: str) -> NetworkSpec:
    """Entry of the network called `name`; UnsupportedLayer, listing the names, if there is none."""
    if name not in NETWORKS:
        raise UnsupportedLayer(f"{name}: no such network; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: InputSize | None = None,
    seed: int = 0,
    normalize: Normalize | None = None,
) -> nn.Module:
    """Make a network with seeded initial weights; its `NetworkSpec` gives the defaults.

    The weights are in channels_last order, in which convolutions are faster and which their maps inherit.
    """
    spec = network_spec(name)
    size = spec.input_size if input_size is None else input_size
    inputs = Inputs(
        num_classes=spec.num_classes if num_classes is None else num_classes,
        in_channels=spec.in_channels if in_channels is None else in_channels,
        input_size=(size, size) if isinstance(size, int) else size,
        normalize=normalize,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = spec.builder(inputs)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def checkpoint_path(network: str, dataset: str) -> Path:
    """Path of the trained weights in the package (they exist for a few pairs)."""
    return _CHECKPOINTS / f"{network}-{dataset}.pt"
