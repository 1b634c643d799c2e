"""One-line faults of source files, made by operators from what is code in a line."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

HARDWARE, CXX, PYTHON = ".sv", ".hpp", ".py"
# What a line must not be to have faults: it declares, includes or explains, or a tool alone reads it.
_SKIPPED = {
    HARDWARE: re.compile(
        r"\s*(input|output|import|module|typedef|parameter|`|\(\*|end\b|logic\b[^=]*;|\} ?\w*_t;|\$error)"
    ),
    CXX: re.compile(r"\s*(#|template\b|using\b|namespace\b|struct\b|Stream<|static_assert\b|\w+:$)"),
    PYTHON: re.compile(r"\s*(def |class |@|import |from |assert |raise |except )"),
}
_TERM = r"!?\(?[\w.]+(?:\[[\w:+-]+\])?(?:\([\w., ]*\))?\)?"
_PYTHON_TERM = r"(?:not )?[\w.]+(?:\[[\w:+-]+\])?(?:\([\w., ]*\))?"
_CLOSED = r"(?=\s*(?:[;):?,\]}]|&&|\|\||$))"
_PYTHON_CLOSED = r"(?=\s*(?:[):,\]}]|and\b|or\b|if\b|else\b|for\b|$))"
_WAITS = r"(?:ready|stall|full|busy|free|wait|grant|accept|room)"
BRACKETS = ("()", "[]", "{}")
_ACTS = "(?:append|update|add|pop|clear|close|unlink|join|set|put|release)"
_QUOTIENTS = {"//": "%", "%": "//", "*": "+", "/": "+"}
_FORWARDS = re.compile(r"\.\w+\($|\.$")  # what comes before a name that is a port or a field


@dataclass(frozen=True, slots=True)
class Operator:
    """A kind of fault: what it looks for in the code of a line, and what stands there then."""

    name: str
    languages: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One line of a file with a fault in it."""

    file: str  # from the root of the repository
    line: int  # 1 is the first
    operator: str
    old: str
    new: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays when other lines move."""
        return self.file, self.old.strip(), self.new.strip()

    @property
    def label(self) -> str:
        return f"{self.operator}: {self.old.strip()} -> {self.new.strip() or 'nothing'}"

    def applied(self, text: str) -> str:
        """The file's text with the fault in it."""
        lines = text.splitlines(keepends=True)
        if lines[self.line - 1].rstrip("\r\n") != self.old:
            raise ValueError(f"{self.file}:{self.line} does not read {self.old!r}")
        lines[self.line - 1] = f"{self.new}\n"
        return "".join(lines)


def _always(text: str) -> Callable[[re.Match[str]], str]:
    return lambda match: text


def _plus_one(match: re.Match[str]) -> str:
    """The number with its last group one higher."""
    low = match.start(match.lastindex or 0) - match.start()
    return f"{match[0][:low]}{int(match[match.lastindex or 0]) + 1}"


def _less_one(match: re.Match[str]) -> str:
    return match[0].replace(match[1], str(int(match[1]) - 1), 1)


def _one_of(others: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: others[match[0]]


def _operator(
    name: str, languages: str, pattern: str, replace: Callable[[re.Match[str]], str] | str
) -> Operator:
    made = _always(replace) if isinstance(replace, str) else replace
    return Operator(name, tuple(f".{each}" for each in languages.split()), re.compile(pattern), made)


OPERATORS = (
    _operator("off by one", "py hpp", r"(?<![\w.])\d+(?![\w.'])", lambda match: str(int(match[0]) + 1)),
    _operator("off by one", "sv", r"(?<=\d'd)(\d+)", _plus_one),
    _operator("off by one", "sv", r"(?<=[-+] )(\d+)(?![\w'])", _plus_one),
    _operator("off by one", "sv", r"(?<=\)'\()(\d+)(?=\))", _plus_one),
    _operator("sign", "py hpp sv", r"(?<=[\w)\]] )[-+](?= [\w(])", _one_of({"+": "-", "-": "+"})),
    _operator("sign", "sv", r"\$signed(?=\()", "$unsigned"),
    _operator("sign", "sv", r"\bsigned'(?=\()", "unsigned'"),
    _operator("sign", "hpp", r"\(int\)", "(unsigned)"),
    _operator("width", "sv", r"(?<![\w'])(\d+)'(?=\()", _less_one),
    _operator("width", "sv", r"(?<=\w)\[(\d+):0\](?!.*\blogic\b)", _less_one),
    _operator("width", "hpp", r"UInt<(\d+)>", _less_one),
    _operator(
        "order", "py hpp", r"(?<= )(?:<=|<|>=|>)(?= )", _one_of({"<=": "<", "<": "<=", ">=": ">", ">": ">="})
    ),
    _operator(
        "order", "sv", r"(?<= )(?:<|>=|>)(?= )", lambda match: {"<": "<=", ">=": ">", ">": ">="}[match[0]]
    ),
    _operator("equality", "py hpp sv", r"(?<= )(?:==|!=)(?= )", _one_of({"==": "!=", "!=": "=="})),
    _operator("condition dropped", "sv hpp", rf" (?:&&|\|\|) {_TERM}{_CLOSED}", ""),
    _operator("condition dropped", "sv hpp", rf"(?:(?<=\()|(?<=[^=!<>]= )){_TERM} (?:&&|\|\|) ", ""),
    _operator("condition dropped", "py", rf" (?:and|or) {_PYTHON_TERM}{_PYTHON_CLOSED}", ""),
    _operator("condition dropped", "py", rf"(?<=if ){_PYTHON_TERM} (?:and|or) ", ""),
    _operator("condition negated", "sv hpp", r"!(?=[\w(])", ""),
    _operator("condition negated", "py", r"\bnot (?!in\b)", ""),
    _operator("either for both", "sv hpp", r"(?<= )(?:&&|\|\|)(?= )", _one_of({"&&": "||", "||": "&&"})),
    _operator("either for both", "py", r"(?<= )(?:and|or)(?= )", _one_of({"and": "or", "or": "and"})),
    _operator("stall ignored", "sv", rf"(?<=[(!&|?:=] )\w*{_WAITS}\w*(?!\w|\s*(?:<?=|\())", "1'b1"),
    _operator("constant", "sv", r"1'b[01]", _one_of({"1'b0": "1'b1", "1'b1": "1'b0"})),
    _operator("constant", "sv", r"(?<![\w)])'[01](?!\w)", _one_of({"'0": "'1", "'1": "'0"})),
    _operator("constant", "hpp", r"\b(?:true|false)\b", _one_of({"true": "false", "false": "true"})),
    _operator(
        "constant", "py", r"(?<!strict=)\b(?:True|False)\b", _one_of({"True": "False", "False": "True"})
    ),
    _operator("least for most", "py hpp", r"\b(?:min|max)(?=\()", _one_of({"min": "max", "max": "min"})),
    _operator("shift", "hpp sv", r"(?<= )>>>(?= )", ">>"),
    _operator("shift", "py hpp sv", r"(?<= )(?:<<|>>)(?= )", _one_of({"<<": ">>", ">>": "<<"})),
    _operator(
        "quotient",
        "py hpp sv",
        r"(?<=[\w)\]] )(?://|[*%/])(?= [\w(-])",
        lambda match: {"//": "%", "%": "//"}.get(match[0], "+"),
    ),
    _operator("update dropped", "sv", r"(?<= )\w+(?:\[[^]]*\])? <= [^;]*;$", ";"),
    _operator("update dropped", "hpp", r"^\s+[\w.\[\]]+ (?:=|\+=) [^;]*;$", ";"),
    _operator("update dropped", "py", r"(?<=    )[\w.]+ (?:\+=|-=|\|=) .*[\w)\]]$", "pass"),
    _operator(
        "update dropped",
        "py",
        rf"(?<=    )(?:self\.)?\w+\.{_ACTS}\([^()]*\)$",
        "pass",
    ),
)


def faults_of(file: str, text: str) -> Iterator[Fault]:
    """Every fault that an operator makes of a file, line by line."""
    language = "." + file.rpartition(".")[2]
    operators = [each for each in OPERATORS if language in each.languages]
    for number, (line, code) in enumerate(zip(text.splitlines(), code_of(file, text), strict=True), 1):
        if _SKIPPED[language].match(code):
            continue
        for operator in operators:
            for match in operator.pattern.finditer(code):
                if _FORWARDS.search(code[: match.start()]) and operator.name == "stall ignored":
                    continue
                new = line[: match.start()] + operator.replace(match) + line[match.end() :]
                fault = Fault(file=file, line=number, operator=operator.name, old=line, new=new.rstrip())
                if fault.old.strip() != fault.new.strip():
                    yield fault


def ranked(file: str, text: str, seed: int) -> Iterator[Fault]:
    """A file's faults in an order that the seed draws: one a line, each kind before any comes again."""
    kinds: dict[str, list[Fault]] = {}
    for fault in sorted(faults_of(file, text), key=lambda fault: _draw(seed, *fault.key)):
        kinds.setdefault(fault.operator, []).append(fault)
    order, lines = sorted(kinds, key=lambda kind: _draw(seed, file, kind)), set()
    while any(kinds.values()):
        for kind in order:
            while kinds[kind]:
                fault = kinds[kind].pop(0)
                if fault.line not in lines and _parses(fault, text):
                    lines.add(fault.line)
                    yield fault
                    break


def _draw(*words: object) -> bytes:
    return hashlib.sha256("\0".join(map(str, words)).encode()).digest()


def code_of(file: str, text: str) -> list[str]:
    """The lines of a file with blanks in place of comments, strings, annotations and messages."""
    lines = text.splitlines()
    for row, column, last_row, last_column in _python_words(text) if file.endswith(PYTHON) else _words(text):
        for at in range(row, last_row + 1):
            low = column if at == row else 0
            high = last_column if at == last_row else len(lines[at])
            lines[at] = lines[at][:low] + " " * (high - low) + lines[at][high:]
    return lines


Span = tuple[int, int, int, int]  # line and column of the first character, and of that behind the last
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def _words(text: str) -> Iterator[Span]:
    for match in _COMMENT_OR_STRING.finditer(text):
        yield (*_place(text, match.start()), *_place(text, match.end()))


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1)


def _python_words(text: str) -> Iterator[Span]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0] - 1, token.start[1], token.end[0] - 1, token.end[1]
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        annotation = node.annotation if isinstance(node, ast.AnnAssign | ast.arg) else None
        for words in (
            annotation,
            node if isinstance(node, ast.Raise | ast.JoinedStr | ast.FunctionDef) else None,
        ):
            if words is None:
                continue
            body = getattr(words, "body", None)  # of a function: its head alone
            last = (body[0].lineno - 1, 0) if body else (words.end_lineno, words.end_col_offset)
            if body and last[0] < words.lineno:
                continue
            first = _characters(lines, words.lineno, words.col_offset)
            end = (last[0] - 1, len(lines[last[0] - 1])) if body else _characters(lines, *last)
            yield (*first, *end)


def _characters(lines: list[str], row: int, byte: int) -> tuple[int, int]:
    """A place that ast tells in bytes of a line, from 1."""
    return row - 1, len(lines[row - 1].encode()[:byte].decode())


def _parses(fault: Fault, text: str) -> bool:
    """Whether a file is still of its language, as far as that costs nothing to know."""
    if any(
        fault.old.count(left) - fault.old.count(right) != fault.new.count(left) - fault.new.count(right)
        for left, right in BRACKETS
    ):
        return False
    if not fault.file.endswith(PYTHON):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what is on its way to be no syntax, as `1and`
        try:
            ast.parse(fault.applied(text))
        except (SyntaxError, SyntaxWarning):
            return False
    return True
