"""Networks that make maps, in float, as integers, and from the simulated engine: those of two examples.

python benchmarks/maps.py                                      # the table of what was measured
python benchmarks/maps.py --run digit-detector                 # measure; minutes
python benchmarks/maps.py --keep digit-detector                # take over a network that was trained

A network is trained by its example, `python examples/detection/detector.py build/detection 12`, and --keep
puts it into benchmarks/networks: its weights, its compact integer graph, and the table of its input's codes.
Float and integers are judged on the whole test split, by the example's metric. The simulated RTL runs several
images a start; what its own outputs score is judged on those images, and every integer of them is compared.
Some also go through the simulated board, driver and agent included, one a start, by `bitlathe.measure`. Rows
go to benchmarks/results/maps.json. Exit status 1 where an integer differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from kept import origin

import bitlathe
from bitlathe.board.measurement import Measurement
from bitlathe.flow.cli.output import print_table, show
from bitlathe.flow.files import write_json
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.wording import percent
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.compress.weight_files import WeightsMetadata, read_metadata, save_weights
from bitlathe.model.graph.files.archive import graph_digest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "maps.json"
NETWORKS = ROOT / "benchmarks" / "networks"
TARGET = "pynq-z2"
PART = 50  # images that the simulated board is given at a time
SEED = 0  # of the networks' first weights and of their trainings


pictures_of = cache(bitlathe.load_dataset)  # they are drawn once, not for each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A network that an example trains."""

    script: Path
    dataset: str
    metric: str  # in tables
    function: str  # the metric, a name or a function of the script
    folder: str  # that the example leaves it in, below the root
    epochs: int  # that it is trained for

    @property
    def command(self) -> str:
        """Command that trains it."""
        return f"python {self.script.relative_to(ROOT)} {self.folder} {self.epochs}"

    @property
    def judge(self) -> str:
        """The metric as `load_network` takes it."""
        return self.function if self.function == "miou" else f"{self.script}:{self.function}"

    def loaded(self, weights: Path) -> Subject:
        """The float network."""
        return bitlathe.load_network(
            f"{self.script}:make_network", pictures_of(self.dataset), weights=weights, metric=self.judge
        )


EXAMPLES = {
    "digit-detector": Example(
        script=ROOT / "examples" / "detection" / "detector.py",
        dataset="digit_boxes",
        metric="mAP@0.5",
        function="mean_precision",
        folder="build/detection",
        epochs=12,
    ),
    "digit-segmenter": Example(
        script=ROOT / "examples" / "segmentation" / "segmenter.py",
        dataset="digit_masks",
        metric="mean IoU",
        function="miou",
        folder="build/segmentation",
        epochs=12,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network, measured."""

    network: str
    dataset: str
    metric: str
    test_images: int
    float: float  # the metric of the float network, 0..1
    integer: float  # of its integers
    graph: str  # digest of those
    target: str
    images: int  # test images that the simulated engine ran
    hardware: float  # the metric of its outputs
    on_those: float  # of the float network on the same images
    board_images: int  # that the simulated board ran
    mismatches: int  # output integers of both that differ from the reference's
    cycles: int  # by the board's counter
    latency_ms: float  # at the clock that the target is meant for
    seconds: float  # wall time of the simulation
    training: str  # the command that trained it
    command: str
    seed: int
    machine: str
    date: str


def main() -> int:
    """Exit status: 1 where an integer differs."""
    arguments = _parse()
    for name in arguments.keep:
        keep(name)
    for name in arguments.run:
        made = asdict(measured(name, arguments))
        write_json(RESULTS, [*(row for row in _read() if row["network"] != name), made])
    print_table("networks that make maps", HEAD, [_cells(Row(**row)) for row in _read()])
    return int(any(row["mismatches"] for row in _read()))


def keep(name: str) -> None:
    """Put a network that its example has trained into benchmarks/networks."""
    example = EXAMPLES[name]
    trained = ROOT / example.folder / "trained"
    subject = example.loaded(trained / "state.pt")
    images, labels = subject.dataset.test_images, subject.dataset.test_labels
    note = WeightsMetadata(
        network=name,
        dataset=example.dataset,
        accuracy=None,
        num_classes=0,
        in_channels=subject.dataset.in_channels,
        input_size=subject.dataset.input_size,
        epochs=example.epochs,
        seed=SEED,
        command=example.command,
        metric=example.metric,
        score=subject.score(images, labels, subject.judge),
        normalization=str(subject.weights.normalization),
    )
    save_weights(NETWORKS / f"{name}.pt", subject.model, note)
    for suffix in ("blgc", "preprocess.npy"):
        shutil.copyfile(trained / f"network.{suffix}", NETWORKS / f"{name}.{suffix}")


def measured(name: str, arguments: argparse.Namespace) -> Row:
    """A network that is kept: judged in float and as integers, and run on the simulated hardware."""
    example, images = EXAMPLES[name], arguments.images
    subject = example.loaded(NETWORKS / f"{name}.pt")
    network = bitlathe.load_quantized(NETWORKS / f"{name}.blgc", subject.dataset, metric=example.judge)
    pictures, labels = subject.dataset.test_images, subject.dataset.test_labels
    floats = [subject.score(pictures[:count], labels[:count], subject.judge) for count in (None, images)]
    simulated = bitlathe.simulate(network, images, target=TARGET, workers=arguments.workers, progress=show)
    boards = list(_on_the_board(network, arguments.board_images))
    return Row(
        network=name,
        dataset=example.dataset,
        metric=example.metric,
        test_images=len(labels),
        float=floats[0],
        integer=network.score,
        graph=graph_digest(network.graph),
        target=TARGET,
        images=simulated.images,
        hardware=simulated.score,
        on_those=floats[1],
        board_images=sum(board.images for board in boards),
        mismatches=simulated.mismatches + sum(board.mismatches for board in boards),
        cycles=boards[0].cycles,
        latency_ms=TARGETS[TARGET].milliseconds(boards[0].cycles),
        seconds=simulated.seconds,
        training=read_metadata(NETWORKS / f"{name}.pt").command,
        command=f"python benchmarks/maps.py --run {name} --board-images {arguments.board_images}",
        **origin(SEED),
    )


def _on_the_board(network: IntegerNetwork, images: int) -> Iterator[Measurement]:
    """Measurements of the first test images, a part at a time: the host waits minutes for each, no longer."""
    dataset = network.dataset
    for first in range(0, images, PART):
        part = slice(first, min(first + PART, images))
        pictures, labels = dataset.test_images[part], dataset.test_labels[part]
        some = replace(network, dataset=replace(dataset, test_images=pictures, test_labels=labels))
        yield bitlathe.measure(some, f"sim://{TARGET}", len(labels))


HEAD = ("network", "metric", "float", "integer", "hardware's", "of images", "differ", "cycles", "ms")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.network,
        row.metric,
        *(percent(score) for score in (row.float, row.integer, row.hardware)),
        f"{row.images:,}",
        str(row.mismatches),
        f"{row.cycles:,}",
        f"{row.latency_ms:#.3g}",
    )


def _read() -> list[dict[str, Any]]:
    """Rows measured before."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    return rows


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", nargs="+", default=[], choices=list(EXAMPLES), metavar="NETWORK")
    parser.add_argument("--keep", nargs="+", default=[], choices=list(EXAMPLES), metavar="NETWORK")
    parser.add_argument("--images", type=int, default=200, help="test images in simulated RTL (default: 200)")
    parser.add_argument("--board-images", type=int, default=200, help="on the simulated board (default: 200)")
    parser.add_argument("--workers", type=int, default=1, help="simulated engines side by side")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
