"""The structure of the code: its length, names defined twice, files that a request passes through.

python benchmarks/house.py

Prints one line per measure with its limit, then the places that each counts; writes both to
build/bench/house.json. Exit status 1 where a measure is above its limit.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))  # the table of arrows, and how imports are read

from entered import functions_entered
from import_arrows import imports_of, wrong_arrows
from repository import NAMESPACE, ROOMS, files_below

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json

OUT = ROOT / "build" / "bench" / "house.json"
PRODUCT = ("board", "flow", "hls", "model")
SPLIT = ("hls", "model")  # rooms whose folders and files are ordered among themselves
SEARCH = ROOT / "examples" / "search" / "digits.toml"
EXAMPLE = ROOT / "examples" / "from_python.py"
SLICE = re.compile(r"_LSB\b[^]]*\+:")
TYPE_NAME = re.compile(r"_?[A-Z][a-z]\w*")

Places = Mapping[str, int]  # how often in which file, folder or name


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of the structure: a sum over places, or the number of them."""

    what: str
    limit: int
    found: int
    places: Places

    @property
    def is_met(self) -> bool:
        return self.found <= self.limit


def main() -> int:
    """Exit status: 1 when a measure is above its limit."""
    measures = tuple(_measures())
    cells = [
        (each.what, f"{each.limit:,}", f"{each.found:,}", "yes" if each.is_met else "NO") for each in measures
    ]
    print_table("structure", ("what", "at most", "found", "met"), cells)
    for each in measures:
        print(f"{each.what}:", *(f"  {place}: {count:,}" for place, count in each.places.items()), sep="\n")
    write_json(OUT, [{**asdict(each), "is_met": each.is_met} for each in measures])
    return int(not all(each.is_met for each in measures))


def _measures() -> Iterator[Measure]:
    def count(what: str, limit: int, places: Places) -> Measure:
        return Measure(what=what, limit=limit, found=len(places), places=places)

    def total(what: str, limit: int, places: Places) -> Measure:
        return Measure(what=what, limit=limit, found=sum(places.values()), places=places)

    yield total("lines of product Python", 34_000, product_lines())
    yield count("type names in two or more modules", 15, repeated_types(_sources(*PRODUCT)))
    yield count("files entered to load a network's weights", 12, files_entered(_load_weights))
    yield count("files entered by a search request", 24, files_entered(_request_search))
    yield count("files directly in flow", 10, {path.name: 1 for path in (ROOT / "flow").glob("*.py")})
    yield total("literal descriptor fields in hls", 0, _in_files("hls", "*.py", literal_fields))
    yield total("literal field slices in RTL", 0, _in_files("hls/rtl", "*.sv", field_slices))
    yield count("arrows up", 0, arrows_up(_sources(*ROOMS)))
    yield total("imports of examples/from_python.py", 1, {EXAMPLE.name: product_imports(EXAMPLE.read_text())})


def product_lines() -> Places:
    """Lines of Python by room."""
    return {
        room: sum(len(path.read_text().splitlines()) for path in files_below(room, "*.py"))
        for room in PRODUCT
    }


def repeated_types(sources: Mapping[str, str]) -> Places:
    """Classes and aliases that two or more modules define, with those modules, and how many they are.

    >>> repeated_types({"a.py": "class Code: ...", "b.py": "Code = int", "c.py": "CODE = 1"})
    {'Code (a.py, b.py)': 2}
    """
    places: dict[str, list[str]] = defaultdict(list)
    for path, source in sources.items():
        for name in {name for node in ast.parse(source).body if (name := _type_name(node))}:
            places[name].append(path)
    return {f"{name} ({', '.join(at)})": len(at) for name, at in sorted(places.items()) if len(at) > 1}


def _type_name(node: ast.stmt) -> str | None:
    """Name of the class or alias that a statement of a module defines."""
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        is_alias = isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
        return node.target.id if is_alias else None
    if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
        return target.id if TYPE_NAME.fullmatch(target.id) else None
    return None


def literal_fields(source: str) -> int:
    """Fields of a descriptor that Python looks up by a literal name.

    >>> literal_fields('exec.fields["out_h"] + fields["out_w"] + fields[name]')
    2
    """
    return sum(
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        and ast.unparse(node.value).split(".")[-1] == "fields"
        for node in ast.walk(ast.parse(source))
    )


def field_slices(source: str) -> int:
    """Fields that SystemVerilog cuts out of a descriptor by position and width.

    >>> field_slices("a = desc_i[EXEC_OUT_H_LSB+:EXEC_OUT_H_W]; b = line_i[8*lane+:8];")
    1
    >>> field_slices("a = desc_i[HDR_STRIDE_LSB + WordLog +: StrideW];")
    1
    """
    return len(SLICE.findall(source))


def product_imports(source: str) -> int:
    """Statements that import the product.

    >>> product_imports("import bitlathe\\nfrom bitlathe.hls import emit\\nimport torch")
    2
    """
    statements = (node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom))
    return sum(NAMESPACE in re.split(r"[ .]", ast.unparse(node)) for node in statements)


def arrows_up(sources: Mapping[str, str]) -> Places:
    """Imports that the table of arrows forbids, and rings of rooms, folders and files that import each other.

    In the rooms of SPLIT every folder, and every file beside the folders, is a part of its own.
    """
    forbidden = {line: 1 for path, source in sources.items() for line in wrong_arrows(path, source)}
    reached = _reached(_arrows(sources))
    rings = {tuple(sorted(b for b in ends if a in reached[b])) for a, ends in reached.items() if a in ends}
    return {**forbidden, **{f"{' <-> '.join(ring)}": 1 for ring in sorted(rings)}}


def _arrows(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The parts that each part imports."""
    arrows: dict[str, set[str]] = {}
    for path, source in sources.items():
        part = _part(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        ends = {_part(name.partition(".")[2]) for _, name in imports_of(path, source) if "." in name}
        arrows.setdefault(part, set()).update(end for end in ends if end.split(".")[0] in ROOMS)
        arrows[part].discard(part)
    return arrows


def _part(module: str) -> str:
    """The part of the product that a module belongs to."""
    words = module.split(".")
    return ".".join(words[:2]) if words[0] in SPLIT else words[0]


def _reached(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The parts that each part reaches over any number of arrows."""
    reached = {part: set(ends) for part, ends in arrows.items()}
    for through in arrows:
        for ends in reached.values():
            if through in ends:
                ends |= reached[through]
    return reached


def files_entered(call: Callable[[], object]) -> Places:
    """Product files of which a call enters functions, and how many of them."""
    found = functions_entered(call, *(ROOT / room for room in PRODUCT))
    return dict(Counter(path.relative_to(ROOT).as_posix() for path, _ in sorted(found)))


def _load_weights() -> None:
    """A network of the zoo with the weights that come with it."""
    from bitlathe.flow.network.request import NetworkRequest
    from bitlathe.flow.network.subject import find_subject

    find_subject(NetworkRequest(network="lenet5"))


def _request_search() -> None:
    """A search from its file until it is ready to train."""
    from bitlathe.flow.search.config import read_config
    from bitlathe.flow.search.setup import set_up

    set_up(read_config(SEARCH), None)


def _sources(*rooms: str) -> dict[str, str]:
    """Python sources by path below the root."""
    paths = (path for room in rooms for path in files_below(room, "*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _in_files(folder: str, pattern: str, count: Callable[[str], int]) -> Places:
    """Files of a folder in which something is counted at all."""
    paths = files_below(folder, pattern)
    counts = {path.relative_to(ROOT).as_posix(): count(path.read_text(encoding="utf-8")) for path in paths}
    return {path: number for path, number in counts.items() if number}


if __name__ == "__main__":
    sys.exit(main())
