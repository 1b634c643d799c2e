"""Accuracy of a network in float and as an integer graph, on whole test splits.

python benchmarks/accuracy.py --network resnet8
python benchmarks/accuracy.py --network resnet20 --weights ../shared/weights/resnet20_cifar10.pt \\
    --normalize imagenet --bits 8,8 6,6 4,8 4,4 --search-formats

Calibrates on the first training images. Prints a line for each arithmetic and writes them to
build/bench/accuracy.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from torch import nn

from bitlathe.flow.files import write_json
from bitlathe.model.compress.weight_files import load_pretrained, load_weights
from bitlathe.model.data import Dataset, Images, Labels, load_dataset
from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.graph.proof import check
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.quantize.config import InputMode, QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import evaluate as evaluate_float
from bitlathe.model.zoo import Normalize, build, network_spec

DEFAULTS = QuantizeConfig()
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured accuracy."""

    network: str
    dataset: str
    arithmetic: str  # "float32" or the settings of the integers
    images: int
    accuracy: float  # 0..1
    loss_points: float  # percentage points below float32
    quantize_seconds: float
    evaluate_seconds: float


class Split(NamedTuple):
    """Test images (N, H, W, C) and their labels (N,)."""

    images: Images
    labels: Labels


class Measurement(NamedTuple):
    """Accuracy of one arithmetic on a split."""

    arithmetic: str
    accuracy: float
    quantize_seconds: float
    evaluate_seconds: float


def main() -> None:
    """Measure one network in float32 and in integers of each kind."""
    arguments = _parse()
    dataset = load_dataset(network_spec(arguments.network).dataset, arguments.data)
    model = _model(arguments, dataset)
    split = Split(dataset.test_images[: arguments.images], dataset.test_labels[: arguments.images])
    exact = _float_measurement(model, split)
    rows = [_row(arguments.network, dataset.name, split, exact, exact)]
    _show(rows[0])
    for config in _configs(arguments):
        measured = _integer_measurement(model, dataset, split, config)
        rows.append(_row(arguments.network, dataset.name, split, exact, measured))
        _show(rows[-1])
    write_json(arguments.out, [asdict(row) for row in rows])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", required=True, help="a network of the zoo, such as resnet20")
    parser.add_argument("--weights", type=Path, help="its trained weights; those of the package by default")
    parser.add_argument("--normalize", type=Normalization.parse, default=NONE, help="of the weights")
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--images", type=int, default=None, help="test images, all by default")
    parser.add_argument("--calibration-images", type=int, default=DEFAULTS.calibration_images)
    parser.add_argument("--bits", type=_bits, nargs="+", default=[(8, 8)], help="WEIGHT_BITS,ACTIVATION_BITS")
    parser.add_argument(
        "--search-formats", action="store_true", help="with formats by the outputs' error too"
    )
    parser.add_argument("--clipping-steps", type=int, default=DEFAULTS.clipping_steps)
    parser.add_argument("--per-layer", action="store_true", help="one binary point for a layer's weights")
    parser.add_argument("--no-bias-correction", action="store_true")
    modes = [mode.value for mode in InputMode]
    parser.add_argument("--input-mode", choices=modes, default=InputMode.AUTO.value)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "accuracy.json")
    return parser.parse_args()


def _model(arguments: argparse.Namespace, dataset: Dataset) -> nn.Module:
    if arguments.weights is None:
        return load_pretrained(arguments.network, dataset.name)
    model = build(
        arguments.network,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        normalize=Normalize.of(arguments.normalize),
    )
    load_weights(model, arguments.weights)
    return model.eval()


def _bits(word: str) -> tuple[int, int]:
    weight_bits, activation_bits = map(int, word.split(","))
    return weight_bits, activation_bits


def _configs(arguments: argparse.Namespace) -> Iterator[QuantizeConfig]:
    common = QuantizeConfig(
        per_channel=not arguments.per_layer,
        calibration_images=arguments.calibration_images,
        clipping_steps=arguments.clipping_steps,
        correct_bias=not arguments.no_bias_correction,
        input_mode=InputMode(arguments.input_mode),
    )
    for weight_bits, activation_bits in arguments.bits:
        for search in (False, True) if arguments.search_formats else (False,):
            yield replace(
                common, weight_bits=weight_bits, activation_bits=activation_bits, search_formats=search
            )


def _float_measurement(model: nn.Module, split: Split) -> Measurement:
    start = time.perf_counter()
    accuracy = evaluate_float(model, split.images, split.labels).accuracy
    return Measurement("float32", accuracy, 0.0, time.perf_counter() - start)


def _integer_measurement(
    model: nn.Module, dataset: Dataset, split: Split, config: QuantizeConfig
) -> Measurement:
    start = time.perf_counter()
    quantized = quantize(model, dataset.train_images, config, classifies=True)
    check(quantized.graph)
    middle = time.perf_counter()
    (codes,) = evaluator(quantized.graph)(quantized.preprocess.codes(split.images))
    accuracy = float((codes.reshape(len(codes), -1).argmax(axis=1) == split.labels).mean())
    return Measurement(_settings(config), accuracy, middle - start, time.perf_counter() - middle)


def _settings(config: QuantizeConfig) -> str:
    granularity = "channel" if config.per_channel else "layer"
    corrected = "corrected" if config.correct_bias else "plain"
    chosen = "outputs" if config.search_formats else "tensors"
    return (
        f"W{config.weight_bits}A{config.activation_bits} per {granularity}, input {config.input_mode.value}, "
        f"{corrected} bias, {config.clipping_steps} clipping steps, {config.calibration_images} images, "
        f"formats by {chosen}"
    )


def _row(network: str, dataset: str, split: Split, exact: Measurement, measured: Measurement) -> Row:
    return Row(
        network=network,
        dataset=dataset,
        arithmetic=measured.arithmetic,
        images=len(split.labels),
        accuracy=measured.accuracy,
        loss_points=round(100 * (exact.accuracy - measured.accuracy), 3),
        quantize_seconds=round(measured.quantize_seconds, 2),
        evaluate_seconds=round(measured.evaluate_seconds, 2),
    )


def _show(row: Row) -> None:
    print(
        f"{row.network} {row.dataset} {row.arithmetic}: {100 * row.accuracy:.2f} % of {row.images} images, "
        f"{row.loss_points:+.2f} points lost, {row.quantize_seconds + row.evaluate_seconds:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
