"""The networks whose cycles are measured: each makes its integer graph and the codes of a few images."""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.target.config import TARGETS, reference_targets
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
    """One network at one width; cycles depend on shapes and bits, and on which weights are zero."""

    network: str
    bits: int = 8  # of weights and activations
    variant: str = ""  # what else was done to it
    make: Callable[[int, Path | None], Subject]  # of so many images, with the data sets' folder

    @property
    def name(self) -> str:
        """Network and variant."""
        return f"{self.network}, {self.variant}" if self.variant else self.network


def zoo(network: str, bits: int = 8, weight_bits: int | None = None) -> Case:
    """A network of the zoo, its own weights where there are any, on its usual data set."""

    def make(images: int, data: Path | None) -> Subject:
        request = NetworkRequest(
            network=network,
            data=data,
            weight_bits=weight_bits or bits,
            activation_bits=bits,
            calibration_images=CALIBRATION_IMAGES,
        )
        made = obtain(request)
        pictures, _ = made.test_images(images)
        return Subject(made.graph, made.preprocess.codes(pictures), made.macs, str(made.weights["source"]))

    return Case(
        network=network, bits=bits, variant=f"{weight_bits}-bit weights" if weight_bits else "", make=make
    )


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


def sparse(network: str, share: float, weight_bits: int | None = None) -> Case:
    """A network of the zoo of which a share of the weights is zero, those of least magnitude of all layers.

    Which ones is decided before they are rounded to fewer bits than 8, as in a network that was pruned first.
    """
    whole, rounded = zoo(network), zoo(network, weight_bits=weight_bits)

    def make(images: int, data: Path | None) -> Subject:
        made = rounded.make(images, data)
        kept = _kept(made.graph if weight_bits is None else whole.make(images, data).graph, share)
        graph = replace(
            made.graph, nodes=tuple(_pruned(node, kept.get(node.name)) for node in made.graph.nodes)
        )
        check(graph)
        return made._replace(graph=graph, weights=f"{made.weights}, pruned by magnitude")

    variant = f"{share:.0%} zeros".replace("%", " %")
    return replace(rounded, variant=", ".join(filter(None, (rounded.variant, variant))), make=make)


def _kept(graph: Graph, share: float) -> dict[str, npt.NDArray[np.bool_]]:
    """The weights that stay, by node."""
    sizes = {
        node.name: np.abs(node.weight)
        * np.exp2(-np.array(node.weight_frac, float)).reshape(-1, *(1,) * (node.weight.ndim - 1))
        for node in graph.nodes
        if isinstance(node, Conv2d | Dense)
    }
    ranked = np.argsort(np.concatenate([size.ravel() for size in sizes.values()]), kind="stable")
    stays = np.ones(len(ranked), np.bool_)
    stays[ranked[: round(share * len(ranked))]] = False
    ends = np.cumsum([size.size for size in sizes.values()])
    parts = np.split(stays, ends[:-1])
    return {name: part.reshape(size.shape) for (name, size), part in zip(sizes.items(), parts, strict=True)}


def _pruned(node: Node, kept: npt.NDArray[np.bool_] | None) -> Node:
    if kept is None or not isinstance(node, Conv2d | Dense):
        return node
    return replace(node, weight=np.where(kept, node.weight, 0).astype(node.weight.dtype))


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
    sparse("mobilenet", 0.6),
    zoo("mobilenet", weight_bits=4),
    sparse("mobilenet", 0.6, weight_bits=4),
    zoo("vgg16"),
    sparse("vgg16", 0.7),
    zoo("vgg16", weight_bits=4),
    sparse("vgg16", 0.7, weight_bits=4),
    shared(zoo("vgg16")),
    *map(zoo, OTHER_STYLES),
)


def add_targets(parser: argparse.ArgumentParser) -> None:
    """The option of a benchmark that names the boards it runs on."""
    parser.add_argument(
        "--targets",
        nargs="+",
        choices=list(TARGETS),
        default=list(reference_targets()),
        help="the reference boards by default",
    )
