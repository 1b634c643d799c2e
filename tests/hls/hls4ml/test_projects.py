"""Projects: what is planned, refused and written, and that it computes the reference's integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import yaml

needs.package("hls4ml")

from hls4ml_forms import RELU6, every_form, other_forms
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.hls.hls4ml import Backend, Options, csimulate, emit, make_plan, write
from bitlathe.hls.hls4ml.project import convert, csim, library
from bitlathe.hls.hls4ml.project.emit import _stamp, _texts, identity_of
from bitlathe.hls.program.registers import OFFSETS
from bitlathe.hls.target.config import find_target
from bitlathe.hls.vitis.lint.pragmas import lint
from bitlathe.model.graph.elementwise import Product
from bitlathe.model.graph.errors import CapacityError, ToolError, UnsupportedLayer
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Input, MaxPool2d
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.graph.resampling import PixelShuffle2d
from bitlathe.rtl_tb.random_networks.graphs import random_graph

GOLDEN = Path(__file__).parent / "golden"
PYNQ, ZCU104 = find_target("pynq-z2"), find_target("zcu104")


def _exact(graph: Graph, folder: Path, rng: np.random.Generator, options: Options | None = None) -> bool:
    codes = np.concatenate([random_inputs(rng, graph, 4), corner_inputs(graph)])
    return bool((csimulate(graph, PYNQ, folder, codes, options) == evaluate(graph, codes)).all())


@pytest.mark.parametrize(
    "backend", [Backend.VITIS, pytest.param(Backend.VIVADO_ACCELERATOR, marks=pytest.mark.slow)]
)
def test_every_form_of_layer_computes_the_references_integers(
    tmp_path: Path, rng: np.random.Generator, backend: Backend
) -> None:
    assert _exact(every_form(rng), tmp_path, rng, Options(backend=backend))


def test_zeros_in_kernels_products_and_copies_compute_the_references_integers(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    assert _exact(other_forms(rng), tmp_path, rng)


def test_halves_round_to_even_where_the_layer_says_so(tmp_path: Path, rng: np.random.Generator) -> None:
    """Weights of 64 and shifts of 7 make every second sum a half."""
    even, signs = RoundingMode.HALF_EVEN, rng.choice(np.array([-64, 64], np.int8), (2, 4, 3, 1, 1))
    first = conv2d(signs[0], name="first", lo=0, hi=95, format=RELU6, weight_frac=(7,) * 4, rounding=even)
    second = conv2d(
        signs[1, :3, :1].repeat(4, 1), name="second", source="first", weight_frac=(7,) * 3, rounding=even
    )
    added = conv2d(
        np.full((3, 3, 1, 1), 64, np.int8), name="added", source="second", residual="image", rounding=even
    )
    pool = AvgPool2d(
        name="pool",
        format=BYTE,
        source="added",
        kernel_size=(4, 4),
        stride=(4, 4),
        multiplier=1,
        multiplier_frac=4,
        rounding=even,
    )
    graph = graph_of(first, second, added, pool, shape=(3, 4, 4))
    up = replace(
        graph, nodes=tuple(replace(n, rounding=RoundingMode.HALF_UP) if n.sources else n for n in graph.nodes)
    )
    codes = random_inputs(rng, graph, 4)
    assert (evaluate(graph, codes) != evaluate(up, codes)).any()
    assert _exact(graph, tmp_path, rng)


def test_a_clamp_of_two_layers_and_halves_to_even_is_refused_where_the_limit_is_even() -> None:
    conv = conv2d(np.ones((1, 1, 1, 1), np.int8), lo=0, hi=96, rounding=RoundingMode.HALF_EVEN)
    with pytest.raises(UnsupportedLayer) as caught:
        make_plan(graph_of(conv), PYNQ)
    assert str(caught.value) == (
        "conv: halves to even and a clamp at 96; hls4ml would clamp codes raised by an odd number, whose "
        "halves round to odd ones: use the full range of codes, or the engine"
    )


def test_a_random_network_computes_the_references_integers(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    assert _exact(random_graph(rng), tmp_path, rng)


@pytest.mark.slow
@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize("wide", [False, True])
def test_many_random_networks_compute_the_references_integers(
    tmp_path: Path, backend: Backend, wide: bool
) -> None:
    compared = 0
    for seed in range(1000, 1040):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, wide=wide)
        try:
            make_plan(graph, PYNQ)
        except (UnsupportedLayer, CapacityError):
            continue
        assert _exact(graph, tmp_path / str(seed), rng, Options(backend=backend)), f"seed {seed}"
        compared += 1
    assert compared > 10


@pytest.mark.parametrize("backend", Backend)
def test_equal_graphs_give_equal_files(seed: int, backend: Backend) -> None:
    first, second = (
        emit(every_form(np.random.default_rng(seed)), PYNQ, Options(backend=backend)) for _ in range(2)
    )
    assert first == second
    assert not any(str(Path.cwd()) in text or "bitlathe-hls4ml-" in text for text in first.values())


def test_the_kernel_moves_codes_not_floats(rng: np.random.Generator) -> None:
    kernel = emit(every_form(rng), PYNQ)["firmware/network_kernel.cpp"]
    assert 'extern "C" void network_kernel(const int8_t *in, int8_t *out, int images, uint32_t' in kernel
    assert "float" not in kernel and "double" not in kernel


REVIEWED = {
    Backend.VITIS: {"firmware/network_kernel.cpp": "network_kernel.cpp", "csim.cpp": "csim.cpp"},
    Backend.VIVADO_ACCELERATOR: {"csim.cpp": "csim_axi.cpp"},
}


@pytest.mark.parametrize("backend", Backend)
def test_a_tiny_projects_own_sources_are_the_reviewed_ones(backend: Backend) -> None:
    graph = graph_of(conv2d(np.full((2, 1, 1, 1), 3, np.int8), lo=0), shape=(1, 2, 3))
    files = emit(graph, PYNQ, Options(backend=backend))
    for path, name in REVIEWED[backend].items():
        reviewed = (GOLDEN / name).read_text(encoding="utf-8").replace("VERSION", version("bitlathe"))
        assert files[path] == reviewed.replace("IDENTITY", str(identity_of(graph)))


def test_the_kernels_pragmas_are_known_and_govern_what_they_name(rng: np.random.Generator) -> None:
    assert lint(emit(every_form(rng), PYNQ)["firmware/network_kernel.cpp"]) == []


def test_the_kernels_registers_lie_where_the_engine_has_its_own(rng: np.random.Generator) -> None:
    kernel = emit(every_form(rng), PYNQ)["firmware/network_kernel.cpp"]
    lines = [line.split() for line in kernel.splitlines() if "s_axilite" in line and "offset=" in line]
    options = [dict(word.split("=") for word in words if "=" in word) for words in lines]
    names = {"in": "INPUT_LO", "out": "OUTPUT_LO", "images": "INPUTS", "cycles": "CYCLES_LO"}
    found = {names.get(each["port"], each["port"].upper()): int(each["offset"], 16) for each in options}
    assert found == {name: OFFSETS[name] for name in found}
    assert found.keys() == {*names.values(), "IDENTITY", "VERSION"}


def test_scripts_name_the_kernel_and_change_with_the_network(rng: np.random.Generator) -> None:
    first, second = (emit(every_form(rng), PYNQ) for _ in range(2))
    assert "set_top network_kernel" in first["run.tcl"]
    assert "syn.file=firmware/network_kernel.cpp" in first["hls.cfg"]
    assert first["run.tcl"] != second["run.tcl"]


def test_types_are_as_wide_as_the_graph_needs(rng: np.random.Generator) -> None:
    weight = np.full((1, 1, 1, 1), 127, np.int8)
    plan = make_plan(graph_of(conv2d(weight, bias=np.array([-3], np.int32)), shape=(1, 2, 2)), PYNQ)
    assert {name: kind.text for name, kind in plan.last.types.items()} == {
        "result": "fixed<8,1,RND,SAT,0>",
        "accum": "fixed<15,1,TRN,WRAP,0>",  # |127 * -128 - 3| < 2**14
        "weight": "fixed<8,1,TRN,WRAP,0>",
        "bias": "fixed<3,-11,TRN,WRAP,0>",
    }


def _pool(**changes: Any) -> Graph:
    fields: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2), **changes}
    return graph_of(MaxPool2d(name="pool", format=BYTE, source="image", **fields), shape=(1, 6, 6))


def _refusal(make: Callable[[], object]) -> str:
    with pytest.raises((UnsupportedLayer, CapacityError)) as refused:
        make()
    return str(refused.value)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            _pool(kernel_size=(3, 3)),
            "pool: a 3x3 max pool of stride 2x2; hls4ml's stream pooling needs stride = window (its C "
            "simulation aborts otherwise): change it, or use the engine",
        ),
        (
            _pool(padding=(1, 0)),
            "pool: a max pool with padding 1x0; hls4ml's stream pooling takes none (its C simulation aborts "
            "otherwise): change the pool, or use the engine",
        ),
        (
            _pool(end_padding=(0, 1)),
            "pool: a max pool with padding 0x1; hls4ml's stream pooling takes none (its C simulation aborts "
            "otherwise): change the pool, or use the engine",
        ),
        (
            _pool(dilation=(1, 2)),
            "pool: dilation 1x2; hls4ml pools pixels side by side: choose dilation 1, or use the engine",
        ),
        (
            graph_of(conv2d(np.ones((1, 1, 1, 1), np.int8), end_padding=(-2, 0)), shape=(1, 9, 9)),
            "conv: leaves out 2 rows or columns at an edge of image; hls4ml's convolutions read whole maps: "
            "pad instead, or use the engine",
        ),
        (
            graph_of(PixelShuffle2d(name="up", format=BYTE, source="image", factor=2), shape=(4, 2, 2)),
            "up: hls4ml projects have no PixelShuffle2d; rewrite it as a convolution or a pool, or use the "
            "engine",
        ),
        (
            graph_of(Product(name="square", format=BYTE, source="image", factor="image", lo=-128, hi=127)),
            "square: reads a tensor twice; hls4ml connects a stream to one port of a layer: use the engine",
        ),
        (
            graph_of(conv2d(np.ones((1, 1, 1, 1), np.int8), lo=-100, hi=100)),
            "conv: a clamp to [-100, 100]; ap_fixed saturates to 2**n - 1 above and to 0, -2**n or 1 - 2**n "
            "below: use the full range of codes, or the engine",
        ),
        (
            Graph(name="empty", nodes=(Input(name="image", format=BYTE, shape=(1, 1, 1)),), output="image"),
            "empty: its output is its input; there is nothing to build",
        ),
        (
            graph_of(
                *(conv2d(np.ones((1, 1, 1, 1), np.int8), name=f"reader{n}") for n in range(8)),
                Concat(name="join", format=BYTE, operands=tuple(f"reader{n}" for n in range(8))),
            ),
            "image: 8 layers read it; hls4ml copies a stream at most 7 times: use the engine",
        ),
    ],
)
def test_what_hls4ml_cannot_do_exactly_is_refused_by_name(graph: Graph, message: str) -> None:
    assert _refusal(lambda: make_plan(graph, PYNQ)) == message


def test_layers_that_the_output_does_not_need_read_no_stream() -> None:
    readers = (conv2d(np.ones((1, 1, 1, 1), np.int8), name=f"reader{n}") for n in range(8))
    make_plan(replace(graph_of(*readers), output="reader0"), PYNQ)


def test_a_tensor_joined_to_itself_is_refused() -> None:
    graph = graph_of(Concat(name="join", format=BYTE, operands=("image", "image")))
    assert _refusal(lambda: make_plan(graph, PYNQ)).startswith("join: reads a tensor twice;")


def test_the_accelerator_backend_is_refused_where_hls4ml_has_no_such_board(rng: np.random.Generator) -> None:
    options = Options(backend=Backend.VIVADO_ACCELERATOR)
    assert _refusal(lambda: make_plan(every_form(rng), ZCU104, options)) == (
        "zcu104: hls4ml's VivadoAccelerator has no such board, for its file names no hls4ml_board; "
        "choose Vitis"
    )


def test_reuse_factors_fit_the_target_and_a_larger_target_is_faster(rng: np.random.Generator) -> None:
    small, large = (make_plan(every_form(rng), chosen) for chosen in (PYNQ, ZCU104))
    assert small.dsps <= PYNQ.dsp and large.dsps <= ZCU104.dsp
    assert large.interval_cycles < small.interval_cycles


def test_a_reuse_factor_that_needs_too_many_dsps_is_refused(rng: np.random.Generator) -> None:
    message = _refusal(lambda: make_plan(every_form(rng), PYNQ, Options(reuse_factor=1)))
    assert message.startswith("pynq-z2: reuse factor 1 needs ")
    assert message.endswith(" DSPs, the target has 220; choose a larger factor, or none to have them chosen")


def test_an_illegal_reuse_factor_is_refused_with_legal_ones(rng: np.random.Generator) -> None:
    assert _refusal(lambda: make_plan(every_form(rng), PYNQ, Options(reuse_factor=5))) == (
        "channels_of_own_frac: reuse factor 5 is not legal for 27 x 6 products; choose one of 1, 3, 9, 27, "
        "54, 81, 162, or none to have them chosen"
    )


def test_a_target_of_too_few_dsps_or_too_little_memory_is_refused(rng: np.random.Generator) -> None:
    graph = every_form(rng)
    assert _refusal(lambda: make_plan(graph, replace(PYNQ, dsp=5))).startswith("pynq-z2: ")
    assert "bits on chip" not in _refusal(lambda: make_plan(graph, replace(PYNQ, bram36=0)))


def test_a_type_that_hls4ml_changed_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = make_plan(graph_of(conv2d(np.ones((1, 1, 1, 1), np.int8)), shape=(1, 2, 2)), PYNQ)
    honest = convert._layer_configuration

    def forgetful(*arguments: Any) -> dict[str, Any]:
        configuration = honest(*arguments)
        configuration["Precision"].pop("accum", None)
        return configuration

    monkeypatch.setattr(convert, "_layer_configuration", forgetful)
    with pytest.raises(ToolError, match=r"conv: hls4ml made its accum fixed<16,6,TRN,WRAP,0>, planned was "):
        convert.to_model(plan, PYNQ, Backend.VITIS, tmp_path)


def test_words_left_in_a_stream_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"leftover data in stream"):
        csim._complain(tmp_path, "WARNING: Hls::stream 'a' contains leftover data in stream\n")


def test_a_compiler_that_is_missing_or_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    graph = _pool()
    codes = random_inputs(rng, graph, 1)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ToolError, match=r"^no C\+\+ compiler \(no-such-compiler\), and C simulation compiles the project: "
    ):
        csimulate(graph, PYNQ, tmp_path, codes)
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ToolError, match=r"^false in .*: exit status 1; the log is .*csim\.log"):
        csimulate(graph, PYNQ, tmp_path, codes)


def test_another_release_of_hls4ml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "version", lambda name: "1.4.0")
    with pytest.raises(ToolError, match=r"hls4ml 1\.4\.0 is installed; its layer list differs from 1\.3's"):
        library.require()


def test_writing_twice_leaves_one_project_and_no_partial_file(tmp_path: Path) -> None:
    for _ in range(2):
        write(_pool(), PYNQ, tmp_path)
    assert list(tmp_path.rglob("*.part")) == []
    assert (tmp_path / "build_lib.sh").stat().st_mode & 0o100


@pytest.mark.parametrize("random_stamp", ["0123abcd", "01234567"])
def test_a_stamp_that_yaml_reads_as_a_number_is_settled_like_any_other(
    random_stamp: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text(yaml.safe_dump({"Stamp": random_stamp}))
    (tmp_path / "build.sh").write_text(f"lib-{random_stamp}.so {tmp_path}")
    texts = _texts(tmp_path, random_stamp, _stamp("sha256:0123456789"))
    assert texts == {"build.sh": "lib-g0123456.so .", "config.yml": "Stamp: g0123456\n"}
