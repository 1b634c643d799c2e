"""The integer network that a user asked for: quantized from a subject, or read from a file."""

from __future__ import annotations

from dataclasses import replace

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.graph_files import images_for, read_network, read_proven, read_ready
from bitlathe.flow.network.integer_network import IntegerNetwork, ReadyGraph, quantized
from bitlathe.flow.network.own_data import is_known
from bitlathe.flow.network.quantize_settings import quantize_config
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import find_subject
from bitlathe.flow.progress import Progress, silent
from bitlathe.model.data import Dataset
from bitlathe.model.graph.files.archive import read_graph
from bitlathe.model.graph.graph import Graph

# What a graph's file has of its own, by the request's field that would say otherwise.
_IN_THE_FILE = (
    "weights",
    "normalization",
    "weight_bits",
    "activation_bits",
    "per_channel",
    "calibration_images",
    "rounding",
    "search_formats",
    "layers",
)


def obtain(request: NetworkRequest, progress: Progress = silent) -> IntegerNetwork:
    """The integer network a user asked for. Raises as `quantized` and `read_network`.

    `progress` is called with where its weights come from, and if its outputs are not the data set's classes.
    """
    _check_given(request)
    if request.graph is None:
        config, subject = quantize_config(request), find_subject(request, progress)
        tell_normalization(subject, progress)
        return quantized(subject, config, progress)
    return read_network(
        request.graph,
        request.dataset,
        request.data,
        image_size=request.image_size,
        metric=request.metric,
        progress=progress,
    )


def obtain_ready(request: NetworkRequest, progress: Progress = silent) -> ReadyGraph:
    """The network a user asked for, where no images are needed: those of a graph's file are not read.

    Raises as `obtain`.
    """
    _check_given(request)
    if request.graph is None:
        return obtain(request, progress)
    return read_ready(request.graph, _known_or_read(request, progress), progress)


def obtain_graph(request: NetworkRequest, progress: Progress = silent) -> tuple[str, Graph]:
    """Name and graph of what a user asked for, where cycles alone count. Raises as `obtain`.

    Biases are not corrected then, which takes as long as all else, and a graph's file is read without what
    is beside it.
    """
    _check_given(request)
    if request.graph is None:
        config = replace(quantize_config(request), correct_bias=False)
        network = quantized(find_subject(request, progress), config)
        return network.name, network.graph
    graph = read_proven(request.graph, _known_or_read(request, progress))
    return graph.name, graph


def _known_or_read(request: NetworkRequest, progress: Progress) -> str | Dataset | None:
    """The data set of a graph's file: of one that is known by its name nothing is read."""
    source = request.dataset
    if request.graph is None or source is None or isinstance(source, Dataset) or is_known(source):
        return source
    return images_for(
        read_graph(request.graph), source, request.data, image_size=request.image_size, progress=progress
    )


def _check_given(request: NetworkRequest) -> None:
    """Raise UsageError unless one network is given, or one graph without options that its file answers."""
    if (request.network is None) == (request.graph is None):
        raise UsageError("give one of `network` and a graph's file (.blg)")
    if request.graph is None:
        return
    usual = NetworkRequest()
    idle = [f"`{name}`" for name in _IN_THE_FILE if getattr(request, name) != getattr(usual, name)]
    if idle:
        raise UsageError(f"{request.graph}: has weights and bits of its own; leave out {', '.join(idle)}")
