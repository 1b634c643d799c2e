"""Product quantization of a trained network: accuracy and bytes before and after fine-tuning.

python benchmarks/product_quantization.py --network lenet5-caffe --dataset mnist --weights lenet.pt \\
    --codes conv2=10x256 --codes fc1=16x256 --codes fc2=8x64 --epochs 2 --lr 0.02 --threads 1 --resume
python benchmarks/product_quantization.py --network resnet20 --dataset cifar10 --normalize imagenet \\
    --weights ../shared/weights/resnet20_cifar10.pt --augment --epochs 10 --refreshed-epochs 6 --lr 0.01 \\
    --threads 1 --resume

Prints one JSON object, with the size of the compact file that loads back to the same integers, and keeps
checkpoints, graph.blgc and result.json in --out.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from bitlathe.flow.files import write_json
from bitlathe.model.data import Dataset, load_dataset, to_input
from bitlathe.model.graph.account import Account
from bitlathe.model.graph.compact import decode_compact, encode_compact, save_compact
from bitlathe.model.graph.file import graph_digest
from bitlathe.model.graph.graph import Graph
from bitlathe.model.product import LayerCodes, Objective, ProductConfig, lowered, share
from bitlathe.model.product.finetuning import finetune
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import Precision, Schedule, TrainConfig, evaluate, load_weights
from bitlathe.model.zoo import Normalize, build

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION_IMAGES = 256  # of the objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured; accuracies in 0..1 over the test split, bytes of whole files."""

    network: str
    dataset: str
    float_accuracy: float
    integer_accuracy: float
    clustered_accuracy: float
    finetuned_accuracy: float
    drop_points: float
    float_bytes: int  # of the live parameters as float32
    compact_bytes: int
    ratio: float
    parts: dict[str, int]
    codebooks: dict[str, str]  # length x codewords by layer
    epochs: int
    seed: int


def main() -> None:
    """Measure one network."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = load_dataset(arguments.dataset)
    result, graph = _measured(arguments, dataset)
    save_compact(graph, arguments.out / "graph.blgc")
    write_json(arguments.out / "result.json", asdict(result))
    print(json.dumps(asdict(result), indent=1))


def _measured(arguments: argparse.Namespace, dataset: Dataset) -> tuple[Result, Graph]:
    model = _trained(arguments, dataset)
    module = quantize(model, dataset.train_images[:512], QuantizeConfig()).trainable()
    accuracies = {"float": _accuracy(model, dataset), "integer": _accuracy(module, dataset)}
    share(
        module,
        _product_config(arguments),
        to_input(torch.from_numpy(dataset.train_images[:CALIBRATION_IMAGES])),
    )
    accuracies["clustered"] = accuracies["finetuned"] = _accuracy(module, dataset)
    if arguments.epochs:
        accuracies["finetuned"] = _finetuned(arguments, module, dataset)
    graph, parameters = lowered(module), sum(p.numel() for p in model.parameters())
    account = Account.of(graph)
    assert graph_digest(decode_compact(encode_compact(graph))) == graph_digest(graph)
    return Result(
        network=arguments.network,
        dataset=arguments.dataset,
        **{f"{name}_accuracy": accuracy for name, accuracy in accuracies.items()},
        drop_points=round(100 * (accuracies["float"] - accuracies["finetuned"]), 3),
        float_bytes=4 * parameters,
        compact_bytes=account.file_bytes,
        ratio=round(4 * parameters / account.file_bytes, 2),
        parts=dict(account.parts),
        codebooks=_codebooks(graph),
        epochs=arguments.epochs,
        seed=arguments.seed,
    ), graph


def _trained(arguments: argparse.Namespace, dataset: Dataset) -> nn.Module:
    model = build(
        arguments.network,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        normalize=Normalize.imagenet() if arguments.normalize == "imagenet" else None,
    )
    load_weights(model, arguments.weights)
    return model.eval()


def _accuracy(model: nn.Module, dataset: Dataset) -> float:
    return evaluate(model, dataset.test_images, dataset.test_labels).accuracy


def _finetuned(arguments: argparse.Namespace, module: FakeQuantNetwork, dataset: Dataset) -> float:
    config = TrainConfig(
        network=arguments.network,
        dataset=arguments.dataset,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr=arguments.lr,
        weight_decay=arguments.weight_decay,
        schedule=Schedule.COSINE,
        augment=arguments.augment,
        precision=Precision(arguments.precision),
        seed=arguments.seed,
        threads=arguments.threads,
    )
    history = finetune(
        module,
        dataset,
        config,
        arguments.out,
        refreshed_epochs=arguments.refreshed_epochs,
        resume=arguments.resume,
    )
    return history[-1].test_accuracy


def _product_config(arguments: argparse.Namespace) -> ProductConfig:
    layers = {name: _codes(text) for name, text in (pair.split("=") for pair in arguments.codes)}
    return ProductConfig(
        layers=layers,
        vectors_per_codeword=arguments.vectors_per_codeword,
        objective=Objective(arguments.objective),
        seed=arguments.seed,
    )


def _codes(text: str) -> LayerCodes | None:
    """`LENGTHxCODEWORDS`, or `no`."""
    if text == "no":
        return None
    length, codewords = text.split("x")
    return LayerCodes(length=int(length), codewords=int(codewords))


def _codebooks(graph: Graph) -> dict[str, str]:
    books = {node.name: getattr(node, "codebook", None) for node in graph.nodes}
    return {name: f"{book.length}x{book.codewords}" for name, book in books.items() if book is not None}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--normalize", choices=["none", "imagenet"], default="none")
    parser.add_argument("--codes", action="append", default=[], help="LAYER=LENGTHxCODEWORDS or LAYER=no")
    parser.add_argument("--vectors-per-codeword", type=int, default=4)
    parser.add_argument("--objective", choices=[o.value for o in Objective], default="weights")
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--refreshed-epochs", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--precision", choices=[p.value for p in Precision], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "product")
    return parser.parse_args()


if __name__ == "__main__":
    main()
