"""backend="bitlathe": an hls4ml model becomes the integer graph, exactly or not at all."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import needs
import numpy as np
import pytest

needs.package("hls4ml")

import hls4ml_models
from hls4ml.backends import get_available_backends
from hls4ml_models import MODELS, constants, inputs, layer, make, truncating
from repository import ROOT

from bitlathe.hls.hls4ml import make_plan
from bitlathe.hls.hls4ml.plugin import Execution, lathe_of
from bitlathe.hls.hls4ml.project import convert, library
from bitlathe.hls.hls4ml.project.plan import Backend
from bitlathe.hls.target.config import find_target
from bitlathe.model.graph.errors import CapacityError, FormatError, ShapeError, ToolError, UnsupportedLayer
from bitlathe.model.graph.files.archive import read_graph
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.graphs import random_graph

EXAMPLE = str(ROOT / "examples" / "hls4ml_backend.py")


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hls4ml_backend", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _bitlathe(model: hls4ml_models.Model, folder: Path, **options: Any) -> Any:
    with library.quiet():
        return make(model, "bitlathe", folder, **options)


def test_hls4ml_finds_the_backend_by_its_entry_point() -> None:
    assert "bitlathe" in get_available_backends()


@pytest.mark.parametrize("execution", ["program", "rtl"])
def test_the_program_and_the_simulated_hardware_predict_as_the_reference(
    tmp_path: Path, execution: str
) -> None:
    example = _example()
    images = example.images(3)
    expected = example.build(tmp_path).predict(images)
    assert (example.build(tmp_path, execution=execution).predict(images) == expected).all()


def test_the_example_compiles_and_writes_equal_bytes_twice(tmp_path: Path) -> None:
    for name in ("first", "second"):
        _example().build(tmp_path / name).compile()
    first, second = (sorted((tmp_path / name).rglob("*.*")) for name in ("first", "second"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    written = read_graph(tmp_path / "first" / "graph.blg")
    assert [type(node).__name__ for node in written.nodes] == ["Input", *["Conv2d"] * 4]


def _run_example(folder: Path, *words: str) -> str:
    """What the example prints when run as a program where Keras can't be imported."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(('keras', 'tensorflow', 'qkeras')))"
    runs = f"import runpy; sys.argv[0] = {EXAMPLE!r}; runpy.run_path({EXAMPLE!r}, run_name='__main__')"
    command = [sys.executable, "-c", f"{blocked}; {runs}", "--out", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


def test_the_example_runs_without_keras(tmp_path: Path) -> None:
    printed = _run_example(tmp_path, "--execution", "program")
    assert str(_example().build(tmp_path).predict(_example().images(4))) in printed
    assert (tmp_path / "program.bin").exists()


@pytest.mark.slow
def test_the_example_predicts_what_hls4mls_own_c_simulation_does(tmp_path: Path) -> None:
    assert "equal to hls4ml's own C simulation: True" in _run_example(tmp_path, "--compare")


def test_a_single_sample_gives_a_single_row_of_the_inputs_type(tmp_path: Path) -> None:
    example = _example()
    row = example.build(tmp_path).predict(example.images(1).astype(np.float32))
    assert row.shape == (10,) and row.dtype == np.float32


def _imported_again(graph: Graph, folder: Path) -> Any:
    """hls4ml's model of a graph's project, for the backend `bitlathe`."""
    plan = make_plan(graph, find_target("zcu104"))
    configuration = convert._configuration(plan, find_target("zcu104"), Backend.VITIS, folder)
    entries = [convert._layer_list_entry(entry) for entry in plan.layers]
    types = {name: value["Precision"] for name, value in configuration["HLSConfig"]["LayerName"].items()}
    return _bitlathe((entries, types), folder)


def test_a_network_that_went_to_hls4ml_comes_back_as_the_same_function(tmp_path: Path) -> None:
    compared = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, wide=bool(seed % 2), half_even=seed % 3 == 0)
        try:
            model = _imported_again(graph, tmp_path)
        except (UnsupportedLayer, CapacityError):
            continue
        codes = np.concatenate([random_inputs(rng, graph, 2), corner_inputs(graph)])
        lathe = lathe_of(model)
        assert (lathe.run(codes, Execution.REFERENCE) == evaluate(graph, codes)).all(), f"seed {seed}"
        compared += 1
    assert compared > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_backend_predicts_what_hls4mls_own_c_simulation_does(tmp_path: Path, name: str) -> None:
    program = [sys.executable, hls4ml_models.__file__, name, str(tmp_path / "vitis")]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=600)
    expected = np.array(json.loads(done.stdout.splitlines()[-1]))
    model = MODELS[name]()
    assert (_bitlathe(model, tmp_path).predict(inputs(model, 16)) == expected).all()


def _refusal(model: hls4ml_models.Model, folder: Path) -> str:
    with pytest.raises(UnsupportedLayer) as refused:
        lathe_of(_bitlathe(model, folder))
    return str(refused.value)


def test_an_accumulator_that_truncates_is_refused_with_the_type_that_would_do(tmp_path: Path) -> None:
    layers, types = truncating()
    types["d1"]["accum"] = "fixed<16,6>"
    assert _refusal((layers, types), tmp_path) == (
        "d1: its accumulator fixed<16,6,TRN,WRAP,0> rounds or wraps its sums; "
        "set Precision['accum'] to fixed<19,8> or wider"
    )


def test_a_result_that_would_wrap_is_refused(tmp_path: Path) -> None:
    layers, types = truncating()
    types["c1"]["result"] = "fixed<8,2>"
    types["r1"]["result"] = "fixed<7,1>"
    assert _refusal((layers, types), tmp_path).startswith(
        "c1: its result fixed<8,2,TRN,WRAP> takes codes -128 to 127, its sums reach "
    )


def test_a_softmax_is_refused_by_name(tmp_path: Path) -> None:
    layers, types = truncating()
    layers.append(layer("Softmax", "soft", ["d1"], activation="softmax", n_in=5))
    assert _refusal((layers, types), tmp_path).startswith("soft: a Softmax has no exact integer form here;")


def test_a_dilation_that_hls4ml_ignores_is_refused(tmp_path: Path) -> None:
    layers, types = truncating()
    layers[1]["dilation_height"] = 2
    assert _refusal((layers, types), tmp_path) == (
        "c1: dilation [2, 1], which hls4ml reads and ignores; retrain with dilation 1"
    )


def test_weights_beyond_their_type_are_refused(tmp_path: Path) -> None:
    layers, types = truncating()
    layers[-1] |= {"weight_data": constants(2, 16, 5)["weight_data"] * 4}
    assert "and would wrap; give the type more integer bits" in _refusal((layers, types), tmp_path)


def test_inputs_off_the_grid_or_of_another_size_are_refused(tmp_path: Path) -> None:
    model = _bitlathe(truncating(), tmp_path)
    with pytest.raises(FormatError, match=r"round them to multiples of 0\.0078125 from -1 to 0\.992188"):
        model.predict(np.full((1, 9, 8, 3), 0.001))
    with pytest.raises(ShapeError, match="its elements must be a multiple of 216"):
        model.predict(np.zeros((1, 9, 8, 2)))


def test_a_model_is_not_synthesized(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="small: the engine is not synthesized per model"):
        _bitlathe(truncating(), tmp_path).build()


def test_unknown_boards_and_executions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="target 'zcu999' is unknown"):
        _bitlathe(truncating(), tmp_path, board="zcu999")
    with pytest.raises(FormatError, match="execution 'gpu' is unknown; choose one of reference"):
        _bitlathe(truncating(), tmp_path, execution="gpu")
