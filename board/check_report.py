"""The report of a board's check, line by line; and how it compares with a measurement elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from bitlathe.board import names
from bitlathe.board.fields import JsonFields
from bitlathe.board.measurement import Labels, Measurement, labels_from

_WHERE = "report"
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """One thing that was looked at."""

    name: str
    passed: bool
    says: str  # what was found; where that is wrong also how to go on
    figures: Figures = field(default_factory=dict)  # the same in numbers

    def __post_init__(self) -> None:
        names.OUTPUT.check(self.name, _WHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """A board, looked at with a bundle."""

    bundle: str  # its folder's name, which begins with network and board
    labels: Labels | None  # None where the overlay could not be loaded
    lines: tuple[CheckLine, ...]
    images: int  # that were compared with the reference
    cycles: int  # of one image, weights on chip; 0 where none ran
    cycles_first: int
    predicted_cycles: int  # by the cycle model, as `cycles`
    outputs_sha256: str  # of all output codes; empty where none ran

    @property
    def failed(self) -> tuple[CheckLine, ...]:
        """Lines that did not pass, in order."""
        return tuple(line for line in self.lines if not line.passed)

    def differences(self, measured: Measurement) -> Iterator[tuple[str, str, str, str]]:
        """Rows of a table: what, in this report, as measured, how far apart.

        The outputs are compared where both ran equally many images.
        """
        clock = self.labels.clock_mhz if self.labels else 0
        pairs = (
            ("cycles an image", self.cycles, measured.cycles),
            ("cycles, weights not yet on chip", self.cycles_first, measured.cycles_first),
            ("clock, read back", clock, measured.clock_mhz),
        )
        for what, ours, theirs in pairs:
            apart = f"{100 * (ours / theirs - 1):+.2f} %" if ours else "-"
            yield what, f"{ours:,.9g}", f"{theirs:,.9g}", apart
        if self.images == measured.images:
            same = self.outputs_sha256 == measured.outputs_sha256
            yield (
                "outputs",
                self.outputs_sha256[:12],
                measured.outputs_sha256[:12],
                "equal" if same else "different",
            )

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: JsonFields) -> CheckReport:
        """The report that plain values describe; BundleError where they do not."""
        digest = fields.text("outputs_sha256")
        if digest:
            names.DIGEST.check(digest, _WHERE)
        return cls(
            bundle=fields.text("bundle"),
            labels=Labels(**labels_from(fields.fields("labels"))) if fields.values.get("labels") else None,
            lines=tuple(map(_line, fields.items("lines"))),
            images=fields.integer("images"),
            cycles=fields.integer("cycles"),
            cycles_first=fields.integer("cycles_first"),
            predicted_cycles=fields.integer("predicted_cycles"),
            outputs_sha256=digest,
        )


def _line(fields: JsonFields) -> CheckLine:
    figures = fields.fields("figures")
    return CheckLine(
        name=fields.text("name"),
        passed=fields.flag("passed"),
        says=fields.text("says"),
        figures={name: figures.any_number(name) for name in figures.values},
    )
