"""The HLS directives we may write: their options, and where each one may be placed.

Source: AMD UG1399 (Vitis HLS 2024.1), of its options those that UG902 (Vivado HLS 2019.2) has too.
"""

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """The construct that a pragma governs, which directly encloses or precedes it."""

    FUNCTION = "function"
    LOOP = "loop"


class OptionValue(Enum):
    """The kind of value that an option takes."""

    NUMBER = "a number"
    NAME = "a variable in scope"
    WORD = "a word"
    FLAG = "nothing: the option has no value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One directive."""

    options: dict[str, OptionValue]
    required: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = (Scope.FUNCTION, Scope.LOOP)
    first: bool = False  # stands before any statement of what it governs


_BOTH = (Scope.FUNCTION, Scope.LOOP)
MODES = ("m_axi", "s_axilite", "axis", "ap_none", "ap_ctrl_hs", "ap_ctrl_none", "ap_memory", "ap_vld")

DIRECTIVES = {
    "PIPELINE": Directive(
        options={"II": OptionValue.NUMBER, "rewind": OptionValue.FLAG},
        required=("II",),
        scopes=_BOTH,
        first=True,
    ),
    "UNROLL": Directive(options={"factor": OptionValue.NUMBER}, scopes=(Scope.LOOP,), first=True),
    "DATAFLOW": Directive(options={}, scopes=_BOTH, first=True),
    "INLINE": Directive(
        options={"off": OptionValue.FLAG, "recursive": OptionValue.FLAG}, scopes=(Scope.FUNCTION,), first=True
    ),
    "LOOP_TRIPCOUNT": Directive(
        options={"min": OptionValue.NUMBER, "max": OptionValue.NUMBER, "avg": OptionValue.NUMBER},
        required=("max",),
        scopes=(Scope.LOOP,),
        first=True,
    ),
    "LOOP_FLATTEN": Directive(options={"off": OptionValue.FLAG}, scopes=(Scope.LOOP,), first=True),
    "DEPENDENCE": Directive(
        options={
            "variable": OptionValue.NAME,
            "inter": OptionValue.FLAG,
            "intra": OptionValue.FLAG,
            "false": OptionValue.FLAG,
            "RAW": OptionValue.FLAG,
            "WAR": OptionValue.FLAG,
            "WAW": OptionValue.FLAG,
        },
        required=("variable",),
    ),
    "ARRAY_PARTITION": Directive(
        options={
            "variable": OptionValue.NAME,
            "complete": OptionValue.FLAG,
            "cyclic": OptionValue.FLAG,
            "block": OptionValue.FLAG,
            "factor": OptionValue.NUMBER,
            "dim": OptionValue.NUMBER,
        },
        required=("variable",),
    ),
    "STREAM": Directive(
        options={"variable": OptionValue.NAME, "depth": OptionValue.NUMBER}, required=("variable", "depth")
    ),
    "INTERFACE": Directive(
        options={
            **{mode: OptionValue.FLAG for mode in MODES},
            "port": OptionValue.NAME,
            "offset": OptionValue.WORD,
            "bundle": OptionValue.WORD,
            "depth": OptionValue.NUMBER,
            "max_read_burst_length": OptionValue.NUMBER,
            "max_write_burst_length": OptionValue.NUMBER,
            "num_read_outstanding": OptionValue.NUMBER,
            "num_write_outstanding": OptionValue.NUMBER,
        },
        required=("port",),
        scopes=(Scope.FUNCTION,),
    ),
}
