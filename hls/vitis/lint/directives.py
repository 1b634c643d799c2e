"""The HLS directives we may write: their options, and where each one may stand.

Source: AMD UG902 (Vivado HLS 2019.2) and UG1399 (Vitis HLS 2024.1), the options both know.
"""

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """What a pragma governs: what directly encloses or precedes it."""

    FUNCTION = "function"
    LOOP = "loop"


class Value(Enum):
    """What an option's value is."""

    NUMBER = "a number"
    NAME = "a variable in scope"
    WORD = "a word"
    FLAG = "nothing: the option has no value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One directive."""

    options: dict[str, Value]
    required: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = (Scope.FUNCTION, Scope.LOOP)
    first: bool = False  # stands before any statement of what it governs


_BOTH = (Scope.FUNCTION, Scope.LOOP)
MODES = ("m_axi", "s_axilite", "axis", "ap_none", "ap_ctrl_hs", "ap_ctrl_none", "ap_memory", "ap_vld")

DIRECTIVES = {
    "PIPELINE": Directive(
        options={"II": Value.NUMBER, "rewind": Value.FLAG}, required=("II",), scopes=_BOTH, first=True
    ),
    "UNROLL": Directive(options={"factor": Value.NUMBER}, scopes=(Scope.LOOP,), first=True),
    "DATAFLOW": Directive(options={}, scopes=_BOTH, first=True),
    "INLINE": Directive(
        options={"off": Value.FLAG, "recursive": Value.FLAG}, scopes=(Scope.FUNCTION,), first=True
    ),
    "LOOP_TRIPCOUNT": Directive(
        options={"min": Value.NUMBER, "max": Value.NUMBER, "avg": Value.NUMBER},
        required=("max",),
        scopes=(Scope.LOOP,),
        first=True,
    ),
    "LOOP_FLATTEN": Directive(options={"off": Value.FLAG}, scopes=(Scope.LOOP,), first=True),
    "DEPENDENCE": Directive(
        options={
            "variable": Value.NAME,
            "inter": Value.FLAG,
            "intra": Value.FLAG,
            "false": Value.FLAG,
            "RAW": Value.FLAG,
            "WAR": Value.FLAG,
            "WAW": Value.FLAG,
        },
        required=("variable",),
    ),
    "ARRAY_PARTITION": Directive(
        options={
            "variable": Value.NAME,
            "complete": Value.FLAG,
            "cyclic": Value.FLAG,
            "block": Value.FLAG,
            "factor": Value.NUMBER,
            "dim": Value.NUMBER,
        },
        required=("variable",),
    ),
    "STREAM": Directive(
        options={"variable": Value.NAME, "depth": Value.NUMBER}, required=("variable", "depth")
    ),
    "INTERFACE": Directive(
        options={
            **{mode: Value.FLAG for mode in MODES},
            "port": Value.NAME,
            "offset": Value.WORD,
            "bundle": Value.WORD,
            "depth": Value.NUMBER,
            "max_read_burst_length": Value.NUMBER,
            "max_write_burst_length": Value.NUMBER,
            "num_read_outstanding": Value.NUMBER,
            "num_write_outstanding": Value.NUMBER,
        },
        required=("port",),
        scopes=(Scope.FUNCTION,),
    ),
}
