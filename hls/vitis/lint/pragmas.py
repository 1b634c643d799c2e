"""Pragma linter: every directive known, spelled right, where it belongs, its variables in scope."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bitlathe.hls.vitis.lint.directives import DIRECTIVES, MODES, Directive, OptionValue, Scope
from bitlathe.hls.vitis.lint.source import STREAM_DECLARED, Pragma, SourceBlock, blocks

_OPTION = re.compile(r"(?P<name>\w+)\s*(?:=\s*(?P<value>\S+))?")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|\d+)$")
_STATIC_FOR = re.compile(r"\bfor\s*\(\s*int \w+ = 0; \w+ < (?:(?:Config::)?k\w+(?: / \d+)?|\d+);")

_ANY_STREAM = re.compile(r"\b(?:Stream|hls::stream)<.*>\s+(?P<name>\w+)\s*[\[(;]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.line}: {self.message}"


def lint(text: str) -> list[Finding]:
    """Mistakes in the pragmas of a source file, by line."""
    found = [finding for block in blocks(text) for finding in _of_block(block)]
    return sorted(found, key=lambda finding: finding.line)


def _of_block(block: SourceBlock) -> Iterator[Finding]:
    for pragma in block.pragmas:
        for message in _of_pragma(pragma, block):
            yield Finding(line=pragma.line, message=message)
    if block.scope is Scope.LOOP:
        yield from _of_loop(block)
    yield from _of_streams(block)
    if "m_axi" in " ".join(pragma.text for pragma in block.pragmas):
        yield from _of_top(block)


def _of_loop(block: SourceBlock) -> Iterator[Finding]:
    """A loop's length is in its head or in a pragma; loops in a pipeline are unrolled, which needs it."""
    directives, is_static = _directives(block), _STATIC_FOR.search(block.head) is not None
    if not is_static and "LOOP_TRIPCOUNT" not in directives:
        yield Finding(line=block.line, message="loop of unknown length has no LOOP_TRIPCOUNT")
    if not is_static and "factor" not in directives.get("UNROLL", {"factor": None}):
        yield Finding(line=block.line, message="loop of unknown length can't be unrolled without a factor")
    if "UNROLL" not in directives and _is_pipelined(block.parent):
        yield Finding(line=block.line, message="loop in a pipeline has no UNROLL")


def _is_pipelined(block: SourceBlock | None) -> bool:
    """Whether a block is in a pipelined loop or function."""
    if block is None or block.scope is None:
        return block is not None and _is_pipelined(block.parent)
    return "PIPELINE" in _directives(block) or (block.scope is Scope.LOOP and _is_pipelined(block.parent))


def _of_streams(block: SourceBlock) -> Iterator[Finding]:
    """Every stream has a depth: a synthesizer's own is 2, a simulation's may be another."""
    pragmas = [_options(pragma.text) for pragma in block.pragmas if _words(pragma)[:2] == ["HLS", "STREAM"]]
    given = {options.get("variable") for options in pragmas}
    for statement in block.statements:
        declared = _ANY_STREAM.search(statement)
        if declared and declared["name"] not in given:
            yield Finding(line=block.line, message=f"stream {declared['name']} has no pragma STREAM")


def _directives(block: SourceBlock) -> dict[str, dict[str, str | None]]:
    """Options of the directives that stand in a block."""
    named = [(_words(pragma), pragma.text) for pragma in block.pragmas]
    return {words[1]: _options(text.split(words[1], 1)[1]) for words, text in named if len(words) > 1}


def _words(pragma: Pragma) -> list[str]:
    return pragma.text.split()


def _of_pragma(pragma: Pragma, block: SourceBlock) -> Iterator[str]:
    words = _words(pragma)
    if not words or words[0] != "HLS":
        yield f"pragma {pragma.text!r} is not an HLS pragma"
        return
    name = words[1] if len(words) > 1 else ""
    directive = DIRECTIVES.get(name)
    if directive is None:
        yield f"directive {name!r} is unknown; choose one of {', '.join(DIRECTIVES)}"
        return
    options = _options(pragma.text.split(name, 1)[1])
    yield from _place(name, directive, pragma, block)
    yield from _spelling(name, directive, options, block)
    if name == "STREAM":
        yield from _depth(options, block)
    if name == "INTERFACE" and sum(mode in options for mode in MODES) != 1:
        yield "INTERFACE names no mode, or two"


def _options(text: str) -> dict[str, str | None]:
    return {match["name"]: match["value"] for match in _OPTION.finditer(text)}


def _place(name: str, directive: Directive, pragma: Pragma, block: SourceBlock) -> Iterator[str]:
    if block.scope is None and directive.first:
        yield f"{name} is not in a function or loop, so it governs nothing"
    elif (governed := block.governing()) is None or governed.scope not in directive.scopes:
        yield f"{name} must stand in a {' or '.join(scope.value for scope in directive.scopes)}"
    elif directive.first and pragma.after_statement:
        yield f"{name} must come before the statements of what it governs"


def _spelling(
    name: str, directive: Directive, options: dict[str, str | None], block: SourceBlock
) -> Iterator[str]:
    for option in directive.required:
        if option not in options:
            yield f"{name} lacks {option}="
    for option, value in options.items():
        kind = directive.options.get(option)
        if kind is None:
            yield f"{name} has no option {option!r}"
        elif (value is None) != (kind is OptionValue.FLAG):
            yield f"{name} {option}: takes {kind.value}"
        elif value is not None and kind is OptionValue.NUMBER and not _NUMBER.match(value):
            yield f"{name} {option}={value}: must be a number"
        elif (
            value is not None
            and kind is OptionValue.NAME
            and value != "return"
            and value not in block.names()
        ):
            yield f"{name} {option}={value}: no such variable here"


def _depth(options: dict[str, str | None], block: SourceBlock) -> Iterator[str]:
    """A stream's pragma repeats the depth of its type, which the C simulation keeps to."""
    for statement in block.statements:
        declared = STREAM_DECLARED.search(statement)
        if declared and declared["name"] == options.get("variable"):
            depth = declared["arguments"].rsplit(",", 1)[-1].strip()
            if depth != options.get("depth"):
                yield f"STREAM depth={options.get('depth')}: the stream's type says {depth}"


def _of_top(block: SourceBlock) -> Iterator[Finding]:
    """Arguments of the top function are registers or volatile wires; ports have depths, offsets differ."""
    interfaces = [_options(p.text) for p in block.pragmas if _words(p)[:2] == ["HLS", "INTERFACE"]]
    registers = {options.get("port"): options for options in interfaces if "s_axilite" in options}
    wires = {options.get("port") for options in interfaces if "ap_none" in options}
    for parameter in (*block.parameters(), "return"):
        is_wire = parameter in wires and re.search(rf"\bvolatile\b[^,]*\b{parameter}\b", block.head)
        if parameter not in registers and not is_wire:
            yield Finding(line=block.line, message=f"argument {parameter} has no INTERFACE s_axilite")
    offsets = [options.get("offset") for options in registers.values() if options.get("offset")]
    if len(set(offsets)) != len(offsets):
        yield Finding(line=block.line, message="two registers share an offset")
    for options in interfaces:
        if "m_axi" in options and not options.get("depth"):
            yield Finding(line=block.line, message=f"memory port {options.get('port')} has no depth=")
