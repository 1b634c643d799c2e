"""Weight files: tensors with a note on where they come from, in one small file.

A file is {"format", "metadata" (JSON text), "state" (name -> tensor)}. `load_state` also takes a
plain state dict and the checkpoint of a training run.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitlathe.model.graph.errors import DataError
from bitlathe.model.prune.rebuild import shrink_to
from bitlathe.model.train.files import read_tensors, write_tensors
from bitlathe.model.zoo import build, checkpoint_path

FORMAT = "bitlathe-weights-1"
State = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsMetadata:
    """Origin of a weight file."""

    network: str
    dataset: str
    accuracy: float  # on the whole test split, 0..1, of the weights in the file
    num_classes: int
    in_channels: int
    input_size: int
    epochs: int
    seed: int
    command: str  # repeats the training


def save_weights(path: Path, model: nn.Module, metadata: WeightsMetadata) -> None:
    """Write the model's state and its origin."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    note = json.dumps(dataclasses.asdict(metadata), indent=1, sort_keys=True)
    write_tensors(path, {"format": FORMAT, "metadata": note, "state": state})


def read_metadata(path: Path) -> WeightsMetadata:
    """Origin of a weight file; DataError if the file carries none."""
    content = read_tensors(path)
    try:
        return WeightsMetadata(**json.loads(content["metadata"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: carries no readable metadata ({error}); use a weight file") from error


def load_state(path: Path) -> State:
    """Tensors of a weight file, a training checkpoint or a plain state dict.

    Raises DataError for a file that is none of these, or that holds a NaN or an infinity.
    """
    state = _state_of(read_tensors(path))
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise DataError(f"{path}: {name} is no tensor; give a checkpoint of this tool or a state dict")
        check_finite(f"{path}: {name}", tensor)
    if not state:
        raise DataError(f"{path}: holds no tensor; give a checkpoint of this tool or a state dict")
    return state


def load_weights(model: nn.Module, path: Path, example: torch.Tensor | None = None) -> None:
    """Load a file that `load_state` reads into `model`, which shrinks to the file's shapes if it was pruned.

    Raises DataError naming the first tensor that is missing, unknown or of a shape that no pruning gives; an
    `example` (N, C, H, W) of the network's input makes that check exact.
    """
    state = load_state(path)
    try:
        shrink_to(model, state, example)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def load_pretrained(network: str, dataset: str) -> nn.Module:
    """Network with the trained weights that come with the package, in evaluation mode."""
    path = checkpoint_path(network, dataset)
    origin = read_metadata(path)
    model = build(
        network,
        num_classes=origin.num_classes,
        in_channels=origin.in_channels,
        input_size=origin.input_size,
    )
    load_weights(model, path)
    return model.eval()


def check_finite(where: str, tensor: torch.Tensor) -> None:
    """Raise DataError if a tensor has a NaN or an infinity."""
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise DataError(f"{where} has {bad} of {tensor.numel()} values NaN or infinite; train it again")


def is_plain_state(path: Path) -> bool:
    """True for a bare state dict, trained elsewhere: it says nothing of how it was trained."""
    return not _wrapped_state(read_tensors(path))


def _state_of(content: dict[str, Any]) -> State:
    return _wrapped_state(content) or content


def _wrapped_state(content: dict[str, Any]) -> State:
    """State dict inside one of our own files, or nothing."""
    for key in ("state", "model"):
        if isinstance(content.get(key), dict):
            return dict(content[key])
    return {}
