"""Graphs read from files, with the table of input codes beside them and the images they are judged on."""

from __future__ import annotations

from pathlib import Path

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.integer_network import (
    IntegerNetwork,
    ReadyGraph,
    output_shapes,
    preprocess_path,
    told_judged,
)
from bitlathe.flow.network.own_data import find_dataset, is_known
from bitlathe.flow.network.request import ImageSize
from bitlathe.flow.network.task import FunctionSource, find_metric
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.model.capture.names import identifier
from bitlathe.model.capture.returned import size_of
from bitlathe.model.data import Dataset, image_shape_of
from bitlathe.model.graph import proof
from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.files.archive import read_graph
from bitlathe.model.graph.graph import Graph, ImageCodes
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.quantize.preprocess import OFFSET_FORMAT, Preprocess
from bitlathe.model.train import TaskMetric, usual_task
from bitlathe.model.zoo import NETWORKS


def read_network(
    path: Path,
    dataset: str | Dataset | None,
    data: Path | None,
    *,
    image_size: ImageSize | None = None,
    metric: FunctionSource | None = None,
    progress: Progress = silent,
) -> IntegerNetwork:
    """A graph from a file as `read_ready`, with the images of the data set named or its network's usual one.

    Pictures of a folder become as large as the graph takes them, unless `image_size` says otherwise. `metric`
    judges it, else what suits labels and outputs.
    Raises FormatError, DataError, ShapeError, OverflowRisk, UsageError or MissingData.
    """
    named = dataset if isinstance(dataset, Dataset) or dataset is None or is_known(dataset) else None
    ready = read_ready(path, named, progress)
    source = dataset or ready.dataset_name
    if source is None:
        raise UsageError(
            f"{path}: give `dataset`; {ready.name} is not one of the zoo's networks, which have a usual one"
        )
    images = (
        source
        if isinstance(source, Dataset)
        else images_for(ready.graph, source, data, image_size=image_size, progress=progress)
    )
    _check_shape(path, ready.graph, images.name, images.image_shape)
    return told_judged(
        IntegerNetwork(
            name=ready.name,
            graph=ready.graph,
            preprocess=ready.preprocess,
            dataset_name=images.name,
            dataset=images,
            subject=None,
            file=path,
            metric=_metric(metric, images, ready.graph),
        ),
        progress,
    )


def images_for(
    graph: Graph, source: str, data: Path | None, *, image_size: ImageSize | None, progress: Progress
) -> Dataset:
    """The data set that a text names, its pictures as large as the graph takes them if nobody says."""
    _, height, width = graph.input.shape
    return find_dataset(source, data, image_size=image_size, usual_size=(height, width), progress=progress)


def _metric(given: FunctionSource | None, dataset: Dataset, graph: Graph) -> TaskMetric | None:
    if given is not None:
        return find_metric(given)
    usual = usual_task(dataset, [size_of(shape) for shape in output_shapes(graph)])
    return None if usual is None else usual.metric


def read_ready(path: Path, dataset: str | Dataset | None, progress: Progress = silent) -> ReadyGraph:
    """A graph from a file, proven not to overflow, for the data set named or its network's usual one.

    Raises FormatError, DataError, ShapeError, OverflowRisk or UsageError.
    """
    graph = read_proven(path, dataset)
    return ReadyGraph(
        name=graph.name,
        graph=graph,
        preprocess=_read_preprocess(path, graph, progress),
        dataset_name=dataset.name if isinstance(dataset, Dataset) else dataset or usual_dataset(graph),
        subject=None,
        file=path,
    )


def read_proven(path: Path, dataset: str | Dataset | None) -> Graph:
    """A graph from a file, proven not to overflow, whose images are as large as a data set's."""
    graph = read_graph(path)
    proof.check(graph)
    if isinstance(dataset, Dataset):
        _check_shape(path, graph, dataset.name, dataset.image_shape)
    elif dataset is not None:
        _check_shape(path, graph, dataset, image_shape_of(dataset))
    return graph


def _check_shape(path: Path, graph: Graph, dataset: str, shape: Shape) -> None:
    if graph.input.shape != shape:
        raise ShapeError(
            f"{path}: takes images of {graph.input.shape}, {dataset}'s are {shape}; "
            "name its own data set with `dataset`"
        )


def usual_dataset(graph: Graph) -> str | None:
    """Data set of the zoo's network that a file's graph was made from; None for other graphs."""
    usual = {identifier(name): network.dataset for name, network in NETWORKS.items()}
    return usual.get(graph.name)


def _read_preprocess(path: Path, graph: Graph, progress: Progress) -> Preprocess:
    beside, channels = preprocess_path(path), graph.input.shape[0]
    if not beside.exists():
        return _usual_preprocess(beside, graph, progress)
    table = Preprocess.load(beside)
    if table.channels != channels:
        raise FormatError(
            f"{beside}: is for {table.channels} channels, {path.name} has {channels}; quantize again"
        )
    if table.signed != graph.input.format.signed:
        kinds = ("unsigned", "signed")
        raise FormatError(
            f"{beside}: holds {kinds[table.signed]} codes, the input of {path.name} is "
            f"{kinds[graph.input.format.signed]}; quantize again"
        )
    return table


_WITHOUT_TABLE = {ImageCodes.OFFSET: Preprocess.offset, ImageCodes.PIXEL: Preprocess.pixel}


def _usual_preprocess(missing: Path, graph: Graph, progress: Progress) -> Preprocess:
    """The way that the graph names, else pixel - 128 where its input takes that; FormatError elsewhere."""
    form, entry = graph.input.format, graph.images
    unknown = ImageCodes.OFFSET if form == OFFSET_FORMAT else ImageCodes.TABLE
    codes = unknown if entry is None else entry.codes
    made = _WITHOUT_TABLE[codes](graph.input.shape[0]) if codes in _WITHOUT_TABLE else None
    if made is None or (form.bits, form.signed) != (OFFSET_FORMAT.bits, made.signed):
        named = "" if entry is None else f", its images enter by {entry}"
        raise FormatError(
            f"{missing}: is not there, and images cannot enter as pixel - 128, for the graph's input is "
            f"{form}{named}; put the table written with the graph beside it, or quantize again"
        )
    progress(Note(f"{missing} is not there: images enter as {codes.value}"))
    return made
