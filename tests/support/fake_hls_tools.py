"""Vendor tools as small scripts: they check how they are called, and replay a tool's logs and reports.

Sources of logs and reports: UG1399, and what users of the tools have published.
"""

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


# Of a module below the top function.
MODULE = """<profile>
  <UserAssignments><TopModelName>scratchpad_Config_s</TopModelName></UserAssignments>
  <PerformanceEstimates><SummaryOfLoopLatency>{loop}</SummaryOfLoopLatency></PerformanceEstimates>
</profile>
"""
LOOP = "<Loop><Name>scratchpad_cycles</Name><PipelineII>{interval}</PipelineII></Loop>"

BANNER = """
****** {name} - High-Level Synthesis from C, C++ and OpenCL v{version} (64-bit)
  **** Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.

INFO: [HLS 200-10] Running '{name}'
"""
SYNTHESIZED = """INFO: [SCHED 204-61] Pipelining loop 'scratchpad_cycles'.
INFO: [SCHED 204-61] Pipelining result : Target II = 1, Final II = {interval}, Depth = 4.
INFO: [HLS 200-111] Finished Command csynth_design CPU user time: 412.1 seconds.
INFO: [HLS 200-112] Total CPU user time: 419.5 seconds."""
EXPORTED = """INFO: [IMPL 213-8] Exporting RTL as a Vivado IP.
INFO: [Common 17-206] Exiting Vivado at Fri Feb 21 17:37:03 2025...
INFO: [HLS 200-802] Generated output file hls/solution1/impl/export.zip"""
# Shell commands in place of a stage that succeeds.
FULL_DISK = "echo 'INFO: [HLS 200-10] Starting code transformations ...'; echo 42 > /dev/full"
KILLED = "echo 'INFO: [SCHED 204-11] Starting scheduling ...'; kill -KILL $$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """How a fake tool behaves."""

    name: str
    version: str
    synthesis: str = ""  # shell commands in place of a synthesis that succeeds
    export: str = ""  # the same of an export
    report: str = REPORT
    interval: int = 1  # of the loop scratchpad_cycles

    @property
    def solution(self) -> str:
        """Folder of its results."""
        return "hls/hls" if self.name in ("v++", "vitis-run") else "hls/solution1"


def install(folder: Path, fake: Fake) -> Path:
    """Put a fake tool into a folder; the log of its calls, one line each, is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{fake.name}.calls"
    loop = LOOP.format(interval=fake.interval)
    texts = {
        "csynth.xml": fake.report.format(version=fake.version, dsp="DSP", uram="<URAM>0</URAM>"),
        "scratchpad_Config_s_csynth.xml": MODULE.format(loop=loop),
        "banner": BANNER.format(name=fake.name, version=fake.version),
        "csynth.log": SYNTHESIZED.format(interval=fake.interval),
        "export.log": EXPORTED,
    }
    replayed = folder / f"{fake.name}.replayed"
    replayed.mkdir(exist_ok=True)
    for name, text in texts.items():
        (replayed / name).write_text(text + "\n")
    reports, ip = f"{fake.solution}/syn/report", f"{fake.solution}/impl/ip"
    made = {
        "csynth": f"mkdir -p {reports} && cp {replayed}/*.xml {reports} && cat {replayed}/csynth.log",
        "export": f"mkdir -p {ip}/hdl/verilog && touch {ip}/component.xml && cat {replayed}/export.log",
    }
    script = f"""#!/bin/bash
case "$*" in
  -version|--version) echo "{fake.name} v{fake.version} (64-bit)"; exit 0 ;;
esac
echo "$BITLATHE_STAGES: $*" >> {log}
cat {replayed}/banner
{_CHECKS[fake.name]} || {{ echo "ERROR: [HLS 200-1022] bad arguments: $*"; exit 64; }}
case "$BITLATHE_STAGES" in
  csynth) {fake.synthesis or made["csynth"]} ;;
  export) {fake.export or made["export"]} ;;
  *) echo "ERROR: no stage is asked for"; exit 64 ;;
esac
status=$?
[ $status = 0 ] && echo "BITLATHE done"
exit $status
"""
    path = folder / fake.name
    path.write_text(script)
    path.chmod(0o755)
    return log


_SCRIPT = '[ "$#" = 2 ] && [ "$1" = -f ] && grep -q "^set_top" "$2"'
_CONFIGURED = '[[ "$*" =~ {} ]] && grep -q "^syn.top=" "${{BASH_REMATCH[1]}}"'
_CHECKS = {  # in the shell's words: whether the tool would take its arguments
    "vitis_hls": _SCRIPT,
    "v++": _CONFIGURED.format(r"^-c\ --mode\ hls\ --config\ ([^\ ]+)\ --work_dir\ [^\ ]+$"),
    "vitis-run": _CONFIGURED.format(r"^--mode\ hls\ --package\ --config\ ([^\ ]+)\ --work_dir\ [^\ ]+$"),
}


def changed(fake: Fake, **changes: str | int) -> Fake:
    """A fake with other behaviour."""
    return replace(fake, **changes)
