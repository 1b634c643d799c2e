"""The files of an hls4ml project: {relative path: text}, equal for equal networks."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitlathe.hls.hls4ml.project import library
from bitlathe.hls.hls4ml.project.ap_fixed import ApFixed
from bitlathe.hls.hls4ml.project.convert import PROJECT, to_model
from bitlathe.hls.hls4ml.project.make_plan import make_plan
from bitlathe.hls.hls4ml.project.plan import Backend, Options, ProjectLayer, ProjectPlan
from bitlathe.hls.program.registers import OFFSETS
from bitlathe.hls.render import render
from bitlathe.hls.target.config import PROGRAM_VERSION, Target
from bitlathe.hls.tools.scripts import hls_scripts
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.graph.files.build_plan import BuildPlan
from bitlathe.model.graph.graph import Graph

KERNEL = f"{PROJECT}_kernel"
CSIM = "csim.cpp"
BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOffsets:
    """Offsets of the kernel's registers: those of the engine's, so that one driver serves both."""

    input: str = f"{OFFSETS['INPUT_LO']:#04x}"
    output: str = f"{OFFSETS['OUTPUT_LO']:#04x}"
    inputs: str = f"{OFFSETS['INPUTS']:#04x}"
    cycles: str = f"{OFFSETS['CYCLES_LO']:#04x}"
    identity: str = f"{OFFSETS['IDENTITY']:#04x}"
    version: str = f"{OFFSETS['VERSION']:#04x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorView:
    """The network's input or output, in memory and as a stream."""

    element: str  # C type of a code in memory
    integer: str  # C type of a code's bits
    word: str  # C type of a word of the stream: a pixel
    size: int  # codes of an image
    lanes: int  # codes of a word
    depth: int  # words of an image
    top_bit: int  # of a code
    frac: int
    exponent: int  # a code's value is code * 2**exponent

    @classmethod
    def of(cls, layer: ProjectLayer, word: str) -> "TensorView":
        """View of what a layer gives, in words of a C type."""
        code, lanes = layer.types["result"], layer.shape[-1]
        return cls(
            element=element(code),
            integer=f"ap_{'' if code.signed else 'u'}int<{code.bits}>",
            word=word,
            size=layer.size,
            lanes=lanes,
            depth=layer.size // lanes,
            top_bit=code.bits - 1,
            frac=code.frac,
            exponent=-code.frac,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelView:
    """Values for the templates."""

    version: str
    interface_version: int
    identity: int
    offsets: KernelOffsets
    project: str
    kernel: str
    interval_cycles: int
    input: TensorView
    output: TensorView


def emit(graph: Graph, target: Target, options: Options | None = None) -> dict[str, str]:
    """Files of the project; nothing is left on disk. Raises as `make_plan` and `to_model`."""
    options = options or Options()
    plan = make_plan(graph, target, options)
    with tempfile.TemporaryDirectory(prefix="bitlathe-hls4ml-") as made:
        folder = Path(made) / PROJECT
        model = to_model(plan, target, options.backend, folder)
        with library.quiet():
            model.write()
        digest = graph_digest(graph)
        files = _texts(folder, str(model.config.get_config_value("Stamp")), _stamp(digest))
        return {**files, **_additions(_view(plan, model, digest), target, options.backend, digest)}


def write(graph: Graph, target: Target, folder: Path, options: Options | None = None) -> None:
    """Write the project's files into `folder`; files of another name are left alone. Raises as `emit`."""
    BuildPlan.of_texts(emit(graph, target, options)).write_over(folder)


def element(code: ApFixed) -> str:
    """C type that holds a code in memory.

    >>> element(ApFixed(bits=7, frac=0, signed=False)), element(ApFixed(bits=9, frac=0))
    ('uint8_t', 'int16_t')
    """
    return f"{'' if code.signed else 'u'}int{BYTE if code.bits <= BYTE else 2 * BYTE}_t"


def _stamp(digest: str) -> str:
    """A graph's own stamp; the letter keeps it a word in YAML.

    >>> _stamp("sha256:0123456789")
    'g0123456'
    """
    return "g" + digest.partition(":")[2][:7]


def identity_of(graph: Graph) -> int:
    """The value of a kernel's register IDENTITY: 32 bits of its graph's digest."""
    return _identity(graph_digest(graph))


def _identity(digest: str) -> int:
    return int(digest.partition(":")[2][:8], 16)


def _texts(folder: Path, random_stamp: str, stamp: str) -> dict[str, str]:
    """The files that hls4ml wrote, with its random stamp and its folder replaced.

    A stamp of digits alone stands in quotes in the configuration, where YAML would read a number.
    """

    def settled(text: str) -> str:
        bare = text.replace(f"Stamp: '{random_stamp}'", f"Stamp: {random_stamp}")
        return bare.replace(random_stamp, stamp).replace(str(folder), ".")

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): settled(path.read_text(encoding="utf-8")) for path in paths}


def _additions(view: KernelView, target: Target, backend: Backend, digest: str) -> dict[str, str]:
    if backend is Backend.VIVADO_ACCELERATOR:
        return {CSIM: render("hls4ml/csim_axi.cpp.j2", v=view)}
    source = f"firmware/{KERNEL}.cpp"
    scripts = hls_scripts(target, top=KERNEL, source=source)
    return {
        source: render("hls4ml/network_kernel.cpp.j2", v=view),
        CSIM: render("hls4ml/csim_kernel.cpp.j2", v=view),
        # A rerun continues where the scripts are the same; the digest makes them differ with the network
        **{name: f"# network {digest}\n{text}" for name, text in scripts.items()},
    }


def _view(plan: ProjectPlan, model: Any, digest: str) -> KernelView:
    (entering,), (leaving,) = model.get_input_variables(), model.get_output_variables()
    return KernelView(
        version=version("bitlathe"),
        interface_version=PROGRAM_VERSION,
        identity=_identity(digest),
        offsets=KernelOffsets(),
        project=PROJECT,
        kernel=KERNEL,
        interval_cycles=plan.interval_cycles,
        input=TensorView.of(plan.layers[0], entering.type.name),
        output=TensorView.of(plan.last, leaving.type.name),
    )
