"""An integer network: a graph, how images enter it, and the images it is judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.judged import values_of_codes
from bitlathe.flow.network.pictures import SHOWN, Gallery
from bitlathe.flow.network.request import SOME_IMAGES
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.model.capture.names import identifier
from bitlathe.model.capture.returned import size_of
from bitlathe.model.data import Dataset, Images, Labels
from bitlathe.model.graph import proof
from bitlathe.model.graph.arrays import Outputs, alone
from bitlathe.model.graph.files.account import macs_by_layer
from bitlathe.model.graph.files.archive import write_graph
from bitlathe.model.graph.files.storage import is_stream
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph, ImageEntry
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.normalization import NONE
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import TaskMetric
from bitlathe.model.zoo import NETWORKS

_NAMED = 3  # tensors that a note names
_SUFFIXES = (".blg", ".blgc")  # of a graph's file


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReadyGraph:
    """A graph that is proven not to overflow, how images become its input, and where it came from."""

    name: str
    graph: Graph
    preprocess: Preprocess
    dataset_name: str | None  # of its images, where that is known
    subject: Subject | None  # the float network; None for a graph read from a file
    file: Path | None  # that the graph was read from

    @property
    def weights(self) -> dict[str, object]:
        """Origin of the weights as plain values."""
        if self.subject is not None:
            return self.subject.weights.to_json()
        seen = None if self.graph.images is None else self.graph.images.normalization
        return {"source": "integer graph", "file": str(self.file), "seed": None, "normalization": seen}

    def save(self, path: str | Path, progress: Progress = silent) -> None:
        """Write the graph (.blg), and beside it the table that makes images its input.

        A device or a pipe leaves no place for the table. Where the path is a link, the graph may be
        read by either name, so the table is written beside both. Raises DataError where that fails.
        """
        place = Path(path)
        write_graph(self.graph, place)
        if is_stream(place):
            progress(Note(f"{place}: keeps no files, so the table of input codes is not written beside it"))
            return
        for name in (place, place.resolve()) if place.is_symlink() else (place,):
            self.preprocess.save(preprocess_path(name))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class IntegerNetwork(ReadyGraph):
    """A graph that is ready, and the images it is judged on."""

    dataset: Dataset
    metric: TaskMetric | None  # what judges it; None: none was given, and none suits labels and outputs
    config: QuantizeConfig | None = None  # that it was quantized by; None where that is not known

    def __repr__(self) -> str:
        return (
            f"{self.name} on {self.dataset.name}: integers, {self.weight_bits}-bit weights, "
            f"{self.activation_bits}-bit activations, {self.macs:,} multiply-accumulates an image"
        )

    @cached_property
    def score(self) -> float | None:
        """What the metric says of its integers for all test images; None without a metric."""
        return self.score_of(self.all_outputs(self.dataset.test_images), self.dataset.test_labels)

    @property
    def accuracy(self) -> float | None:
        """Share of all test images that its integers recognise, 0..1; None where the metric is not top-1."""
        return None if self.metric is None or self.score is None else self.metric.accuracy(self.score)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(self.macs_by_layer.values())

    @property
    def macs_by_layer(self) -> dict[str, int]:
        """Those of each node that is run."""
        return macs_by_layer(self.graph)

    @property
    def weight_bits(self) -> int:
        """Widest weights."""
        layers = (node for node in self.graph.needed if isinstance(node, Conv2d | Dense))
        return max((node.weight_bits for node in layers), default=0)

    @property
    def activation_bits(self) -> int:
        """Widest activations behind the input."""
        return max((node.format.bits for node in self.graph.needed[1:]), default=self.graph.input.format.bits)

    def test_images(self, count: int | None) -> tuple[Images, Labels]:
        """The first `count` test images and their labels, all for None; UsageError where there are fewer."""
        available = len(self.dataset.test_labels)
        if count is not None and not 1 <= count <= available:
            raise UsageError(
                f"`images={count}`: {self.dataset.name} has {available} test images; give 1 to {available}"
            )
        return self.dataset.test_images[:count], self.dataset.test_labels[:count]

    def some_images(self, count: int | None) -> tuple[Images, Labels]:
        """The first `count` test images; those of a short run, or all where there are fewer, for None."""
        return self.test_images(count or min(SOME_IMAGES, len(self.dataset.test_labels)))

    @property
    def judged(self) -> int | None:
        """Number of the output that an accuracy is of: the only one with one value per class, if there is."""
        return self.dataset.classes_among(output_shapes(self.graph))

    @property
    def unlike_classes(self) -> str | None:
        """How its outputs differ from one per class, which an accuracy needs; None where one does not."""
        return self.dataset.unlike_classes(*output_shapes(self.graph))

    def score_of(self, outputs: Sequence[NDArray[np.integer[Any]]], labels: Labels) -> float | None:
        """What the metric says of the codes of every output; None without a metric."""
        return None if self.metric is None else self.metric(values_of_codes(self.graph, outputs), labels)

    def pictures(self, images: int | None = None) -> Gallery:
        """What its integers find in the first test images, drawn; 8 if not given.

        A metric that draws is needed: miou, or a function whose attribute `draw` is a function of images,
        outputs and labels.
        """
        shown, labels = self.test_images(images or min(SHOWN, len(self.dataset.test_labels)))
        return self.drawn(shown, self.all_outputs(shown), labels)

    def drawn(self, images: Images, outputs: Sequence[NDArray[np.integer[Any]]], labels: Labels) -> Gallery:
        """What codes of every output say of images."""
        return Gallery(
            title=f"{self.name} on {self.dataset.name}",
            metric=self.metric,
            images=images,
            outputs=values_of_codes(self.graph, outputs),
            labels=labels,
        )

    def float_score(self, images: Images, labels: Labels) -> float | None:
        """What it says of the float network; None for a graph read from a file, and without a metric."""
        if self.subject is None or self.metric is None:
            return None
        return self.subject.score(images, labels, self.metric)

    def reference(self, images: Images) -> IntArray | Outputs:
        """Output codes (N, C, H, W) of byte images (N, H, W, C), by the reference evaluator.

        A network of several outputs gives a tuple of them.
        """
        return alone(self.reference_outputs(images))

    def reference_outputs(self, images: Images) -> Outputs:
        """The codes of `reference` in a tuple, also of one output."""
        return evaluate_outputs(self.graph, self.preprocess.codes(images))

    def outputs(self, images: Images) -> IntArray | Outputs:
        """The codes of `reference`, by the fastest evaluator."""
        return alone(self.all_outputs(images))

    def all_outputs(self, images: Images) -> Outputs:
        """The codes of `outputs` in a tuple, also of one output."""
        return evaluator(self.graph)(self.preprocess.codes(images))


def quantized(subject: Subject, config: QuantizeConfig, progress: Progress = silent) -> IntegerNetwork:
    """Quantize a subject on its data set's training images and prove that no accumulator overflows.

    `progress` receives a note where the outputs are not the data set's classes, one on what is left to the
    host, and one on whether an already quantized network keeps its integers. Raises what `quantize` and
    `proof.check` raise.
    """
    name = graph_name(subject.network, subject.dataset.name)
    images = subject.dataset.train_images
    made = quantize(subject.model, images, config, name=name, classifies=subject.classifies)
    proof.check(made.graph)
    if made.is_kept:
        progress(Note(f"{subject.network}: is quantized already and keeps its own integers"))
    elif made.unkept is not None:
        progress(
            Note(f"{subject.network}: is quantized already, calibrated again from its values: {made.unkept}")
        )
    if made.network.host:
        progress(Note(f"{subject.network}: left to the host: {', '.join(made.network.host)}"))
    if made.unsettled:
        progress(Note(_too_few(subject, config, made.unsettled)))
    return told_judged(
        IntegerNetwork(
            name=subject.network,
            graph=named(made.graph, subject, made.preprocess),
            preprocess=made.preprocess,
            dataset_name=subject.dataset.name,
            dataset=subject.dataset,
            subject=subject,
            file=None,
            metric=subject.metric,
            config=config,
        ),
        progress,
    )


def made_of(
    subject: Subject,
    graph: Graph,
    preprocess: Preprocess,
    *,
    file: Path | None = None,
    config: QuantizeConfig | None = None,
) -> IntegerNetwork:
    """The network that a compression or a search made of a subject."""
    return IntegerNetwork(
        name=subject.network,
        graph=graph,
        preprocess=preprocess,
        dataset_name=subject.dataset.name,
        dataset=subject.dataset,
        metric=subject.judge,
        subject=None,
        file=file,
        config=config,
    )


def _too_few(subject: Subject, config: QuantizeConfig, unsettled: Mapping[str, int]) -> str:
    """Which tensors' binary points other images may have chosen otherwise, and how many would settle them."""
    available, needed = len(subject.dataset.train_images), max(unsettled.values())
    used = min(config.calibration_images, available)
    named, more = list(unsettled)[:_NAMED], len(unsettled) - _NAMED
    tensors = ", ".join([*named, *([f"{more} more"] if more > 0 else [])])
    advice = (
        f"give `calibration_images={min(needed, available)}`"
        if used < available
        else f"about {needed:,} would, and {subject.dataset.name} has no more"
    )
    return f"{used:,} calibration images do not settle how far to clip {tensors}: {advice}"


def told_judged(network: IntegerNetwork, progress: Progress) -> IntegerNetwork:
    """The network; `progress` is told what its accuracy is of, where that is not plain."""
    if network.metric is None:
        progress(Note(f"{network.name}: {network.unlike_classes}, so no accuracy is given"))
    elif len(network.graph.outputs) > 1 and network.judged is not None:
        judged = network.graph.outputs[network.judged].name
        progress(Note(f"{network.name}: its output {judged} is the classes, so accuracy is of it"))
    return network


def output_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """(K,) or (K, H, W) of every output."""
    return [size_of(graph.shapes[output.tensor]) for output in graph.outputs]


def named(graph: Graph, subject: Subject, preprocess: Preprocess) -> Graph:
    """The graph under its subject's name, which says how images enter where that is not the usual way."""
    seen, name = subject.weights.normalization, graph_name(subject.network, subject.dataset.name)
    usual = preprocess.is_offset and seen == NONE
    images = None if usual else ImageEntry(codes=preprocess.kind, normalization=str(seen))
    return replace(graph, name=name, images=images)


def graph_name(network: str, dataset: str) -> str:
    """Name by which `read_network` knows the data set of a network of the zoo, if that is its usual one.

    >>> graph_name("resnet20", "cifar10"), graph_name("resnet20", "cifar100")
    ('resnet20', 'resnet20_cifar100')
    """
    is_usual = network not in NETWORKS or NETWORKS[network].dataset == dataset
    return identifier(network if is_usual else f"{network}_{dataset}")


def preprocess_path(path: Path) -> Path:
    """Path of the table from pixels to input codes of a graph's file.

    >>> preprocess_path(Path("out/net.blg")).as_posix()
    'out/net.preprocess.npy'
    >>> preprocess_path(Path("out/net-w4.5")).as_posix()
    'out/net-w4.5.preprocess.npy'
    """
    name = path.stem if path.suffix in _SUFFIXES else path.name
    return path.with_name(f"{name}.preprocess.npy")
