"""State S of Algorithm 1: everything that one epoch hands to the next."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bitlathe.model.compress.architecture import Architecture
from bitlathe.model.compress.plain import config_from_plain, config_to_plain
from bitlathe.model.graph.errors import BitlatheError, DataError
from bitlathe.model.product.config import ProductConfig
from bitlathe.model.prune.channels.rebuild import shrink_to
from bitlathe.model.prune.weights.masks import Masks
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.files import read_tensors, write_tensors

FORMAT = "bitlathe-state-1"

Identity = Mapping[str, Any]  # plain values that must be equal to continue from a state


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantization:
    """A quantizer that is on: its settings, and the thresholds learned so far, never changed in place."""

    config: QuantizeConfig
    thresholds: dict[str, Tensor] | None = None  # by name; None: to be found on calibration images
    threshold_lr: float = 0.0  # their highest learning rate; 0 keeps them fixed
    moments: dict[str, Any] | None = None  # state of the optimizer that learns them
    lasting: bool = True  # False: it ends with its epoch and leaves the kernels rounded


@dataclass(frozen=True, kw_only=True, eq=False)
class Sharing:
    """Weights tied to codewords: settings of the codebooks, and which codeword each vector takes."""

    config: ProductConfig
    assignments: dict[str, Tensor] | None = None  # by layer; None: not clustered yet


@dataclass(kw_only=True, eq=False)
class State:
    """A network under compression.

    The learning rate and every random number are functions of `epoch` and `step`, so neither a scheduler nor
    a generator has a state of its own.
    """

    model: nn.Module  # holds float parameters and batch norm, even under a quantizer
    optimizer: torch.optim.Optimizer
    seed: int
    epoch: int = 0  # epochs finished
    step: int = 0  # finished steps of the current epoch
    quantization: Quantization | None = None
    masks: Masks | None = None  # of single weights that stay 0
    sharing: Sharing | None = None  # only under a quantizer
    removed_channels: int = 0
    history: tuple[str, ...] = ()  # method of each finished epoch

    def copy(self) -> State:
        """An independent copy; its optimizer owns the copied parameters."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))  # one memo keeps links
        return replace(self, model=model, optimizer=optimizer)

    def cluster_again(self) -> None:
        """Forget the codewords of shared weights, so that they are clustered again."""
        if self.sharing is not None:
            self.sharing = replace(self.sharing, assignments=None)

    def content(self) -> dict[str, Any]:
        """Tensors and plain values from which `restore` makes the state."""
        quantization = self.quantization
        return {
            "format": FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seed": self.seed,
            "epoch": self.epoch,
            "step": self.step,
            "quantization": None if quantization is None else _content_of(quantization),
            "sharing": None if self.sharing is None else _content_of(self.sharing),
            "masks": None if self.masks is None else dict(self.masks.kept),
            "removed_channels": self.removed_channels,
            "history": list(self.history),
        }

    def save(self, path: Path, identity: Identity | None = None) -> None:
        """Write the state, whole or not at all; `load` compares the `identity`."""
        of_run = {} if identity is None else {"identity": dict(identity)}
        write_tensors(path, self.content() | of_run)

    def to_bytes(self) -> bytes:
        """The content of its file."""
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        return buffer.getvalue()


def fresh_state(model: nn.Module, settings: TrainConfig) -> State:
    """State before the first epoch."""
    return State(model=model, optimizer=make_optimizer(model, settings), seed=settings.seed)


def make_optimizer(model: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """Nesterov SGD with decay of weights, but not of biases or batch norm."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=True)


def restore(content: dict[str, Any], architecture: Architecture, settings: TrainConfig, where: str) -> State:
    """The state that `content` holds; DataError, naming `where`, if it is not a state of this network."""
    if {"config", "history"} <= content.keys():
        raise DataError(
            f"{where}: is the checkpoint of an earlier version's training, which only that version can "
            "resume; start over in another folder, or load it as weights"
        )
    if content.get("format") != FORMAT:
        raise DataError(f"{where}: is a {content.get('format')}, not a {FORMAT}; start over")
    try:
        model = _rebuilt(architecture, content["model"])
        state = fresh_state(model, settings)
        state.optimizer.load_state_dict(content["optimizer"])
        state.seed, state.epoch, state.step = content["seed"], content["epoch"], content["step"]
        state.quantization = _quantization(content["quantization"])
        state.sharing = _sharing(content["sharing"])
        state.masks = None if content["masks"] is None else Masks(content["masks"])
        state.removed_channels = content["removed_channels"]
        state.history = tuple(content["history"])
    except (BitlatheError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: not a state of this network ({error}); start over") from error
    return state


def load(
    path: Path, architecture: Architecture, settings: TrainConfig, identity: Identity | None = None
) -> State:
    """State of a file; DataError if it holds no state of this network, or one of another `identity`.

    A file without an identity, as an earlier version wrote it, is accepted.
    """
    content = read_tensors(path)
    if identity is not None and "identity" in content:
        remedy = "give the same settings or start over in another folder"
        check_identity(path, content["identity"], identity, remedy)
    return restore(content, architecture, settings, str(path))


def check_identity(path: Path, saved: Identity, wanted: Identity, remedy: str) -> None:
    """Raise DataError, with a remedy, for the first value that differs between a file and what is wanted."""
    for name in {**wanted, **saved}:
        if saved.get(name) != wanted.get(name):
            raise DataError(
                f"{path}: was made with {name} = {saved.get(name)}, now it is {wanted.get(name)}; {remedy}"
            )


def from_bytes(content: bytes, architecture: Architecture, settings: TrainConfig) -> State:
    """State of `State.to_bytes`."""
    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return restore(loaded, architecture, settings, "state")


def _rebuilt(architecture: Architecture, tensors: dict[str, Tensor]) -> nn.Module:
    return shrink_to(architecture.build(), tensors)


def _quantization(plain: Mapping[str, Any] | None) -> Quantization | None:
    if plain is None:
        return None
    return Quantization(**{**plain, "config": config_from_plain(QuantizeConfig, plain["config"])})


def _sharing(plain: Mapping[str, Any] | None) -> Sharing | None:
    if plain is None:
        return None
    if "config" in plain:
        config = config_from_plain(ProductConfig, plain["config"])
    else:  # of an earlier version
        config = ProductConfig.of(plain["length"], plain["dense_length"], plain["codewords"])
    return Sharing(config=config, assignments=plain["assignments"])


def _content_of(part: Quantization | Sharing) -> dict[str, Any]:
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return values | {"config": config_to_plain(part.config)}
