"""The cycle model: closed forms by hand, and whole programs against the simulated engine."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from compiled_networks import NETWORKS, PYNQ, compiled_for, mobilenet, vgg

from bitlathe.hls.cycles.model import DdrModel, exec_cycles, pass_cycles, predict
from bitlathe.hls.program import Opcode
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

SMALL = EngineConfiguration(bank_lines=200, weight_lines=400)
RESNET8_MOST, RESNET20_MOST = 38_000, 120_000  # cycles on pynq-z2


def test_a_pass_takes_its_groups_and_a_parameter_line() -> None:
    assert pass_cycles(1, 1024, 6, 18) == 1 + 171 * 18


def test_gathering_bounds_a_pass_of_short_groups() -> None:
    assert pass_cycles(4, 16, 6, 2) == 4 * (6 + 6 + 4)


def test_row_breaks_cost_a_group_a_row() -> None:
    assert pass_cycles(16, 16, 6, 9) == 1 + 16 * 3 * 9


def test_the_parts_of_a_prediction_follow_each_other(rng: np.random.Generator) -> None:
    program = compiled_for(vgg(rng, 32, 8), SMALL).program
    prediction = predict(program, DdrModel())
    execs = [
        (descriptor, timing)
        for descriptor, timing in zip(program.descriptors, prediction.timings, strict=True)
        if descriptor.opcode is Opcode.EXEC
    ]
    for descriptor, timing in execs:
        assert timing.end - timing.start == exec_cycles(descriptor)
        assert timing.dispatched <= timing.start
    assert all(before.end < after.start for (_, before), (_, after) in pairwise(execs))
    assert prediction.cycles >= max(timing.end for timing in prediction.timings)


@pytest.mark.parametrize(("blocks", "most"), [(1, RESNET8_MOST), (3, RESNET20_MOST)])
def test_cifar_resnets_stay_within_their_cycles(blocks: int, most: int, rng: np.random.Generator) -> None:
    program = compiled_for(random_resnet(rng, blocks=blocks), PYNQ).program
    assert predict(program, DdrModel.of(TARGETS["pynq-z2"]), weights_resident=True).cycles <= most


def test_resident_weights_are_not_waited_for(rng: np.random.Generator) -> None:
    program = compiled_for(NETWORKS["resnet8"](rng), PYNQ).program
    slow = DdrModel(busy=0.1)
    assert predict(program, slow, weights_resident=True).cycles < predict(program, slow).cycles


@pytest.mark.parametrize(
    ("network", "configuration", "percent"),
    [
        (NETWORKS["resnet8"], PYNQ, 0.5),
        (NETWORKS["resnet8"], SMALL, 1.0),
        (lambda rng: vgg(rng, 32, 8), SMALL, 1.0),
        (lambda rng: mobilenet(rng, 48, 16), SMALL, 1.0),
    ],
    ids=["resident", "resnet8 in strips", "vgg in strips", "mobilenet in strips"],
)
@pytest.mark.parametrize("ddr", [SimulatedDdr(), SimulatedDdr(busy=0.4, latency=80)], ids=["ddr", "slow ddr"])
def test_predictions_equal_the_simulated_engine(
    network: Callable[[np.random.Generator], Graph],
    configuration: EngineConfiguration,
    percent: float,
    ddr: SimulatedDdr,
    rng: np.random.Generator,
) -> None:
    graph = network(rng)
    compiled = compiled_for(graph, configuration)
    codes = random_inputs(rng, graph, 2)
    result = SimulatedEngine(configuration, ddr).run(compiled, codes)
    predicted = [
        predict(compiled.program, ddr, weights_resident=resident).cycles for resident in (False, True)
    ]
    errors = [100 * abs(guess / cycles - 1) for guess, cycles in zip(predicted, result.cycles, strict=True)]
    assert np.array_equal(result.codes, evaluate(graph, codes))
    assert max(errors) <= percent, f"predicted {predicted}, simulated {result.cycles}"
