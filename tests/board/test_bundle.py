"""A bundle is used whole and sound, or refused with one clear line."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import tempfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import FILES, small_bundle, small_manifest

from bitlathe.board.bundle import find_bundle, open_bundle, pack, unpack, write_bundle
from bitlathe.board.errors import BundleError
from bitlathe.board.manifest import MANIFEST, FileEntry, OutputEntry, parse_manifest


def test_a_manifest_survives_its_text() -> None:
    manifest = small_manifest()
    assert parse_manifest(manifest.encode()) == manifest


def test_a_bundle_is_named_by_its_contents(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    assert bundle.folder.name == f"small-pynq-z2-{bundle.manifest.digest[:16]}"
    assert small_bundle(tmp_path).folder == bundle.folder
    assert small_bundle(tmp_path, vectors=2).folder != bundle.folder


def test_a_packed_bundle_unpacks_to_the_same(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "made")
    file = pack(bundle, tmp_path)
    assert file.read_bytes() == pack(bundle, tmp_path / "again").read_bytes()
    found = find_bundle(file, tmp_path / "there")
    assert found.manifest == bundle.manifest
    assert {name: found.bytes(name) for name in FILES} == FILES


def test_nothing_is_left_of_a_bundle_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest and files differ: \['program.bin'\]"):
        write_bundle(tmp_path, small_manifest(), {name: FILES[name] for name in list(FILES)[:2]})
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path).folder
    content = bytearray((folder / "program.bin").read_bytes())
    content[5] ^= 1
    (folder / "program.bin").write_bytes(content)
    with pytest.raises(
        BundleError, match=r"program\.bin is damaged \(its digest differs\); copy or make it again"
    ):
        open_bundle(folder)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path).folder
    (folder / "overlay_1.hwh").unlink()
    with pytest.raises(BundleError, match=r"overlay_1\.hwh is missing or not a plain file"):
        open_bundle(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path).folder
    (tmp_path / "outside").write_bytes(FILES["program.bin"])
    (folder / "program.bin").unlink()
    (folder / "program.bin").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="missing or not a plain file"):
        open_bundle(folder)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json, so no bundle"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/b", "..", ".hidden", "", "manifest.json", "a\\b"]
)
def test_a_file_name_that_leaves_the_folder_is_refused(name: str) -> None:
    values = json.loads(small_manifest().encode())
    values["files"][name] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(BundleError, match="cannot be the name of a file in a bundle"):
        parse_manifest(json.dumps(values))


@pytest.mark.parametrize("name", ["../evil", "sub/evil", "evil"])
def test_an_archive_with_more_than_the_manifest_lists_is_refused(tmp_path: Path, name: str) -> None:
    file = pack(small_bundle(tmp_path / "made"), tmp_path)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BundleError, match=r"holds .*evil.*, lacks"):
        unpack(file, tmp_path / "there")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "there").exists()


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    file = pack(small_bundle(tmp_path / "made"), tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BundleError, match="is not a readable bundle"):
        unpack(file, tmp_path / "there")


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_damaged_bit_of_an_archive_is_refused_or_changes_nothing(where: float, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = small_bundle(Path(folder) / "made")
        file = pack(made, Path(folder))
        damaged = bytearray(file.read_bytes())
        damaged[int(where * len(damaged))] ^= 1 << bit
        file.write_bytes(damaged)
        try:
            assert unpack(file, Path(folder) / "there").manifest == made.manifest
        except BundleError as error:
            message = str(error)
            assert message.isprintable() and len(message) < 400


def test_an_archive_of_a_damaged_member_is_refused_in_one_short_line(tmp_path: Path) -> None:
    file = pack(small_bundle(tmp_path / "made"), tmp_path)
    damaged = bytearray(file.read_bytes())
    damaged[26:28] = b"\xff\xff"  # length of the first member's name, which zipfile puts into its message
    file.write_bytes(damaged)
    with pytest.raises(BundleError, match="is not a readable bundle") as caught:
        unpack(file, tmp_path / "there")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@given(where=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_damaged_array_is_an_array_or_an_error_of_ours(where: int, byte: int) -> None:
    sound = io.BytesIO()
    np.save(sound, np.arange(6).reshape(2, 3))
    damaged = bytearray(sound.getvalue())
    damaged[where] = byte
    files = {**FILES, "array.npy": bytes(damaged)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of a header as Python 2 wrote it
        bundle = write_bundle(Path(folder), small_manifest(files), files)
        with contextlib.suppress(BundleError):
            assert isinstance(bundle.array("array.npy"), np.ndarray)


def test_an_archive_that_inflates_past_its_manifest_is_refused(tmp_path: Path) -> None:
    manifest = small_manifest()
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, manifest.encode())
        for name, content in {**FILES, "program.bin": bytes(50_000_000)}.items():
            archive.writestr(name, content)
    with pytest.raises(BundleError, match=r"program\.bin: is larger than the 384 bytes that it may have"):
        unpack(tmp_path / "bomb", tmp_path / "there")


def test_a_pickled_array_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    files = {**FILES, "evil.npy": (tmp_path / "evil.npy").read_bytes(), "raw.npy": pickle.dumps({})}
    manifest = small_manifest(files)
    bundle = write_bundle(tmp_path, manifest, files)
    for name in ("evil.npy", "raw.npy"):
        with pytest.raises(BundleError, match="is not a readable array"):
            bundle.array(name)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 3, "format 3, this version reads 1 and 2"),
        ("network", "../up", "must be letters, digits"),
        ("vectors", 0, "field vectors is '0', needed an integer in 1"),
        ("output_signed", 1, "field output_signed is '1', needed true or false"),
        ("descriptors", [3], r"descriptors\[0\]: is a JSON int, needed an object"),
        ("input_shape", "3", "field input_shape is '3', needed a list"),
        ("input_shape", [], r"input shape \(\), needed \(C, H, W\)"),
        ("output_shape", [10, 1, 1, 1], r"output shape \(10, 1, 1, 1\), needed \(C, H, W\)"),
        ("output_shape", [0, 1, 1], r"output shape \(0, 1, 1\), needed \(C, H, W\)"),
        ("overlay", {"kind": "magic"}, "kind 'magic' is none of bitstream, simulation"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, message: str) -> None:
    values = {**json.loads(small_manifest().encode()), field: value}
    with pytest.raises(BundleError, match=message):
        parse_manifest(json.dumps(values))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_text_that_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError):
        parse_manifest(text)


def test_an_overlay_must_be_among_the_files() -> None:
    with pytest.raises(BundleError, match=r"overlay_1\.bit is not among the files"):
        small_manifest({"program.bin": b"x"})


def test_a_digest_that_is_none_is_refused() -> None:
    values = json.loads(small_manifest().encode())
    values["files"]["program.bin"]["sha256"] = "../../etc"
    with pytest.raises(BundleError, match=r"program\.bin: '\.\./\.\./etc' cannot be the SHA-256 digest"):
        parse_manifest(json.dumps(values))


def test_a_descriptor_is_described_by_opcode_and_node() -> None:
    manifest = small_manifest()
    assert manifest.describe(0) == "descriptor 0 (EXEC of conv1)"
    assert manifest.describe(0xFFFF_FFFF) == "no descriptor (header, arguments or profile)"
    assert (manifest.error_name(5), manifest.error_name(9)) == ("AXI_READ", "error 9")


def test_an_entry_holds_size_and_digest() -> None:
    assert FileEntry.of(b"") == FileEntry(
        size=0, sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


TWO = (
    OutputEntry(name="classes", shape=(10, 1, 1), frac=4, signed=True),
    OutputEntry(name="маска: 0", shape=(2, 8, 8), frac=-1, signed=False),
)


def test_a_manifest_of_several_outputs_comes_back(tmp_path: Path) -> None:
    made = small_bundle(tmp_path, outputs=TWO, judged=1)
    values = json.loads(made.manifest.encode())
    assert values["format"] == 2 and not {"output_shape", "output_frac", "output_signed"} & values.keys()
    assert open_bundle(made.folder).manifest == made.manifest
    assert made.manifest.outputs == TWO


def test_a_manifest_of_one_output_is_as_it_was() -> None:
    values = json.loads(small_manifest().encode())
    assert values["format"] == 1 and not {"outputs", "judged"} & values.keys()
    assert (values["output_shape"], values["output_frac"], values["output_signed"]) == ([10, 1, 1], 4, True)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("judged", 2, "output 2 of 2 is to be judged"),
        ("outputs", [], "output 1 of 0 is to be judged"),
        ("outputs", {}, "field outputs is a JSON dict of 0, needed a list"),
        ("outputs", [{"name": "a"}], r"outputs\[0\]: field shape is missing"),
        ("outputs", [{"name": "", "shape": [1, 1, 1], "frac": 0, "signed": True}], "name of an output"),
        ("outputs", [{"name": "a", "shape": [1, 1], "frac": 0, "signed": True}], r"output shape \(1, 1\)"),
    ],
)
def test_a_wrong_field_of_several_outputs_is_named(field: str, value: object, message: str) -> None:
    values = {**json.loads(replace(small_manifest(), outputs=TWO, judged=1).encode()), field: value}
    with pytest.raises(BundleError, match=message):
        parse_manifest(json.dumps(values))
