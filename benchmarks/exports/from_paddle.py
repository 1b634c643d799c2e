"""Files as PaddlePaddle's exporter writes them of its own networks.

python benchmarks/exports/from_paddle.py FOLDER    # in an environment with paddlepaddle and paddle2onnx

Weights are random: what is read counts, not what is recognised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import paddle
from paddle.static import InputSpec
from paddle.vision import models

NETWORKS = {  # by image and opset
    "LeNet": ({}, (1, 28, 28), 9),
    "mobilenet_v2": ({"scale": 0.25}, (3, 64, 64), 12),
    "squeezenet1_1": ({}, (3, 64, 64), 11),
    "shufflenet_v2_x0_25": ({}, (3, 64, 64), 16),
    "mobilenet_v3_small": ({"scale": 0.35}, (3, 64, 64), 15),
}


def main() -> None:
    """Write every file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, (settings, image, opset) in NETWORKS.items():
        paddle.seed(0)
        model = getattr(models, name)(**settings)
        model.train()
        for _ in range(3):  # so that batch norms have statistics of their own
            model(paddle.rand((8, *image)) * 2 - 1)
        model.eval()
        path = folder / f"paddle-{name}"
        spec = InputSpec([None, *image], "float32", "image")
        paddle.onnx.export(model, str(path), input_spec=[spec], opset_version=opset)
        print(f"{path.name}.onnx")


if __name__ == "__main__":
    main()
