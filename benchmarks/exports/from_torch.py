"""Files as PyTorch's two exporters write them, and older opsets by ONNX's own converter.

python benchmarks/exports/from_torch.py FOLDER

The second exporter needs the package onnxscript, and networks of torchvision need torchvision; without them
those files are left out, and a line says so. Weights are random: what is read counts, not what is recognised.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from onnx import version_converter
from torch import nn
from torch_models import (
    LeNet5,
    SamePadded,
    densenet,
    inception,
    mobilenetv2,
    resnet18_cifar,
    squeezenet,
    vgg_bn,
)

GREY, COLOUR, PHOTO = (1, 28, 28), (3, 32, 32), (3, 64, 64)


class Export(NamedTuple):
    """A network, its images and how it is exported."""

    make: Callable[[], nn.Module]
    image: Sequence[int]
    opset: int
    dynamo: bool = False


EXPORTS = {
    "torch-lenet5": Export(LeNet5, GREY, 7),
    "torch-vgg-bn": Export(vgg_bn, COLOUR, 9),
    "torch-densenet": Export(densenet, COLOUR, 11),
    "torch-mobilenetv2": Export(mobilenetv2, COLOUR, 12),
    "torch-squeezenet": Export(squeezenet, COLOUR, 13),
    "torch-resnet18": Export(resnet18_cifar, COLOUR, 14),
    "torch-same-padded": Export(SamePadded, COLOUR, 16),
    "torch-inception": Export(inception, COLOUR, 17),
    "dynamo-lenet5": Export(LeNet5, GREY, 18, dynamo=True),
    "dynamo-vgg-bn": Export(vgg_bn, COLOUR, 18, dynamo=True),
    "dynamo-mobilenetv2": Export(mobilenetv2, COLOUR, 20, dynamo=True),
    "dynamo-densenet": Export(densenet, COLOUR, 21, dynamo=True),
    "dynamo-resnet18": Export(resnet18_cifar, COLOUR, 19, dynamo=True),
}
VISION = {  # of torchvision, by opset
    "squeezenet1_1": 17,
    "mobilenet_v2": 17,
    "resnet18": 11,
    "shufflenet_v2_x0_5": 17,
    "mobilenet_v3_small": 17,
}
CONVERTED = {"torch-lenet5": (13, 21), "torch-vgg-bn": (8, 12)}  # to other opsets


def main() -> None:
    """Write every file that the installed packages allow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    exports = dict(EXPORTS)
    if _installed("torchvision"):
        from torchvision import models

        for name, opset in VISION.items():
            make = getattr(models, name)
            exports[f"torchvision-{name}"] = Export(lambda make=make: make(weights=None), PHOTO, opset)
    for name, export in exports.items():
        if not export.dynamo or _installed("onnxscript"):
            _write(folder / f"{name}.onnx", export)
    for name, opsets in CONVERTED.items():
        for opset in opsets:
            model = version_converter.convert_version(onnx.load(folder / f"{name}.onnx"), opset)
            onnx.save(model, folder / f"{name}-opset{opset}.onnx")
            print(f"{name}-opset{opset}.onnx")


def _installed(package: str) -> bool:
    found = importlib.util.find_spec(package) is not None
    if not found:
        print(f"{package} is not installed; its files are left out")
    return found


def _write(path: Path, export: Export) -> None:
    torch.manual_seed(0)
    model = export.make()
    images = torch.rand(8, *export.image) * 2 - 1
    with torch.no_grad():
        for _ in range(3):  # so that batch norms have statistics of their own
            model.train()(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if export.dynamo:
            program = torch.onnx.export(
                model.eval(), (images[:1],), dynamo=True, opset_version=export.opset, verbose=False
            )
            program.save(path, external_data=False)
        else:
            torch.onnx.export(
                model.eval(), (images[:1],), str(path), opset_version=export.opset, dynamo=False
            )
    print(path.name)


if __name__ == "__main__":
    main()
