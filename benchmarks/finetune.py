"""Accuracy of ResNet-20 on CIFAR-10 after quantization-aware training, Q(weight bits, activation bits).

python benchmarks/finetune.py --weights ../shared/weights/resnet20_cifar10.pt --normalize imagenet \\
    --bits 4,4 --epochs 4 --lr 0.001 --out build/finetune/q44 --resume

Every epoch leaves a checkpoint in --out; --resume goes on from it. Prints the row and writes it to
OUT/row.json. The first and the last layer keep 8-bit weights where the others have fewer, as in TQT.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path

import torch

from bitlathe.flow.files import write_json
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.quantize.finetune import FinetuneOptions, finetune
from bitlathe.model.quantize.view import QuantizedView
from bitlathe.model.train import TrainConfig, evaluate, load_weights
from bitlathe.model.train.config import Schedule
from bitlathe.model.zoo import Normalize, build

ENDS = ("conv1", "linear")  # first and last layer of the ResNets


def settings(bits: str, every_layer: bool) -> QuantizeConfig:
    """Q(m, n) from "m,n"."""
    weight_bits, activation_bits = (int(number) for number in bits.split(","))
    ends = ENDS if weight_bits < 8 and not every_layer else ()
    layers = {name: LayerBits(weight_bits=8) for name in ends}
    return QuantizeConfig(weight_bits=weight_bits, activation_bits=activation_bits, layers=layers)


def measure(arguments: argparse.Namespace, dataset: Dataset) -> dict[str, object]:
    """The row of one run."""
    started, normal = time.monotonic(), Normalize.imagenet() if arguments.normalize else None
    model = build(arguments.network, normalize=normal, num_classes=dataset.num_classes)
    load_weights(model, arguments.weights)
    test = dataset.test_images, dataset.test_labels
    exact, quantize = evaluate(model, *test).accuracy, settings(arguments.bits, arguments.every_layer)
    before = evaluate(QuantizedView.of(model, dataset.train_images, quantize), *test).accuracy
    config = TrainConfig(
        network=arguments.network,
        dataset=dataset.name,
        epochs=arguments.epochs,
        batch_size=128,
        lr=arguments.lr,
        weight_decay=1e-4,
        schedule=Schedule.COSINE,
        augment=True,
        seed=arguments.seed,
        threads=arguments.threads,
    )
    options = FinetuneOptions(
        quantize=quantize, threshold_lr=arguments.threshold_lr, distill=arguments.distill
    )
    result = finetune(model, dataset, config, options, arguments.out, resume=arguments.resume)
    return {
        "network": arguments.network,
        "dataset": dataset.name,
        "bits": arguments.bits,
        "images": len(dataset.test_labels),
        "float": exact,
        "before": before,
        "epochs": [metrics.test_accuracy for metrics in result.history],
        "accuracy": result.history[-1].test_accuracy,
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Run once and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--normalize", choices=["imagenet"])
    parser.add_argument("--bits", default="8,8", help="of weights, of activations")
    parser.add_argument("--every-layer", action="store_true", help="no 8-bit weights at both ends")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--threshold-lr", type=float, default=0.01)
    parser.add_argument("--distill", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("BITLATHE_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    row = measure(arguments, load_dataset("cifar10", Path(arguments.data)))
    write_json(arguments.out / "row.json", row)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
