"""No import arrow points up."""

from __future__ import annotations

import pytest
from import_arrows import TABLE, wrong_arrows
from repository import NAMESPACE, ROOMS, ROOT, files_below, packages_on_disk

SOURCES = [
    path.relative_to(ROOT).as_posix() for room in (NAMESPACE, *ROOMS) for path in files_below(room, "*.py")
]


@pytest.mark.parametrize("path", SOURCES)
def test_every_import_arrow_points_down(path: str) -> None:
    assert wrong_arrows(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "culprit"),
    [
        ("model/graph/nodes.py", "import torch", "torch"),
        (
            "model/graph/nodes.py",
            "from bitlathe.model.capture import capture",
            "bitlathe.model.capture.capture",
        ),
        (
            "model/graph/nodes.py",
            "from bitlathe.model.graph.files import npy",
            "bitlathe.model.graph.files.npy",
        ),
        ("hls/target/area.py", "from bitlathe.hls.compile import plan", "bitlathe.hls.compile.plan"),
        ("flow/errors.py", "from bitlathe.flow.network import subject", "bitlathe.flow.network.subject"),
        ("flow/network/subject.py", "from bitlathe.flow.cli import main", "bitlathe.flow.cli.main"),
        ("model/search/cost.py", "from bitlathe.hls.cycles import cycles", "bitlathe.hls.cycles.cycles"),
        ("model/prune/filters.py", "from bitlathe import hls", "bitlathe.hls"),
        ("model/zoo/lenet.py", "from ..train import batches", "bitlathe.model.train.batches"),
        (
            "model/train/files.py",
            "from bitlathe.model.prune.channels.rebuild import shrink_to",
            "bitlathe.model.prune.channels.rebuild.shrink_to",
        ),
        ("hls/compile/plan.py", "def late():\n    import torch.nn", "torch.nn"),
        ("hls/compile/plan.py", "from bitlathe.model import zoo", "bitlathe.model.zoo"),
        ("board/runner.py", "from bitlathe.model.graph import errors", "bitlathe.model.graph.errors"),
        ("board/runner.py", "import jinja2", "jinja2"),
        ("board/runner.py", "import pynq", "pynq"),
        ("rtl_tb/fifo/bench.py", "from bitlathe.flow.cli.main import main", "bitlathe.flow.cli.main.main"),
        ("flow/cli/main.py", "from model.graph import nodes", "model.graph"),
    ],
)
def test_the_checker_catches_a_wrong_arrow(path: str, source: str, culprit: str) -> None:
    (found,) = wrong_arrows(path, source)
    assert f": {culprit} " in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/graph/nodes.py", "import json\nimport numpy as np\nfrom .errors import ShapeError"),
        ("model/capture/capture.py", "import torch\nfrom bitlathe.model.graph.nodes import Conv2d"),
        ("hls/render.py", "from jinja2 import Environment\nfrom bitlathe.hls import render"),
        ("hls/compile/plan.py", "from bitlathe.hls.cycles import model\nfrom bitlathe.model import graph"),
        ("rtl_tb/fifo/bench.py", "import cocotb\nfrom bitlathe.hls.targets import Target"),
        ("flow/cli/main.py", "import typer\nfrom bitlathe.board.runner import run"),
    ],
)
def test_the_checker_lets_a_right_arrow_pass(path: str, source: str) -> None:
    assert wrong_arrows(path, source) == []


def test_a_wrong_arrow_is_named_with_place_and_remedy() -> None:
    assert wrong_arrows("hls/datapath.py", "\nimport bitlathe.flow") == [
        "hls/datapath.py:2: bitlathe.flow is an arrow the wrong way; "
        "hls.datapath may import hls.datapath, model.graph"
    ]


def test_every_package_is_ruled_by_its_own_row() -> None:
    rooms = {".".join(name.split(".")[1:3]) for name in packages_on_disk()}
    assert {room for room in rooms if room.startswith(("flow.", "hls.", "model."))} <= set(TABLE)
