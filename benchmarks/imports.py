"""Classifiers as ONNX files from elsewhere: imported, quantized, and run bit for bit.

python benchmarks/imports.py FOLDER                  # all files of the index that the folder holds
python benchmarks/imports.py FOLDER --files a.onnx   # some of them
python benchmarks/imports.py FOLDER --rtl 400000     # networks of at most so many cycles in simulated RTL too
python benchmarks/imports.py FOLDER --new NAME=C,H,W # a file that is not in the index

The index, benchmarks/onnx_files.json, says where each file is from, its digest, and the shape of its images;
scripts in benchmarks/exports make those that say so. Prints a line for each file, and writes the rows to
build/bench/imports.json; `report.py --keep` takes them over to the table of docs/import.md. Images are drawn:
integers are compared with each other, and no accuracy is reported.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import bitlathe
from bitlathe.flow.files import write_json
from bitlathe.flow.hardware.compilation import NetworkProgram
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.target.config import reference_targets
from bitlathe.model.data import Images
from bitlathe.model.graph.errors import BitlatheError, CapacityError
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.native.evaluator import CompiledGraph
from bitlathe.model.onnx import import_and_compare

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / "benchmarks" / "onnx_files.json"
OUT = ROOT / "build" / "bench" / "imports.json"
CALIBRATION, IMAGES = 8, 2

Row = dict[str, Any]  # an object of the file of rows


def main(words: Sequence[str] | None = None) -> int:
    """Measure the files that are there; status 1 where integers differ, 3 where no file is there."""
    arguments = _parse(words)
    entries = [entry for entry in _entries(arguments) if (arguments.folder / entry["file"]).is_file()]
    if not entries:
        print(f"{arguments.folder}: holds no file of {INDEX}; the index says where they are from")
        return 3
    rows: dict[str, Row] = {row["file"]: row for row in _read(arguments.out)}
    differing = 0
    for entry in entries:
        row = measured(arguments.folder / entry["file"], entry, arguments.rtl)
        rows[row["file"]] = row
        differing += any((row["exact"] or {}).get("differing", {}).values())
        print(_line(row), flush=True)
        write_json(arguments.out, list(rows.values()))
    return 1 if differing else 0


def measured(path: Path, entry: Row, rtl_cycles: int) -> Row:
    """The row of one file: what it is, how it was read, and where its integers ran, or the refusal.

    Raises SystemExit for a file that is not the one of the index.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if entry.get("sha256", digest) != digest:
        sys.exit(f"{path}: is not the file of the index, whose SHA-256 is {entry['sha256']}")
    row = {**entry, "sha256": digest, "bytes": len(content), **_description(path)}
    row |= {"difference": None, "magnitude": None, "host": [], "exact": None, "refusal": None}
    try:
        network, agreement = import_and_compare(path, tuple(entry["image"]), entry.get("output"))
        row |= {"difference": agreement.difference, "magnitude": agreement.magnitude}
        row["host"] = list(reversed(network.host))
        row["exact"] = _exact(_quantized(path, entry), rtl_cycles)
    except BitlatheError as error:
        row["refusal"] = str(error).replace(f"{path.parent}/", "")
    return row


def _description(path: Path) -> Row:
    """Producer, opset and operators, as far as the file can be read."""
    model = onnx.load(path, load_external_data=False)
    opsets = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    return {
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "opset": max(opsets, default=None),
        "operators": dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
    }


def _quantized(path: Path, entry: Row) -> IntegerNetwork:
    network = f"{path}:{entry['output']}" if "output" in entry else str(path)
    images, labels = _drawn(entry["image"], CALIBRATION), np.arange(CALIBRATION) % 2
    dataset = bitlathe.load_dataset((images, labels), (images[:IMAGES], labels[:IMAGES]), name="drawn")
    return bitlathe.quantize(bitlathe.load_network(network, dataset), calibration_images=CALIBRATION)


def _drawn(shape: Sequence[int], count: int) -> Images:
    """Images of patches with noise: neighbouring pixels are alike, as in photographs."""
    channels, height, width = shape
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (count, -(-height // 4), -(-width // 4), channels))
    patches = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return (patches + rng.integers(0, 56, patches.shape)).astype(np.uint8)


def _exact(network: IntegerNetwork, rtl_cycles: int) -> Row:
    """Differing integers of each evaluation from the reference, all on the same images."""
    images, _ = network.test_images(None)
    codes = network.preprocess.codes(images)
    wanted = evaluate_outputs(network.graph, codes)
    made = CompiledGraph(network.graph).evaluate_outputs(codes)
    program = _program(network)
    compiled = program.compiled
    engine = FunctionalEngine.of(compiled)
    data = engine.run(compiled.input_layout.pack(codes[:1]))
    ran = [layout.unpack(data) for layout in compiled.output_layouts]
    differing = {"compiled": _unequal(made, wanted), "engine": _unequal(ran, [one[:1] for one in wanted])}
    if program.cycles <= rtl_cycles:
        differing["rtl"] = bitlathe.simulate(program, images=1).mismatches
    return {
        "macs": network.macs,
        "target": program.target.name,
        "cycles": program.cycles,
        "integers": sum(one.size for one in wanted),
        "differing": differing,
    }


def _unequal(made: Sequence[IntArray], wanted: Sequence[IntArray]) -> int:
    """How many integers differ, over all outputs."""
    return sum(int((one != other).sum()) for one, other in zip(made, wanted, strict=True))


def _program(network: IntegerNetwork) -> NetworkProgram:
    """The program for the smallest board that holds the network."""
    *smaller, largest = reference_targets()
    for target in smaller:
        try:
            return bitlathe.compile(network, target)
        except CapacityError:
            continue
    return bitlathe.compile(network, largest)


def _line(row: Row) -> str:
    if row["refusal"]:
        return f"{row['file']}: refused: {row['refusal']}"
    differing = row["exact"]["differing"]
    ran = ", ".join(f"{name} {count}" for name, count in differing.items())
    return f"{row['file']}: differs from ONNX Runtime by {row['difference']:.1e}; integers that differ: {ran}"


def _entries(arguments: argparse.Namespace) -> list[Row]:
    if arguments.new:
        name, _, sizes = arguments.new.partition("=")
        return [{"file": name, "image": [int(size) for size in sizes.split(",")]}]
    entries: list[Row] = json.loads(INDEX.read_text(encoding="utf-8"))
    return [entry for entry in entries if arguments.files is None or entry["file"] in arguments.files]


def _read(path: Path) -> list[Row]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the ONNX files")
    parser.add_argument("--files", nargs="+", help="some of the index, by name")
    parser.add_argument(
        "--rtl", type=int, default=0, help="most cycles of a network that is simulated in RTL"
    )
    parser.add_argument("--new", help="a file that is not in the index, and the shape of its images")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
