"""No name that comes from outside becomes a path, a line of a log or a key before its pattern was checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import FILES, RESULT, small_bundle, small_manifest

from bitlathe.board.bundle import open_bundle, pack, write_bundle
from bitlathe.board.errors import BundleError, error_named
from bitlathe.board.fields import JsonFields
from bitlathe.board.manifest import parse_manifest
from bitlathe.board.measurement import Measurement
from bitlathe.board.sim.overlay_text import read_overlay_text
from bitlathe.board.text import one_line

NO_NAMES = [
    "",
    ".",
    "..",
    "../../..",
    "/",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\r",
    " a",
    "a" * 300,
    "-a",
    "\ud800",
    "é",
]
NO_INSTANCES = ["", "../\n", "/", "a//b", "/a", "a/", "a\0", "a b", "a" * 300, "\ud800"]
NO_NODES = ["a\nb", "a\x1b[2J", "\0", "a" * 5000, "\ud800", "\u2028", "\u202e"]


def values() -> dict[str, Any]:
    """A sound manifest's values."""
    made: dict[str, Any] = json.loads(small_manifest().encode())
    return made


def _set_top(field: str) -> Callable[[dict[str, Any], str], None]:
    return lambda all_values, name: all_values.update({field: name})


def _set_overlay(field: str) -> Callable[[dict[str, Any], str], None]:
    return lambda all_values, name: all_values["overlay"].update({field: name})


def _set_key(*fields: str, value: object) -> Callable[[dict[str, Any], str], None]:
    def change(all_values: dict[str, Any], name: str) -> None:
        for field in fields:
            all_values = all_values[field]
        all_values[name] = value

    return change


def _set_step(field: str) -> Callable[[dict[str, Any], str], None]:
    return lambda all_values, name: all_values["descriptors"][0].update({field: name})


PLACES = {
    "board": (_set_top("board"), NO_NAMES),
    "architecture": (_set_top("architecture"), NO_NAMES),
    "network": (_set_top("network"), NO_NAMES),
    "bit": (_set_overlay("bit"), NO_NAMES),
    "hwh": (_set_overlay("hwh"), NO_NAMES),
    "instance": (_set_overlay("ip"), NO_INSTANCES),
    "file": (_set_key("files", value={"size": 1, "sha256": "0" * 64}), NO_NAMES),
    "file without an entry": (_set_key("files", value=3), NO_NAMES),
    "register": (_set_key("engine", "registers", value=0), [*NO_NAMES, "a.b"]),
    "error": (_set_key("engine", "errors", value=0), [*NO_NAMES, "a b"]),
    "opcode": (_set_step("opcode"), [*NO_NAMES, "EX EC"]),
    "node": (_set_step("node"), NO_NODES),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_name_in_a_manifest_is_refused_in_one_line_of_ascii(place: str) -> None:
    change, no_names = PLACES[place]
    for name in no_names:
        changed = values()
        change(changed, name)
        with pytest.raises(BundleError) as caught:
            parse_manifest(json.dumps(changed))
        message = str(caught.value)
        assert message.startswith(("manifest.json: ", "overlay: ")), name
        assert message.isascii() and message.isprintable(), name
        assert len(message) < 300


@pytest.mark.parametrize("board", ["../../..", "a/b", "x" * 300, "a\nb", "\ud800"])
def test_a_bundle_of_a_board_out_of_the_folder_is_never_written(board: str, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c" / "d"
    with pytest.raises(BundleError, match="cannot be the name of a board"):
        small_bundle(inner, board=board)
    assert list(tmp_path.rglob("*")) == []


def test_names_that_people_use_are_taken() -> None:
    changed = values()
    changed.update(board="kria_kv260-rev1.1", network="resnet20-w4.5")
    changed["overlay"]["ip"] = "top/engine_0"
    changed["descriptors"][0]["node"] = "Übung 3: layer1.0/conv1"
    assert parse_manifest(json.dumps(changed)).descriptors[0].node == "Übung 3: layer1.0/conv1"


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=400), min_size=1, max_size=3))
def test_any_texts_in_a_manifests_place_are_a_manifest_or_an_error_of_ours(names: dict[str, str]) -> None:
    changed = values() | dict(zip(("board", "network", "architecture"), names.values(), strict=False))
    changed["engine"]["registers"] = dict.fromkeys(names, 0)
    try:
        name = parse_manifest(json.dumps(changed)).name
    except BundleError as error:
        assert str(error).isprintable()
    else:
        assert Path(name).name == name and len(name) < 200


JSON_BOMBS = [
    "[" * 200_000,
    '{"a":' * 200_000,
    '{"format": ' + "[" * 900 + "]" * 900 + "}",
    '{"format": ' + "9" * 5000 + "}",
    '{"format": -' + "9" * 5000 + "}",
    '{"format": NaN}',
    '{"format": Infinity}',
    '{"format": 1e999}',
    '{"format": true}',
    '{"format": "' + "x" * 100_000 + '"}',
]


@pytest.mark.parametrize("text", JSON_BOMBS, ids=range(len(JSON_BOMBS)))
def test_json_that_is_made_to_hurt_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_manifest(text)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_shape", [True, 1, 1]),
        ("input_shape", [1 << 63, 1, 1]),
        ("input_shape", [1.0, 1, 1]),
        ("input_stride", True),
        ("vectors", 10**30),
        ("scratch_bytes", -1),
    ],
)
def test_a_number_out_of_its_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"field {field} is "):
        parse_manifest(json.dumps(values() | {field: value}))


def test_a_manifest_past_its_size_is_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path).folder
    (folder / "manifest.json").write_bytes(b" " * (9 << 20))
    with pytest.raises(BundleError, match=r"manifest\.json: is larger than the 8388608 bytes"):
        open_bundle(folder)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=r"file/small-.*: cannot be written \(.*\); make room there"):
        small_bundle(tmp_path / "file")
    with pytest.raises(BundleError, match=r"cannot be written \(.*\); make room there"):
        pack(write_bundle(tmp_path, small_manifest(), FILES), tmp_path / "file")


@pytest.mark.parametrize("library", ["", "../x.so", "/lib/x.so", "a\0b", "."])
def test_a_simulated_overlay_loads_no_library_from_elsewhere(library: str, tmp_path: Path) -> None:
    text = {"kind": "simulated overlay", "board": "pynq-z2", "library": library, "identity_offset": 0}
    memory = {"latency": 1, "write_latency": 1, "outstanding": 1, "busy": 1, "stall_percent": 0, "seed": 0}
    (tmp_path / "x.bit").write_text(json.dumps({**text, "memory": memory}))
    with pytest.raises(BundleError, match="cannot be the name of a file"):
        read_overlay_text(tmp_path / "x.bit")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("board", "a\nb"),
        ("network", "../x"),
        ("pynq", "4.0\x1b[2J"),
        ("bundle", "0" * 63),
        ("outputs_sha256", "A" * 64),
        ("layers", [{"layer": "a\nb", "cycles": 1}]),
    ],
)
def test_a_name_in_an_agents_measurement_is_checked_by_the_host(field: str, value: object) -> None:
    answer = JsonFields.of({**json.loads(json.dumps(RESULT.to_json())), field: value}, "agent")
    with pytest.raises(BundleError, match="measurement: '"):
        Measurement.from_json(answer)


def test_an_agents_error_is_one_line_on_the_host() -> None:
    assert str(error_named("AgentError", "a\nboard: \x1b[2Jall is well\ud800")) == (
        r"a\nboard: \x1b[2Jall is well\ud800"
    )
    assert one_line("Übung, 3 × 3") == "Übung, 3 × 3"
