"""The steps of the command line from Python: quantize LeNet-5, compile it, run it on the simulated engine.

python examples/from_python.py
"""

from __future__ import annotations

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.config import find_target
from bitlathe.hls.cycle_model import DdrModel
from bitlathe.hls.sim import SimulatedDdr, simulate_many
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import load_pretrained

IMAGES = 20


def main() -> None:
    """Print what the hardware recognises, and whether all integers are the reference's."""
    digits, board = load_dataset("digits"), find_target("pynq-z2")
    quantized = quantize(
        load_pretrained("lenet5", "digits"), digits.train_images, QuantizeConfig(calibration_images=64)
    )
    check(quantized.graph)
    compiled = compile_graph(quantized.graph, board.engine, DdrModel.of(board))
    codes = quantized.preprocess.codes(digits.test_images[:IMAGES])  # (N, C, H, W) int8
    result = simulate_many(compiled, codes, SimulatedDdr.of(board))
    right = (result.codes[:, :, 0, 0].argmax(axis=1) == digits.test_labels[:IMAGES]).sum()
    equal = (result.codes == evaluate(quantized.graph, codes)).all()
    print(f"{right} of {IMAGES} digits right, {result.cycles[-1]} cycles each, integers equal: {equal}")


if __name__ == "__main__":
    main()
