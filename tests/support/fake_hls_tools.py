"""Vendor tools as small scripts: they write down how they were called and replay what a tool would leave."""

from dataclasses import dataclass, replace
from pathlib import Path

REPORT = """<profile>
  <ReportVersion><Version>{version}</Version></ReportVersion>
  <UserAssignments><Part>xc7z020-clg400-1</Part><TargetClockPeriod>6.67</TargetClockPeriod></UserAssignments>
  <PerformanceEstimates>
    <SummaryOfTimingAnalysis>
      <unit>ns</unit><EstimatedClockPeriod>5.831</EstimatedClockPeriod>
    </SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
      <Best-caseLatency>92</Best-caseLatency><Worst-caseLatency>undef</Worst-caseLatency>
      <Interval-min>93</Interval-min><Interval-max>undef</Interval-max>
    </SummaryOfOverallLatency>
  </PerformanceEstimates>
  <AreaEstimates>
    <Resources><BRAM_18K>231</BRAM_18K><{dsp}>205</{dsp}><FF>31744</FF><LUT>40321</LUT>{uram}</Resources>
  </AreaEstimates>
</profile>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """How a fake tool behaves."""

    name: str
    version: str
    synthesis: str = ""  # shell commands in place of a synthesis that succeeds
    export: str = ""  # the same of an export
    report: str = REPORT

    @property
    def solution(self) -> str:
        """Folder of its results."""
        return "hls/hls" if self.name in ("v++", "vitis-run") else "hls/solution1"


def install(folder: Path, fake: Fake) -> Path:
    """Put a fake tool into a folder; the log of its calls, one line each, is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{fake.name}.calls"
    report = folder / f"{fake.name}.xml"
    old = fake.name == "vivado_hls"
    report.write_text(
        fake.report.format(
            version=fake.version, dsp="DSP48E" if old else "DSP", uram="" if old else "<URAM>0</URAM>"
        )
    )
    reports, ip = f"{fake.solution}/syn/report", f"{fake.solution}/impl/ip"
    synthesis = fake.synthesis or f"mkdir -p {reports} && cp {report} {reports}/csynth.xml"
    export = fake.export or f"mkdir -p {ip}/hdl/verilog && touch {ip}/component.xml"
    script = f"""#!/bin/bash
case "$*" in
  -version|--version) echo "{fake.name} v{fake.version} (64-bit)"; exit 0 ;;
esac
echo "$BITLATHE_STAGES: $*" >> {log}
echo "{fake.name} at work"
case "$BITLATHE_STAGES" in
  csynth) {synthesis} ;;
  export) {export} ;;
esac
status=$?
[ $status = 0 ] && echo "BITLATHE done"
exit $status
"""
    path = folder / fake.name
    path.write_text(script)
    path.chmod(0o755)
    return log


def changed(fake: Fake, **changes: str) -> Fake:
    """A fake with other behaviour."""
    return replace(fake, **changes)
