"""Weight files as other tools save them: read under their network's names, or refused for what they are."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.graph.errors import DataError
from bitlathe.model.zoo import build

State = dict[str, torch.Tensor]
TRAINED = build("resnet8", seed=1)
STATE: State = dict(TRAINED.state_dict())


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def prefixed(prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in STATE.items()}


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_weights(build("resnet8"), path)
    line = str(caught.value)
    assert "\n" not in line and "\x1b" not in line and "weights_only" not in line and "trust" not in line
    return line.removeprefix(f"{path}: ")


def loaded(path: Path) -> tuple[str, ...]:
    """Notes of a file that must load as it was trained."""
    model = build("resnet8", seed=2)
    notes = load_weights(model, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, STATE[name]), name
    return tuple(note.removeprefix(f"{path}: ") for note in notes)


@pytest.mark.parametrize(
    "key", ["state_dict", "model_state_dict", "model", "net", "network", "weights", "params"]
)
def test_weights_in_a_container_are_taken_out_of_it_with_a_note(key: str, tmp_path: Path) -> None:
    path = saved({"epoch": 3, key: STATE, "optimizer": {"state": {}}}, tmp_path / "w.pt")
    assert loaded(path) == (f"the weights are what the file holds as {key!r}",)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.model."])
def test_prefixes_of_wrappers_are_taken_off_with_a_note(prefix: str, tmp_path: Path) -> None:
    path = saved(prefixed(prefix), tmp_path / "w.pt")
    assert loaded(path) == (f"{prefix!r} is taken off the names of the weights",)


def test_what_a_training_framework_keeps_beside_the_network_is_left_out_with_a_note(tmp_path: Path) -> None:
    content = {"state_dict": {**prefixed("model."), "loss.weight": torch.ones(10)}, "epoch": 3}
    assert loaded(saved(content, tmp_path / "w.pt")) == (
        "the weights are what the file holds as 'state_dict'",
        "'model.' is taken off the names of the weights",
        "loss.weight left out: not of the network",
    )


def test_names_that_fit_as_they_are_keep_their_prefix(tmp_path: Path) -> None:
    wrapped = nn.Sequential()
    wrapped.model = nn.Linear(2, 2)
    path = saved(wrapped.state_dict(), tmp_path / "w.pt")
    assert load_weights(wrapped, path) == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_load_and_only_rounding_is_noted(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in STATE.items()}
    model = build("resnet8", seed=2)
    assert load_weights(model, saved(state, tmp_path / "w.pt")) == ()
    assert torch.equal(model.conv1.weight, state["conv1.weight"].float())
    if dtype is torch.float64:
        state["conv1.weight"] = state["conv1.weight"] / 3
        path = saved(state, tmp_path / "w.pt")
        assert load_weights(model, path) == (f"{path}: conv1.weight rounded from float64 to float32",)
        assert torch.equal(model.conv1.weight, state["conv1.weight"].float())


def test_a_state_without_batch_counters_loads(tmp_path: Path) -> None:
    state = {name: t for name, t in prefixed("module.").items() if "num_batches" not in name}
    model = build("resnet8", seed=2)
    load_weights(model, saved(state, tmp_path / "w.pt"))
    assert torch.equal(model.conv1.weight, TRAINED.conv1.weight)


def test_tensors_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    advice = "it belongs to another network, give the one it was trained for"
    renamed = {name.replace("layer3", "stage"): tensor for name, tensor in STATE.items()}
    assert re.fullmatch(
        r"layer3\.0\.conv1\.weight, layer3\.0\.bn1\.weight, \S+ and \d+ more are missing and "
        rf"stage\.0\S+, \S+, \S+ and \d+ more are unknown to the network; {advice}",
        refused(saved(renamed, path)),
    )
    wide = {**STATE, "conv1.weight": torch.ones(16, 4, 3, 3), "linear.bias": torch.ones(12)}
    assert refused(saved(wide, path)) == (
        "conv1.weight is (16, 4, 3, 3), the network's is (16, 3, 3, 3), "
        f"linear.bias is (12,), the network's is (10,); {advice}"
    )


def quantized(weight: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (quantized, "is quantized (torch.qint8); give the float weights it was made from"),
        (torch.Tensor.to_sparse, "is sparse or nested; save it as tensor.to_dense()"),
        (lambda w: w.to("meta"), "has no values (a meta tensor); save the network with its values"),
        (lambda w: w.to(torch.complex64), "is complex; give real weights"),
        (lambda w: torch.zeros(()).expand(1 << 40), "would take 4,398,046,511,104 bytes"),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.filterwarnings("ignore:.*[Ss]parse")
def test_a_tensor_without_plain_values_is_named(
    change: Callable[[torch.Tensor], torch.Tensor], told: str, tmp_path: Path
) -> None:
    path = saved({**STATE, "conv1.weight": change(STATE["conv1.weight"])}, tmp_path / "w.pt")
    assert refused(path).startswith(f"conv1.weight {told}")


class Trainer:
    """A class of somebody's own."""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "holds a whole module (torch.nn.modules.container.Sequential)"),
        ({"model": nn.Linear(2, 2)}, "holds a whole module (torch.nn.modules.linear.Linear)"),
        ({"state_dict": STATE, "args": argparse.Namespace()}, "holds an object (argparse.Namespace)"),
        ({"state_dict": STATE, "by": Trainer()}, f"holds an object ({__name__}.Trainer)"),
    ],
)
def test_a_file_of_code_is_refused_without_pytorchs_advice(content: Any, told: str, tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        assert refused(tmp_path / "w.pt").startswith(
            f"{told}, which only its own code can read; save its state_dict() alone by torch.save"
        )


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.ones(3))
    return buffer.getvalue()


def scripted() -> bytes:
    return zipped({"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/m.py": b""})


def zipped(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def half_of_a_checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    return buffer.getvalue()[: buffer.tell() // 2]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty); get it again"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page); download the file itself"),
        (b"\xef\xbb\xbf\n <?xml version='1.0'?>", "it is a web page); download the file itself"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
            "it is a pointer of Git LFS); fetch the file itself by git lfs pull",
        ),
        (safetensors(), "it is a safetensors file); load it by safetensors and save its dict by torch.save"),
        (b"\x08\x08\x12\x07pytorch", "it is an ONNX model); give it as `network`, without `weights`"),
        (arrays(), "it is a file of NumPy arrays); save a dict of tensors by torch.save"),
        (scripted(), "it is a module of TorchScript); save its state_dict() by torch.save"),
        (zipped({"a.txt": b""}), "it is an archive of other things); get it again"),
        (gzip.compress(b"x", mtime=0), "it is packed by gzip); unpack it"),
        (half_of_a_checkpoint(), "it is truncated or damaged); get it again"),
        (b"\x80\x02}q\x00.", "it is truncated or foreign); get it again"),
        (b"hello", "it is truncated or foreign); get it again"),
        (
            zipped({"w/data.pkl": bytes(1 << 22)}, zipfile.ZIP_DEFLATED),
            "it would unpack to 4,194,304 bytes, which no checkpoint of PyTorch does); get it again",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused_for_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    assert refused(path) == f"not a readable PyTorch checkpoint ({told}"


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert refused(tmp_path).startswith("cannot be read (it is a folder or a device)")
