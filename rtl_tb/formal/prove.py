"""Every question about every block, asked in parallel, and its answer as a row."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bitlathe.rtl_tb.formal.engines import Answer, check_tools, prove, reach, search
from bitlathe.rtl_tb.formal.model import make_model
from bitlathe.rtl_tb.formal.theorems import Block, Configuration, Theorem


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer. A theorem is proved, its mutant refuted, a state reached; all else is a failure."""

    block: str
    property: str
    configuration: str
    engine: str
    result: str
    bounded: bool
    seconds: float

    @property
    def holds(self) -> bool:
        return self.result in ("proved", "refuted", "reached")

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


Question = Callable[[], list[Row]]


def prove_all(
    blocks: Sequence[Block],
    folder: Path,
    jobs: int,
    told: Callable[[Row], None],
    asked: Callable[[Sequence[Block], Path], Iterator[Question]] | None = None,
) -> tuple[Row, ...]:
    """Rows of all blocks; each goes to `told` as it comes. ToolError where a tool is missing.

    What is `asked` is all `questions` unless given.
    """
    check_tools()
    shutil.rmtree(folder, ignore_errors=True)

    def answered(question: Question) -> list[Row]:
        rows = question()
        for row in rows:
            told(row)
        return rows

    with ThreadPoolExecutor(jobs) as pool:
        return tuple(row for rows in pool.map(answered, (asked or questions)(blocks, folder)) for row in rows)


def theorems(blocks: Sequence[Block], folder: Path) -> Iterator[Question]:
    """The proofs of each block on its first configuration alone: what is quick to ask after a change."""
    for block in blocks:
        yield partial(_proved, block, block.configurations[0], folder / block.name)


def questions(blocks: Sequence[Block], folder: Path) -> Iterator[Question]:
    """The proofs on every configuration first, which take longest; then covers and mutants."""
    places = (folder / f"{number:03d}" for number in range(1_000_000))
    for block in blocks:
        for configuration in block.configurations:
            yield partial(_proved, block, configuration, next(places))
    for block in blocks:
        yield partial(_reached, block, next(places))
        for theorem in block.theorems:
            yield partial(_refuted, block, theorem, next(places))


def _proved(block: Block, configuration: Configuration, folder: Path) -> list[Row]:
    started = time.monotonic()
    make_model(block, configuration, folder)
    if block.bounded:
        answer = search(folder, block.engine, block.bound)
    else:
        answer = prove(folder, block.engine, block.induction)
    result = "proved" if answer.passed else _failure(answer, folder)
    return [
        _row(block, theorem.label, configuration, result, started, bounded=bool(block.bounded))
        for theorem in block.theorems
    ]


def _refuted(block: Block, theorem: Theorem, folder: Path) -> list[Row]:
    started = time.monotonic()
    configuration = block.configurations[0]
    make_model(block, configuration, folder, mutant=theorem.mutant, only=theorem.label)
    answer = search(folder, block.engine, block.bound)
    is_noticed = not answer.passed and theorem.label in answer.failed
    result = "refuted" if is_noticed else f"not refuted: {answer.failed or 'no assertion fails'} ({folder})"
    mutant = f"{theorem.label}, where {theorem.mutant.module} has {theorem.mutant.new!r}"
    return [_row(block, mutant, configuration, result, started, bounded=False)]


def _reached(block: Block, folder: Path) -> list[Row]:
    started = time.monotonic()
    configuration = block.configurations[0]
    make_model(block, configuration, folder)
    answer = reach(folder, block.engine, block.bound)
    return [
        _row(
            block,
            label,
            configuration,
            "reached" if label in answer.reached else f"not reached ({folder})",
            started,
            bounded=False,
        )
        for label in block.reached
    ]


def _failure(answer: Answer, folder: Path) -> str:
    return f"failed: {answer.failed} ({folder})"


def _row(
    block: Block, property_: str, configuration: Configuration, result: str, started: float, *, bounded: bool
) -> Row:
    return Row(
        block=block.name,
        property=property_,
        configuration=" ".join(f"{name}={value}" for name, value in configuration.items()),
        engine=block.engine.value,
        result=result,
        bounded=bounded,
        seconds=round(time.monotonic() - started, 1),
    )
