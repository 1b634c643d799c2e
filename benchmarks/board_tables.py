"""Tables of docs/boards.md, and the names of networks in all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kept import Row, read

from bitlathe.hls.target.config import TARGETS

NAMES = {
    "lenet5": "LeNet-5",
    "resnet8": "ResNet-8",
    "resnet20": "ResNet-20",
    "resnet32": "ResNet-32",
    "resnet44": "ResNet-44",
    "resnet56": "ResNet-56",
    "resnet110": "ResNet-110",
    "mobilenet": "MobileNet v1",
    "vgg16": "VGG-16",
    "resnet20-fast": "ResNet-20 at 4 bits, found by a search",
    "mobilenetv2": "MobileNetV2",
    "mobilenetv3-small": "MobileNetV3-Small",
    "efficientnet-lite0": "EfficientNet-Lite0",
    "shufflenetv2": "ShuffleNetV2",
    "squeezenet": "SqueezeNet",
    "densenet-bc": "DenseNet-BC",
    "resnext29": "ResNeXt-29",
    "unet": "U-Net",
    "yolov3-tiny": "YOLOv3-tiny",
    "digit-detector": "Detector, digits on clutter",
    "digit-segmenter": "U-Net, digits on clutter",
}

Cells = Sequence[str]


def boards(results: Path) -> Iterator[Cells]:
    """The engine of each board, and a network on the simulated one."""
    rows = read(results / "boards.json")
    ran = f"{NAMES[rows[0]['network']]} on the simulated board: cycles, ms"
    yield "board", "part", "engine", "LUT", "DSP", "BRAM36", "clock, MHz", ran, "integers that differ"
    for row in rows:
        target, about = TARGETS[row["target"]], "" if row["is_measured"] else "about "
        yield (
            row["target"],
            row["part"],
            row["engine"],
            f"{about}{row['lut'] / target.lut:.0%}",
            f"{row['dsp'] / target.dsp:.0%}",
            f"{row['bram36'] / target.bram36:.0%}",
            f"{row['clock_read_mhz']:.7g}",
            f"{row['cycles']:,}, {target.milliseconds(row['cycles']):#.3g}",
            str(row["mismatches"]),
        )


def everywhere(results: Path) -> Iterator[Cells]:
    """Milliseconds of each network on each board by the cycle model; equal boards share a column."""
    columns: dict[tuple[object, ...], list[Row]] = {}
    for row in read(results / "boards.json"):
        columns.setdefault((row["clock_mhz"], *row["predicted"].values()), []).append(row)
    equal = list(columns.values())
    yield "network", *(", ".join(row["target"] for row in rows) for rows in equal)
    for network in equal[0][0]["predicted"]:
        cells = ((row["predicted"][network], row["clock_mhz"]) for row, *_ in equal)
        yield (
            NAMES[network],
            *(f"{cycles / (1000 * mhz):#.3g}" if cycles else "too large" for cycles, mhz in cells),
        )
