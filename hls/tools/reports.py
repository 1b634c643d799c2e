"""A synthesizer's reports as plain values: csynth.xml, and those of its modules beside it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bitlathe.hls.target.config import Target
from bitlathe.model.graph.errors import FormatError

UNKNOWN = {"undef", "?", "-", "n/a", ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsReport:
    """Estimates of one synthesis; a row beside those of Yosys."""

    target: str
    part: str
    lut: int
    ff: int
    dsp: int
    bram36: float  # the report counts RAMB18
    uram: int
    lut_limit: int
    ff_limit: int
    dsp_limit: int
    bram36_limit: int
    uram_limit: int
    fits: bool
    clock_ns: float  # asked for
    estimated_clock_ns: float
    latency_min: int | None  # cycles; None where it depends on the program
    latency_max: int | None
    interval_min: int | None
    interval_max: int | None
    slow_loops: Mapping[str, int]  # pipelined loops that start no iteration every cycle, with their intervals
    tool: str

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def read_report(path: Path, target: Target) -> HlsReport:
    """Estimates in a csynth.xml; FormatError names what is missing in a report of another format."""
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise FormatError(f"{path}: no synthesis report ({error}); see the tool's log") from error
    used = {name: int(_number(root, path, f"AreaEstimates/Resources/{tag}")) for name, tag in _TAGS.items()}
    bram36 = used.pop("bram18") / 2
    limits = {
        "lut_limit": target.lut,
        "ff_limit": target.ff,
        "dsp_limit": target.dsp,
        "bram36_limit": target.bram36,
        "uram_limit": target.uram,
    }
    latency = "PerformanceEstimates/SummaryOfOverallLatency"
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis"
    return HlsReport(
        target=target.name,
        part=target.part,
        **used,
        **limits,
        bram36=bram36,
        fits=bram36 <= target.bram36 and all(used[name] <= limits[f"{name}_limit"] for name in used),
        clock_ns=float(_number(root, path, "UserAssignments/TargetClockPeriod")),
        estimated_clock_ns=float(_number(root, path, f"{timing}/EstimatedClockPeriod")),
        latency_min=_cycles(root, f"{latency}/Best-caseLatency"),
        latency_max=_cycles(root, f"{latency}/Worst-caseLatency"),
        interval_min=_cycles(root, f"{latency}/Interval-min"),
        interval_max=_cycles(root, f"{latency}/Interval-max"),
        slow_loops=_slow_loops(path),
        tool=f"HLS {_text(root, path, 'ReportVersion/Version')}",
    )


_TAGS = {"lut": "LUT", "ff": "FF", "bram18": "BRAM_18K", "dsp": "DSP", "uram": "URAM"}
_OPTIONAL = {"AreaEstimates/Resources/URAM"}  # no such line for a part without


def _text(root: ET.Element, path: Path, place: str) -> str:
    element = root.find(place)
    if element is None and place in _OPTIONAL:
        return "0"
    if element is None or not (element.text or "").strip():
        raise FormatError(f"{path}: has no {place}; a report of an unknown release, please report it")
    return (element.text or "").strip()


def _number(root: ET.Element, path: Path, place: str) -> float:
    text = _text(root, path, place)
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{path}: {place} is {text!r}, no number; a report of an unknown release") from None


def _cycles(root: ET.Element, place: str) -> int | None:
    text = (root.findtext(place) or "").strip()
    return None if text.lower() in UNKNOWN else int(float(text))


def _slow_loops(path: Path) -> dict[str, int]:
    """Loops whose initiation interval exceeds 1, by name, of the top function's modules too."""
    pairs = {pair for report in sorted(path.parent.glob("*csynth.xml")) for pair in _loops(report)}
    return {name: interval for name, interval in sorted(pairs) if interval > 1}


def _loops(report: Path) -> Iterator[tuple[str, int]]:
    """Names and intervals of pipelined loops in one report; in some the element is named after the loop."""
    try:
        summaries = ET.parse(report).getroot().iter("SummaryOfLoopLatency")
    except (OSError, ET.ParseError) as error:
        raise FormatError(f"{report}: no synthesis report ({error}); see the tool's log") from error
    for loop in (element for summary in summaries for element in summary.iter()):
        interval = (loop.findtext("PipelineII") or "").strip()
        if interval.isdigit():
            yield (loop.findtext("Name") or loop.tag).strip(), int(interval)
