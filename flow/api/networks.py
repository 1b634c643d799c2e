"""Networks: named or handed in, and quantized to integers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from bitlathe.flow.api.datasets import DatasetSource, load_dataset
from bitlathe.flow.errors import UsageError, member_of
from bitlathe.flow.network.graph_files import read_network
from bitlathe.flow.network.integer_network import IntegerNetwork, quantized
from bitlathe.flow.network.request import (
    AUTO,
    CALIBRATION_IMAGES,
    ChannelConstants,
    ImageSize,
    NetworkRequest,
    read_normalization,
)
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import Subject, find_subject
from bitlathe.flow.network.task import FunctionSource
from bitlathe.flow.progress import Progress, silent
from bitlathe.model.data import Dataset
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig


def load_network(
    network: str | nn.Module,
    dataset: DatasetSource | None = None,
    *,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    image_size: ImageSize | None = None,
    normalization: str | ChannelConstants = AUTO,
    seed: int = 0,
    metric: FunctionSource | None = None,
    loss: FunctionSource | None = None,
    progress: Progress = silent,
) -> Subject:
    """A trained network and the data set it is judged on, ready to be quantized or compressed.

    Args:
        network: a name of the zoo (`lenet5`, `resnet20`, ...), `FILE.py:FUNCTION`, `FILE.onnx`, or a module,
            which is copied and moved to the processor. A module maps images (N, C, H, W) float32 to logits
            (N, classes), or to what its loss and its metric take.
        dataset: what `load_dataset` takes; a network of the zoo has a usual one.
        weights: a state dict's file; else the module's own, the package's, or seeded random ones.
        data: folder of the data sets that have names; the variable BITLATHE_DATA if not given.
        image_size: height and width that the pictures of a folder are resized to.
        normalization: what the network was trained to see of a pixel 0..255. "none": (pixel - 128) / 128;
            "range=0..1" (or "unit"): pixel / 255, as ToTensor gives; "-1..1" or any other "range=A..B";
            "raw": 0..255; "imagenet", "mean=0.5,0.4,0.4,std=0.25" or ((0.5, 0.4, 0.4), 0.25): (pixel / 255 -
            mean) / std, one value for all channels or one each. "auto": what a weight file of `train` notes,
            "range=0..1" for a network of yours on images that its data set gives as floats, "imagenet" for
            the published weights of CIFAR-10's ResNets, else "none".
        seed: of random weights.
        metric: what judges it: "top1", "top5", "mse", "miou", FILE.py:FUNCTION or a function of outputs and
            labels; if not given, what suits the labels.
        loss: what trains it: "cross_entropy", "mse", "l1", "bce", FILE.py:FUNCTION or a function of outputs
            and labels, as tensors; if not given, what suits the labels.
        progress: is called with how files were read and where the weights come from.

    Raises:
        UsageError: an argument cannot be used, or the module's own code fails; names argument or line.
        UnsupportedLayer, ShapeError: no network of that name, or it does not fit the images.
        DataError, MissingData: a file of weights or images is damaged, or missing.
    """
    request = NetworkRequest(
        network=network,
        dataset=_text_or_images(dataset),
        weights=None if weights is None else Path(weights),
        data=None if data is None else Path(data),
        image_size=image_size,
        normalization=read_normalization(normalization),
        seed=seed,
        metric=metric,
        loss=loss,
    )
    return find_subject(request, progress)


def load_quantized(
    path: str | Path,
    dataset: DatasetSource | None = None,
    *,
    data: str | Path | None = None,
    image_size: ImageSize | None = None,
    metric: FunctionSource | None = None,
    progress: Progress = silent,
) -> IntegerNetwork:
    """An integer network from the file (.blg, .blgc) that `save`, `compress` or `search` wrote.

    `dataset` is what `load_dataset` takes; a network of the zoo has a usual one. Pictures of a folder become
    as large as the network takes them, unless `image_size` says otherwise. `metric` judges it, as in
    `load_network`. Raises FormatError, DataError or ShapeError for the file, OverflowRisk where an
    accumulator could overflow, UsageError or MissingData for the data.
    """
    return read_network(
        Path(path),
        _text_or_images(dataset),
        None if data is None else Path(data),
        image_size=image_size,
        metric=metric,
        progress=progress,
    )


def quantize(
    network: Subject | str | nn.Module,
    dataset: DatasetSource | None = None,
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    per_channel: bool = True,
    calibration_images: int = CALIBRATION_IMAGES,
    rounding: str = "half_up",
    search_formats: bool = False,
    layers: Mapping[str, LayerBits | int] | None = None,
    metric: FunctionSource | None = None,
    progress: Progress = silent,
) -> IntegerNetwork:
    """A network as integers with power-of-two scales, not trained further, proven not to overflow.

    Args:
        network: what `load_network` gives or takes.
        dataset: what `load_dataset` takes, for a network that was not loaded with one.
        weight_bits, activation_bits: 2 to 16; the engine takes up to 8.
        per_channel: one binary point for the weights of each output channel, else one for a layer.
        calibration_images: training images, the first ones, that choose the binary points of activations.
        rounding: where halves of a requantization go, "half_up" or "half_even".
        search_formats: move binary points, one group of tensors or layer at a time, where that brings the
            outputs closer to the float network's; takes longer, and pays at few bits.
        layers: other bits of single layers by name; a single number is the bits of the weights.
        metric: what judges it, as in `load_network`.
        progress: is called where no metric suits outputs and labels, and with whether a network that is
            quantized already keeps its integers, as it does where no other bits or rounding are asked for.

    Raises:
        FormatError: bits out of range, or no layer of that name.
        UnsupportedLayer, ShapeError: an operation has no exact integer form here; names it.
        OverflowRisk: no binary point keeps an accumulator within 32 bits.
    """
    config = QuantizeConfig(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        calibration_images=calibration_images,
        rounding=member_of(RoundingMode, "rounding", rounding),
        search_formats=search_formats,
        layers={
            name: LayerBits(weight_bits=bits) if isinstance(bits, int) else bits
            for name, bits in (layers or {}).items()
        },
    )
    subject = subject_of(network, dataset, progress).with_task(metric)
    tell_normalization(subject, progress)
    return quantized(subject, config, progress)


def subject_of(
    network: Subject | str | nn.Module, dataset: DatasetSource | None = None, progress: Progress = silent
) -> Subject:
    """A network that is loaded already, or is loaded now; UsageError for a second data set."""
    if not isinstance(network, Subject):
        return load_network(network, dataset, progress=progress)
    if dataset is not None:
        raise UsageError(f"`dataset`: {network.network} was loaded with {network.dataset.name}; leave it out")
    return network


def _text_or_images(dataset: DatasetSource | None) -> str | Dataset | None:
    """What is read where the network is known, or the images themselves."""
    if dataset is None or isinstance(dataset, (str, Dataset)):
        return dataset
    return str(dataset.resolve()) if isinstance(dataset, Path) else load_dataset(dataset)
