"""Weight files come back as written; damaged, foreign and mismatched ones are explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tolerances import undecided
from torch import nn

from bitlathe.model.compress.training import CHECKPOINT_NAME, train
from bitlathe.model.compress.weight_files import (
    WeightsMetadata,
    load_pretrained,
    load_weights,
    read_metadata,
    save_weights,
)
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import DataError
from bitlathe.model.train import TrainConfig
from bitlathe.model.train.evaluate import predict
from bitlathe.model.train.state_dicts import read_state
from bitlathe.model.zoo import build, checkpoint_path

ORIGIN = WeightsMetadata(
    network="resnet8",
    dataset="cifar10",
    accuracy=0.5,
    num_classes=10,
    in_channels=3,
    input_size=32,
    epochs=1,
    seed=0,
    command="bitlathe train",
)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in a.state_dict().items())


def refused(path: Path, model: nn.Module | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load_weights(build("lenet5") if model is None else model, path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_weight_file_comes_back_with_its_origin(tmp_path: Path) -> None:
    written, read, path = build("resnet8", seed=1), build("resnet8", seed=2), tmp_path / "w.pt"
    save_weights(path, written, ORIGIN)
    load_weights(read, path)
    assert same_weights(written, read)
    assert read_metadata(path) == ORIGIN
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]


def test_a_plain_state_dict_and_a_training_checkpoint_load_too(tmp_path: Path) -> None:
    result = train(TrainConfig(epochs=1, threads=1), load_dataset("digits"), tmp_path)
    plain = tmp_path / "plain.pt"
    torch.save(result.model.state_dict(), plain)
    for path in (plain, tmp_path / CHECKPOINT_NAME):
        model = build("lenet5", seed=9)
        load_weights(model, path)
        assert same_weights(model, result.model)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "w.pt") == "no such file; give the path of a checkpoint"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04K\x01.", b"PK\x03\x04"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    assert re.match(r"(not a readable PyTorch checkpoint \(.*\); get it again|holds a )", refused(path))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(build("lenet5").state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    assert refused(path).startswith("not a readable PyTorch checkpoint (")


class Surprise:
    """Any class of somebody's own; reading it back would mean running their code."""


def test_a_file_that_needs_code_to_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"model": Surprise()}, path)
    assert "Surprise), which only its own code can read; save its state_dict() alone" in refused(path)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    for content, start in (({}, "holds no tensor"), ({"a": 1}, "holds no tensor"), ([1], "holds a list")):
        torch.save(content, path)
        assert refused(path).startswith(start)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, value: float) -> None:
    state, path = build("lenet5").state_dict(), tmp_path / "w.pt"
    state["conv2.weight"][0, 0, 0, :2] = value
    torch.save(state, path)
    assert refused(path) == "conv2.weight has 2 of 864 values NaN or infinite; train it again"


def test_weights_of_another_network_name_the_first_tensors_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    save_weights(path, build("resnet8"), ORIGIN)
    advice = "it belongs to another network, give the one it was trained for"
    assert refused(path) == (
        "conv1.bias, conv2.weight, conv2.bias and 6 more are missing and bn1.weight, bn1.bias, "
        f"bn1.running_mean and 44 more are unknown to the network; {advice}"
    )
    assert refused(path, build("resnet20")).startswith(
        "layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 57 more are missing and "
    )


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({**build("lenet5").state_dict(), "fc4.bias": torch.zeros(1)}, path)
    assert refused(path).startswith("fc4.bias is unknown to the network; ")


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(build("lenet5", num_classes=3).state_dict(), path)
    assert refused(path).startswith("fc3.weight is (3, 84), the network's is (10, 84); ")


def test_a_plain_state_dict_has_no_metadata(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(build("lenet5").state_dict(), path)
    with pytest.raises(DataError, match="carries no readable metadata"):
        read_metadata(path)


def test_loading_state_keeps_float32(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    save_weights(path, build("resnet8"), ORIGIN)
    assert read_state(path).state["conv1.weight"].dtype == torch.float32


@pytest.mark.parametrize("pair", [("lenet5", "digits"), ("resnet8", "cifar10")])
def test_the_weights_in_the_package_are_small_and_note_their_origin(pair: tuple[str, str]) -> None:
    path = checkpoint_path(*pair)
    origin = read_metadata(path)
    assert path.stat().st_size < 1_000_000
    assert (origin.network, origin.dataset) == pair
    assert origin.command.startswith("bitlathe train ")


def assert_recognises_what_its_note_says(network: str, dataset: str, data_root: Path | None = None) -> None:
    """As many images as the note, but for those that the order of sums decides."""
    data, origin = load_dataset(dataset, data_root), read_metadata(checkpoint_path(network, dataset))
    model = load_pretrained(network, dataset)
    logits = predict(model, data.test_images)
    right = int((logits.argmax(1).numpy() == data.test_labels).sum())
    apart = abs(right - round(origin.accuracy * len(data.test_labels)))
    assert apart <= undecided(logits, model) <= len(logits) / 200


def test_the_packaged_lenet5_recognises_what_its_note_says() -> None:
    assert_recognises_what_its_note_says("lenet5", "digits")


def test_the_packaged_resnet8_recognises_what_its_note_says(data_root: Path) -> None:
    assert_recognises_what_its_note_says("resnet8", "cifar10", data_root)
