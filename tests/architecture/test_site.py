"""The documentation site: links lead somewhere, code is run by a test, or parsed, or says why not."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import complaint
from page_blocks import CodeBlock, code_blocks
from repository import ROOT

import bitlathe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
SETTINGS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]

# Marks of blocks that a test runs, and where.
RUN_BY = {
    "runnable": "tests/flow/cli/test_documentation.py",
    "python": "tests/flow/cli/test_documentation.py",
    "commands": "tests/flow/api/test_pages.py",
    "file": "tests/flow/api/test_pages.py",
}
WHY_NOT = re.compile(r"not (?:run|code): \S.*")
SHELL = {"bitlathe", "make", "python", "pip", "ssh", "scp", "sudo", "docker", "apt-get", "vivado", "source"}
SHELL |= {"vivado_hls", "vitis_hls", "vitis-run", "v++", "cd", "git", "tar", "export", "pre-commit"}
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|^    .*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {_slug(heading) for heading in HEADING.findall(text)}


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", heading).strip().lower())
    return kept.replace(" ", "-")


def links(page: Path) -> Iterator[tuple[str, str]]:
    """File and anchor of the links of a page that stay in the repository."""
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            yield path, anchor


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r": ([\w]+\.md)$", SETTINGS, re.MULTILINE)
    assert sorted(listed) == sorted(["index.md", *(path.name for path in (ROOT / "docs").glob("*.md"))])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_is_run_or_parsed_or_says_why_not(page: Path) -> None:
    for block in code_blocks(page):
        check(block)


def check(block: CodeBlock) -> None:
    """Fail where the block can't be what the page shows it as."""
    if WHY_NOT.fullmatch(block.mark):
        return
    if block.mark:
        assert block.mark.partition(":")[0] in RUN_BY, f"{block.place}: no test reads the mark {block.mark}"
    if block.language == "toml":
        tomllib.loads(block.code)
    elif block.code.startswith(">>> "):
        tried = doctest.DocTestParser().get_doctest(block.code, {}, block.place, str(block.page), block.line)
        assert not doctest.DocTestRunner().run(tried).failed, block.place
    elif is_signatures(block):
        return  # test_every_function_of_the_api_is_on_its_page_with_its_arguments compares them
    elif block.programs and block.programs <= SHELL:
        check_shell(block)
    else:
        assert block.tree is not None, f"{block.place}: neither shell nor Python; say why by a mark above it"
        check_python(block, block.tree)


def is_signatures(block: CodeBlock) -> bool:
    names = re.findall(r"^(\w+)\(", block.code, re.MULTILINE)
    return block.page.name == "python.md" and not block.mark and set(names) <= set(bitlathe.__all__)


def check_shell(block: CodeBlock) -> None:
    """Bash takes it, and each program that is ours takes its words."""
    done = subprocess.run(["bash", "-n"], input=block.code, text=True, capture_output=True)
    assert done.returncode == 0, f"{block.place}: {done.stderr}"
    for program, *words in filter(None, block.commands):
        if takes := CHECKS.get(program):
            takes(words, f"{block.place}: {program} {' '.join(words)}")


def check_bitlathe(words: list[str], place: str) -> None:
    """The argument parser takes the words; nothing is run."""
    if words == ["--version"]:
        return
    assert (wrong := complaint(*words)) is None, f"{place}: {wrong}"


def check_make(words: list[str], place: str) -> None:
    """Targets, and the variables that the Makefile reads."""
    for word in words:
        variable, is_variable, _ = word.partition("=")
        wanted = f"$({variable})" if is_variable else f"\n{word}:"
        assert wanted in MAKEFILE or f"$(or $({variable})" in MAKEFILE or f"\n{variable} ?=" in MAKEFILE, (
            place
        )


def check_python_program(words: list[str], place: str) -> None:
    """A file or module that there is, and options that it reads."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), place
    elif (ROOT / words[0]).exists():
        text = (ROOT / words[0]).read_text(encoding="utf-8")
        assert all(f'"{word}"' in text for word in words if word.startswith("--")), place
    else:
        assert words[0].startswith("my_"), place


def check_pip(words: list[str], place: str) -> None:
    """Extras of ours."""
    for extras in re.findall(r"(?:bitlathe|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(EXTRAS), place


CHECKS = {
    "bitlathe": check_bitlathe,
    "make": check_make,
    "python": check_python_program,
    "pip": check_pip,
}


def check_python(block: CodeBlock, tree: ast.Module) -> None:
    """What it imports is there, and the calls of what is ours fit the signatures."""
    own = {
        Path(each.mark.partition(": ")[2]).stem for each in code_blocks(block.page) if "file: " in each.mark
    }
    known: dict[str, Any] = {"bitlathe": bitlathe}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in own:
            assert importlib.util.find_spec(str(node.module)), f"{block.place}: {node.module}"
            for alias in node.names:
                if str(node.module).startswith("bitlathe"):
                    known[alias.asname or alias.name] = getattr(
                        importlib.import_module(str(node.module)), alias.name
                    )
        elif isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(alias.name) for alias in node.names), block.place
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (function := resolved(node.func, known)) is not None:
            check_call(function, node, block.place)


def resolved(node: ast.expr, known: dict[str, Any]) -> Any:
    """The function or class of ours that an expression names, or None."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := resolved(node.value, known)) is not None:
        return getattr(owner, node.attr)
    return None


def check_call(function: Any, call: ast.Call, place: str) -> None:
    if any(isinstance(word, ast.Starred) for word in call.args) or not callable(function):
        return
    keywords = {word.arg: word.value for word in call.keywords if word.arg}
    try:
        inspect.signature(function).bind(*call.args, **keywords)
    except TypeError as error:
        pytest.fail(f"{place}: {ast.unparse(call)}: {error}")


@pytest.mark.parametrize(
    "text",
    [
        "    bitlathe simulate --imagse 4\n",
        "    bitlathe measure --seed\n",
        "    make bech\n",
        "    python benchmarks/cycles.py --nets lenet5\n",
        "    pip install 'bitlathe[boards]'\n",
        "```python\nimport bitlathe\n\nbitlathe.quantize(net, bits=4)\n```\n",
        "```python\nfrom bitlathe.hls.nothing import engine\n```\n",
        "```python\nbitlathe.quantise(net)\n```\n",
        "    a ──▶ b\n",
        "<!-- not code -->\n    a ──▶ b\n",
    ],
)
def test_a_block_that_is_wrong_is_found(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Words.\n\n{text}")
    (block,) = code_blocks(page)
    with pytest.raises((AssertionError, AttributeError, ModuleNotFoundError, pytest.fail.Exception)):
        check(block)


@pytest.mark.parametrize("mark", RUN_BY)
def test_the_tests_that_run_blocks_read_their_marks(mark: str) -> None:
    assert f"<!-- {mark}" in (ROOT / RUN_BY[mark]).read_text(encoding="utf-8")
