"""`bitlathe demo`: the whole way of a small network, from training to bit-exact simulated hardware."""

from __future__ import annotations

from pathlib import Path

from bitlathe.flow.compilation import check_replaceable, compile_for, write_compilation
from bitlathe.flow.files import write_json
from bitlathe.flow.integer_network import obtain, save_network
from bitlathe.flow.output import note, task
from bitlathe.flow.request import NetworkRequest
from bitlathe.flow.simulation import Simulation, SimulationOptions, simulate
from bitlathe.flow.training import run_training
from bitlathe.hls.config import target as find_target
from bitlathe.model.train import TrainConfig

NETWORK, DATASET, TARGET = "lenet5", "digits", "pynq-z2"


def run_demo(out: Path, workers: int) -> Simulation:
    """Train, quantize, compile and simulate all test images; everything made lies in `out`."""
    target, folder = find_target(TARGET), out / TARGET
    check_replaceable(folder)
    note(f"1/4 training {NETWORK} on {DATASET}")
    trained = run_training(TrainConfig(network=NETWORK, dataset=DATASET), None, out / "train", resume=False)
    note("2/4 quantizing to 8-bit integers")
    network = obtain(NetworkRequest(network=NETWORK, dataset=DATASET, weights=trained.weights))
    save_network(network, out / f"{NETWORK}.blg")
    note(f"3/4 compiling for {target.name}")
    write_compilation(network, compile_for(network, target), target, folder)
    images = len(network.dataset.test_labels)
    note(f"4/4 simulating {images} images on the engine's RTL (the simulator is built first, once)")
    with task("simulating", images) as advance:
        result, _ = simulate(network, target, SimulationOptions(workers=workers), advance)
    write_json(out / "result.json", result.to_json())
    return result
