"""One-line faults in the product, each of which some test must notice.

python benchmarks/mutants.py --seconds 600

Operators make them, a few a file, drawn by a seed from what the file reads, so a change leaves other files'
faults as they are; some more are named in benchmarks/mutants.toml. Each is put into a private copy of the
repository, where the tests run that execute its line, the quickest first, until one fails; of RTL the benches
of the smallest block first, then its theorems, then the whole engine. A fault that changes nothing that
anybody can notice is argued in the same file, one by one.

What was found is kept in build/mutants, and counts while the file and the tests stay as they are: the same
command goes on after it. Writes rows to build/bench/mutants.json. Exit status 1 where a fault lives that is
not argued, or where an argument is about a line that reads otherwise now.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from mutant_tests import AREAS, ROOT, WORK, Area, Copy, KnownTest, control, read_by, try_fault
from mutation import PYTHON, Fault, ranked

from bitlathe.flow.cli.output import note, print_table
from bitlathe.flow.files import write_json
from bitlathe.model.graph.errors import FormatError, ToolError
from bitlathe.model.graph.files.toml_sections import read_toml
from bitlathe.model.native.cache import digest_of

OUT = ROOT / "build" / "bench" / "mutants.json"
REVIEWED = ROOT / "benchmarks" / "mutants.toml"
KNOWN = WORK / "known.jsonl"
LINES_A_FAULT = 90  # of a file for each fault of it
SPARE = 5  # faults a place, of which the first counts that a compiler takes

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a fault."""

    mutant: str
    file: str
    line: int
    area: str
    killed_by: str  # a test, a theorem, the time limit; nothing where it lives
    argued: str  # why nobody can notice it
    seconds: float

    @property
    def is_well(self) -> bool:
        return bool(self.killed_by or self.argued)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for one fault, with others to try there if the first does not compile."""

    area: Area
    faults: Sequence[Fault]


def reviewed(path: Path) -> tuple[list[Fault], dict[Key, str]]:
    """The faults that are named, and the arguments; FormatError where a line reads otherwise now."""
    page = read_toml(path).values
    named = [fault for entry in page.get("named", []) for fault in _in_tree(entry, entry["name"])]
    argued = {
        fault.key: entry["why"] for entry in page.get("argued", []) for fault in _in_tree(entry, "argued")
    }
    return named, argued


def _in_tree(entry: Mapping[str, str], operator: str) -> list[Fault]:
    """A reviewed entry's fault at every line that reads so."""
    path = ROOT / entry["file"]
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [
        Fault(
            file=entry["file"],
            line=number,
            operator=operator,
            old=line,
            new=line.replace(entry["old"], entry["new"]),
        )
        for number, line in enumerate(lines, 1)
        if line.strip() == entry["old"]
    ]
    if not found:
        raise FormatError(
            f"{REVIEWED.name}: no line of {entry['file']} reads {entry['old']!r}; "
            "see whether what is said of it still holds, and mend or drop it"
        )
    return found


def slots(seed: int, named: Sequence[Fault]) -> list[Slot]:
    """Every place for a fault, in an order that the seed draws."""
    found = []
    for area in AREAS:
        files = area.files()
        found += [Slot(area=area, faults=[fault]) for fault in named if fault.file in files]
        for file in files:
            text = (ROOT / file).read_text(encoding="utf-8")
            count = min(area.most, 1 + text.count("\n") // LINES_A_FAULT)
            most = count if file.endswith(PYTHON) else count * SPARE
            faults = list(islice(ranked(file, text, seed), most))
            found += [Slot(area=area, faults=faults[i::count]) for i in range(min(count, len(faults)))]
    return sorted(found, key=lambda slot: sha256(f"{seed} {slot.faults[0].key}".encode()).digest())


class Known:
    """What earlier runs found: a line of a file for each fault, named by a digest of what it hangs on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Found] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(json.JSONDecodeError):  # a line that was cut off
                    one = json.loads(line)
                    of = one.pop("of")
                    self.found[of] = Found(**one)

    def of(self, area: Area, fault: Fault) -> Found | None:
        """What was found of a fault by tests that read as they do now."""
        files = area.test_files()
        digests = (_evidence(fault, judges) for judges in (files, *([file] for file in files)))
        return next((self.found[each] for each in digests if each in self.found), None)

    def add(self, area: Area, fault: Fault, found: Found) -> None:
        file = found.killed_by.partition("::")[0]
        of = _evidence(fault, [file] if file in area.test_files() else area.test_files())
        self.found[of] = found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as log:
            print(json.dumps({"of": of, **asdict(found)}), file=log, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the tests said of a fault, and how long it took."""

    killed_by: str
    is_built: bool
    seconds: float


def _evidence(fault: Fault, tests: Sequence[str]) -> str:
    """Names a fault in its file as it reads now, and the tests that judge it."""
    judges = [path for test in tests for path in read_by(test)]
    return digest_of([*fault.key, str(fault.line)], [ROOT / fault.file, *judges])


def main(words: Sequence[str] | None = None) -> int:
    """Try what is not known yet; exit status 1 where a fault lives that is not argued."""
    arguments = _parse(words)
    known, ends = Known(KNOWN), time.monotonic() + arguments.seconds
    try:
        named, argued = reviewed(REVIEWED)
        chosen = [slot for slot in slots(arguments.seed, named) if _is_wanted(slot, arguments)]
        chosen.sort(key=lambda slot: (AREAS.index(slot.area) - arguments.turn) % len(AREAS))
        rows = list(_rows(chosen, argued, known, ends, arguments.jobs))
    except (FormatError, ToolError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 3 if isinstance(error, ToolError) else 1
    write_json(OUT, [asdict(row) for row in rows])
    _show(rows, len(chosen))
    return int(not all(row.is_well for row in rows))


def _is_wanted(slot: Slot, arguments: argparse.Namespace) -> bool:
    return not arguments.files or slot.faults[0].file in arguments.files


def _rows(
    chosen: Sequence[Slot], argued: Mapping[Key, str], known: Known, ends: float, jobs: int
) -> Iterator[Row]:
    """The row of each fault, as it is found; none begins past the end."""
    copies: SimpleQueue[Copy] = SimpleQueue()
    with ExitStack() as stack:
        WORK.mkdir(parents=True, exist_ok=True)
        for _ in range(jobs):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="copy-", dir=WORK)))
            copies.put(stack.enter_context(closing(Copy(folder / "tree"))))
        for area, own in groupby(chosen, key=lambda slot: slot.area):
            asked = list(own)
            left = [slot for slot in asked if _judged(slot, known) is None]
            copy, began = copies.get(), time.monotonic()
            tests = control(area, copy, WORK / "control") if left and began < ends else []
            ends += time.monotonic() - began
            copies.put(copy)

            def tried(slot: Slot, tests: Sequence[KnownTest] = tests, ends: float = ends) -> Row | None:
                copy = copies.get()
                try:
                    return _tried(slot, tests, argued, known, copy, ends)
                finally:
                    copies.put(copy)

            with ThreadPoolExecutor(jobs) as pool:
                yield from filter(None, pool.map(tried, asked))


def _judged(slot: Slot, known: Known) -> tuple[Fault, Found] | None:
    """The first fault of a place that is a program, and what is known of it; None if that is to find."""
    for fault in slot.faults:
        found = known.of(slot.area, fault)
        if found is None:
            return None
        if found.is_built:
            return fault, found
    raise ToolError(f"no fault of {slot.faults[0].file} compiles, such as {slot.faults[0].label}")


def _tried(
    slot: Slot,
    tests: Sequence[KnownTest],
    argued: Mapping[Key, str],
    known: Known,
    copy: Copy,
    ends: float,
) -> Row | None:
    while (judged := _judged(slot, known)) is None:
        if time.monotonic() > ends:
            return None
        fault = next(each for each in slot.faults if known.of(slot.area, each) is None)
        began = time.monotonic()
        verdict = try_fault(slot.area, fault, tests, copy)
        seconds = round(time.monotonic() - began, 1)
        known.add(slot.area, fault, Found(**asdict(verdict), seconds=seconds))
        said = f"killed by {verdict.killed_by}" if verdict.killed_by else "LIVES"
        said = said if verdict.is_built else "no program"
        note(f"{fault.file}:{fault.line}: {fault.label}: {said}, {seconds} s")
    fault, found = judged
    return Row(
        mutant=fault.label,
        file=fault.file,
        line=fault.line,
        area=slot.area.name,
        killed_by=found.killed_by,
        argued="" if found.killed_by else argued.get(fault.key, ""),
        seconds=found.seconds,
    )


def _show(rows: Sequence[Row], chosen: int) -> None:
    cells = []
    for area in AREAS:
        own = [row for row in rows if row.area == area.name]
        counts = (
            len(own),
            sum(bool(row.killed_by) for row in own),
            sum(bool(row.argued) for row in own),
            sum(not row.is_well for row in own),
            round(sum(row.seconds for row in own)),
        )
        cells.append((area.name, *(str(count) for count in counts)))
    print_table("faults", ("area", "tried", "killed", "argued", "alive", "seconds"), cells)
    for row in rows:
        if not row.is_well:
            print(f"{row.file}:{row.line} lives: {row.mutant}")
    note(f"{len(rows)} of {chosen} faults, {sum(not row.is_well for row in rows)} alive")


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="on faults; what the tests take without one is not counted",
    )
    parser.add_argument("--files", nargs="*", default=[], metavar="FILE", help="faults of these alone")
    parser.add_argument("--turn", type=int, default=0, help="number of the area to begin with")
    parser.add_argument("--seed", type=int, default=1, help="draws the faults; those of 1 are argued")
    parser.add_argument("--jobs", type=int, default=2, help="faults at once")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
