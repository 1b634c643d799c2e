"""Weight files: tensors and a note on their origin, in one small file.

A file is {"format", "metadata" (JSON text), "state" (name -> tensor)}. `load_weights` also takes the
checkpoint of a training run, and state dicts of other tools.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.graph.normalization import Normalization
from bitlathe.model.prune.channels.rebuild import shrink_to
from bitlathe.model.train.files import read_tensors, write_tensors
from bitlathe.model.train.state_dicts import (
    StateDict,
    is_ours,
    read_state,
    rounded,
    without_prefixes,
)
from bitlathe.model.zoo import InputSize, build, checkpoint_path

FORMAT = "bitlathe-weights-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsMetadata:
    """Origin of a weight file."""

    network: str
    dataset: str
    accuracy: float | None  # on the whole test split, 0..1, of the weights in the file; None: see `score`
    num_classes: int
    in_channels: int
    input_size: InputSize
    epochs: int
    seed: int
    command: str  # that repeats the training
    metric: str = "top1"
    score: float | None = None  # by the metric, on the whole test split; None in files of earlier versions
    normalization: str | None = None  # of images; None in files of earlier versions


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


def known_normalization(path: Path) -> Normalization | None:
    """What a weight file says that its weights were trained to see; None for files that do not say."""
    if read_tensors(path).get("format") != FORMAT:
        return None
    written = read_metadata(path).normalization
    try:
        return None if written is None else Normalization.parse(written)
    except FormatError as error:
        raise DataError(f"{path}: names the normalization {written!r}, which {error}") from error


def load_weights(model: nn.Module, path: Path, example: torch.Tensor | None = None) -> tuple[str, ...]:
    """Load a weight file, a checkpoint or a state dict; `model` shrinks to its shapes if it was pruned.

    Returns one line for each thing that was taken off, left out or rounded. Raises DataError naming the
    tensors that are missing, unknown or of a shape that pruning cannot give; an `example` (N, C, H, W) of the
    network's input makes that check exact.
    """
    expected = model.state_dict()
    found = without_prefixes(read_state(path), expected)
    for name, tensor in found.state.items():
        check_finite(f"{path}: {name}", tensor)
    notes = (*found.notes, *rounded(found.state, expected))
    if _fits(expected, found.state):
        model.load_state_dict(found.state)
    else:
        try:
            shrink_to(model, found.state, example)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    return tuple(f"{path}: {note}" for note in notes)


def load_pretrained(network: str, dataset: str) -> nn.Module:
    """Network with trained weights from the package, in evaluation mode."""
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


def _fits(expected: StateDict, found: StateDict) -> bool:
    """Whether a state has the shapes of the network as it is."""
    shapes, wanted = ({n: t.shape for n, t in state.items()} for state in (found, expected))
    return shapes == wanted


def check_finite(where: str, tensor: torch.Tensor) -> None:
    """Raise DataError if a tensor has a NaN or an infinity."""
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise DataError(f"{where} has {bad} of {tensor.numel()} values NaN or infinite; train it again")


def is_foreign_state(path: Path) -> bool:
    """True for weights that were trained elsewhere, so that the file does not say how."""
    return not is_ours(read_tensors(path))
