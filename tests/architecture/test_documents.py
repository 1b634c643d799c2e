"""docs/architecture.md tells the arrows and the calls as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from entered import functions_entered
from import_arrows import TABLE, AllowedImports
from repository import ROOT, text_files
from torch import nn

from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.proof import check
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TELLING = ("architecture.md", "CONTRIBUTING.md")


def rows(head: str) -> Iterator[list[str]]:
    """Cells of the table below a head."""
    _, _, rest = PAGE.partition(f"\n{head}\n")
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`([^`]+)`", cell))


def dotted(paths: frozenset[str]) -> frozenset[str]:
    return frozenset(path.replace("/", ".") for path in paths)


def test_the_table_of_arrows_is_the_one_that_imports_are_held_to() -> None:
    told = {}
    for room, _, rooms, libraries in rows("| room | what is in it | rooms it may import | libraries |"):
        (name,) = dotted(names(room))
        allowed = None if libraries == "any" else names(libraries)
        told[name] = AllowedImports(rooms=dotted(names(rooms)), libraries=allowed)
    assert told == TABLE


def test_no_other_page_tells_what_may_be_imported() -> None:
    pages = [path for path in text_files() if path.suffix == ".md" and path.name not in TELLING]
    assert [path for path in pages if "may import" in path.read_text(encoding="utf-8").lower()] == []


def test_pages_about_rooms_lead_to_the_table() -> None:
    for page in ("README.md", "model/README.md"):
        assert "architecture.md#rooms-and-arrows" in (ROOT / page).read_text(encoding="utf-8")


def test_the_walk_from_quantize_to_descriptors_follows_the_calls(rng: np.random.Generator) -> None:
    walk = [
        (*names(file), *names(function))
        for _, function, file, _ in rows("| step | function | file | what it makes |")
    ]
    images = rng.integers(256, size=(4, 8, 8, 3), dtype=np.uint8)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))

    def every_step() -> None:
        graph = quantize(network.eval(), images, QuantizeConfig()).graph
        check(graph)
        compile_for(graph, TARGETS["pynq-z2"]).program.encode()

    entered = [
        (path.relative_to(ROOT).as_posix(), name) for path, name in functions_entered(every_step, ROOT)
    ]
    assert set(walk) <= set(entered)
    assert sorted(walk, key=entered.index) == walk
