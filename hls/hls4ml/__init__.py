"""hls4ml: dataflow projects from integer graphs, and the engine as a backend of hls4ml.

Nothing here is imported with the rest of `bitlathe.hls`: hls4ml is an optional package. Inside this package
`import hls4ml` means the installed one.
"""

from bitlathe.hls.hls4ml.project.csim import csimulate, simulate_project
from bitlathe.hls.hls4ml.project.emit import emit, write
from bitlathe.hls.hls4ml.project.make_plan import make_plan
from bitlathe.hls.hls4ml.project.plan import Backend, Options, ProjectPlan

__all__ = ["Backend", "Options", "ProjectPlan", "csimulate", "emit", "make_plan", "simulate_project", "write"]
