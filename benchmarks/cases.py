"""The networks whose cycles are measured: each makes its integer graph and the codes of a few images."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.model.graph.codebook import Codebook, index_shape, index_type
from bitlathe.model.graph.files.account import macs_by_layer
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense, Node
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

CALIBRATION_IMAGES = 64  # enough for sensible integers; accuracy is another benchmark
OTHER_STYLES = (  # networks whose operators go beyond plain convolutions and pools
    *("mobilenetv2", "mobilenetv3-small", "efficientnet-lite0", "shufflenetv2", "squeezenet"),
    *("densenet-bc", "resnext29", "unet", "yolov3-tiny"),
)
CODEWORDS, LENGTH = 256, 8  # of product-quantized weights: a byte for eight


class Subject(NamedTuple):
    """An integer network and images to simulate."""

    graph: Graph
    codes: IntArray  # (images, C, H, W)
    macs: int  # of one image
    weights: str  # where they come from


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One network at one width; cycles depend on shapes and bits, not on the values of weights."""

    network: str
    bits: int = 8  # of weights and activations
    variant: str = ""  # what else was done to it
    make: Callable[[int, Path | None], Subject]  # of so many images, with the data sets' folder

    @property
    def name(self) -> str:
        """Network and variant."""
        return f"{self.network}, {self.variant}" if self.variant else self.network


def zoo(network: str, bits: int = 8) -> Case:
    """A network of the zoo, its own weights where there are any, on its usual data set."""

    def make(images: int, data: Path | None) -> Subject:
        request = NetworkRequest(
            network=network,
            data=data,
            weight_bits=bits,
            activation_bits=bits,
            calibration_images=CALIBRATION_IMAGES,
        )
        made = obtain(request)
        pictures, _ = made.test_images(images)
        return Subject(made.graph, made.preprocess.codes(pictures), made.macs, str(made.weights["source"]))

    return Case(network=network, bits=bits, make=make)


def pruned(blocks: int, inner: tuple[int, ...]) -> Case:
    """A CIFAR ResNet of random weights with fewer channels between the convolutions of its blocks."""

    def make(images: int, data: Path | None) -> Subject:
        rng = np.random.default_rng(0)
        graph = random_resnet(rng, blocks=blocks, inner=inner)
        return _subject(graph, random_inputs(rng, graph, images), "seeded random")

    variant = "blocks of " + "/".join(map(str, inner))
    return Case(network=f"resnet{6 * blocks + 2}", variant=variant, make=make)


def shared(case: Case) -> Case:
    """The same network with product-quantized weights: codewords drawn from each layer's own sub-vectors."""

    def make(images: int, data: Path | None) -> Subject:
        made = case.make(images, data)
        graph = replace(made.graph, nodes=tuple(map(_shared, made.graph.nodes)))
        check(graph)
        return made._replace(graph=graph, weights=f"codewords of {made.weights}")

    return replace(case, variant="product-quantized", make=make)


def _subject(graph: Graph, codes: IntArray, weights: str) -> Subject:
    return Subject(graph, codes, sum(macs_by_layer(graph).values()), weights)


def _shared(node: Node) -> Node:
    if not isinstance(node, Conv2d | Dense) or (isinstance(node, Conv2d) and node.groups > 1):
        return node
    if node.weight.shape[1] < LENGTH:  # the first layer: a few weights, whose columns the engine folds
        return node
    rng = np.random.default_rng(zlib.crc32(node.name.encode()))
    channels = node.weight.shape[1]
    indices = rng.integers(CODEWORDS, size=index_shape(node.weight.shape, LENGTH))
    rows = np.moveaxis(node.weight, 1, -1)[..., : channels // LENGTH * LENGTH].reshape(-1, LENGTH)
    values = rows[rng.integers(len(rows), size=CODEWORDS)].astype(np.int8)
    codebook = Codebook(values=values, indices=indices.astype(index_type(CODEWORDS)))
    weight = codebook.decode(channels).astype(node.weight.dtype)
    return replace(node, weight=weight, codebook=codebook)


CASES = (
    zoo("lenet5"),
    zoo("resnet8"),
    zoo("resnet8", bits=4),
    zoo("resnet20"),
    zoo("resnet20", bits=4),
    pruned(3, (16, 32, 64)),
    pruned(3, (11, 22, 44)),
    pruned(3, (8, 16, 32)),
    zoo("resnet56"),
    zoo("resnet110"),
    zoo("mobilenet"),
    zoo("vgg16"),
    shared(zoo("vgg16")),
    *map(zoo, OTHER_STYLES),
)
