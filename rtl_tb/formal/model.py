"""A block as a solver reads it: copies of its sources with properties in them, translated by Yosys."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bitlathe.model.graph.errors import ToolError
from bitlathe.rtl_tb.formal.theorems import Block, Configuration, Engine, Mutant
from bitlathe.rtl_tb.simulators import library_sources

PROPERTIES = Path(__file__).parent / "properties"
MACRO = "F_"  # prefix of names that are macros, not parameters of the module
SCRIPT = "model.ys"
LOG = "yosys.log"
SMT2 = "model.smt2"
AIGER = "model.aig"
# Yosys runs in a process of its own: it logs to standard output, and a fault of it ends the process.
_YOSYS = """import sys
from pyosys import libyosys
design = libyosys.Design()
for line in open(sys.argv[1], encoding="utf-8"):
    libyosys.run_pass(line.strip(), design)
"""


def source_texts(block: Block, mutant: Mutant | None) -> dict[str, str]:
    """{file name: text} of a block in an order that compiles, with its properties and perhaps a fault."""
    paths = library_sources(block.top, tuple(sorted(PROPERTIES.glob("*.sv"))))
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    if mutant:
        texts[mutant.module] = replaced(texts[mutant.module], mutant)
    for module in block.properties:
        head, end, rest = texts[module].rpartition("endmodule")
        texts[module] = f"{head}{(PROPERTIES / f'{module}.svh').read_text(encoding='utf-8')}{end}{rest}"
    return {f"{stem}.sv": text for stem, text in texts.items()}


def replaced(text: str, mutant: Mutant) -> str:
    """A module's text with the fault in it; ToolError unless what it replaces stands there exactly once."""
    if text.count(mutant.old) != 1:
        raise ToolError(
            f"{mutant.module}.sv has {text.count(mutant.old)} places with {mutant.old!r}, "
            "which a mutant replaces; name one that stands there once, in rtl_tb/formal/tables"
        )
    return text.replace(mutant.old, mutant.new)


def with_parameters(text: str, configuration: Configuration) -> str:
    """A module's text with other defaults of parameters, as `hierarchy -chparam` may generate a top twice.

    >>> with_parameters("parameter int PI = 8,  // lanes", {"PI": 16})
    'parameter int PI = 16,  // lanes'
    """
    for name, value in configuration.items():
        if not name.startswith(MACRO):
            text, places = re.subn(rf"(parameter \w+ {name} = )[^,\s]+", rf"\g<1>{value}", text)
            if places != 1:
                raise ToolError(
                    f"{name} is not a parameter of the module; mend its configuration in rtl_tb/formal/tables"
                )
    return text


def make_model(
    block: Block, configuration: Configuration, folder: Path, *, mutant: Mutant | None = None, only: str = ""
) -> None:
    """Write the model of a block into `folder`; with `only`, of its assertions that with this label alone.

    ToolError where Yosys refuses the sources.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = source_texts(block, mutant)
    texts[f"{block.top}.sv"] = with_parameters(texts[f"{block.top}.sv"], configuration)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    script = _script(block, configuration, list(texts), only)
    (folder / SCRIPT).write_text("".join(f"{line}\n" for line in script), encoding="utf-8")
    with (folder / LOG).open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [sys.executable, "-c", _YOSYS, SCRIPT], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        last = (folder / LOG).read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise ToolError(f"yosys refused {block.name}: {''.join(last)}; whole log in {folder / LOG}")


def _script(block: Block, configuration: Configuration, files: list[str], only: str) -> list[str]:
    macros = "".join(f" -D {name}={value}" for name, value in configuration.items() if name.startswith(MACRO))
    return [
        f"read_verilog -formal -sv{macros} {' '.join(files)}",
        f"hierarchy -top {block.top}",
        "proc",
        *(f"cutpoint */t:*{module}*" for module in block.cut),
        "flatten",
        *(f"connect -set {wire} {signal}" for wire, signal in block.probes.items()),
        "opt -keepdc",
        "memory_nordff",
        "async2sync",
        "chformal -lower",
        *([f"chformal -assert -remove */t:$assert */c:*{only}* %d"] if only else []),
        "opt -keepdc",
        "dffunmap",
        "opt_clean",
        "check -assert",
        *_written(block.engine),
    ]


def _written(engine: Engine) -> list[str]:
    if engine is not Engine.PDR:
        return [f"write_smt2 -wires {SMT2}"]
    return [
        "memory_map",
        "opt -full",
        "techmap",
        "opt -fast",
        "abc -g AND -fast",
        "opt_clean",
        f"write_aiger {AIGER}",
    ]
