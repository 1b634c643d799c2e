"""State dicts as people save them: in containers, under prefixes, in other types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bitlathe.model.graph.errors import DataError, first_of
from bitlathe.model.train.files import read_tensors

StateDict = Mapping[str, torch.Tensor]  # by name, as in PyTorch
# keys of a checkpoint that hold the state dict, the likeliest first
_CONTAINERS = (
    "state",
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
)
# prefixes by DataParallel, torch.compile and Lightning
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "_forward_module.")
_MOST_PREFIXES = 3
_COUNTER = "num_batches_tracked"
_SLACK = 1 << 26  # bytes that a tensor may take beyond the file's size: an expanded constant
_GIVE = "give a checkpoint of this tool or a state dict"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedState:
    """The state dict of a file, and notes on what was taken off to get it."""

    state: StateDict
    notes: tuple[str, ...]


def read_state(path: Path) -> LoadedState:
    """Tensors of a weight file, a checkpoint or a plain state dict, in whatever container.

    Raises DataError for a file that holds no tensors, or tensors without plain values.
    """
    content: Mapping[str, Any] = read_tensors(path)
    notes = []
    is_own = is_ours(content)
    while (key := _container(content)) is not None:
        if not is_own:
            notes.append(f"the weights are what the file holds as {key!r}")
        content = content[key]
    state = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}
    if not state:
        raise DataError(f"{path}: holds no tensor; {_GIVE}")
    if others := [str(name) for name in content if name not in state]:
        notes.append(f"{first_of(others)} left out: not a tensor")
    for name, tensor in state.items():
        _check_plain(f"{path}: {name}", tensor)
        size = tensor.numel() * tensor.element_size()
        if size > path.stat().st_size + _SLACK:
            raise DataError(
                f"{path}: {name} would take {size:,} bytes, which the file does not hold; {_GIVE}"
            )
    return LoadedState(state=state, notes=tuple(notes))


def is_ours(content: Mapping[str, Any]) -> bool:
    """Whether a file is one that this tool writes."""
    return str(content.get("format", "")).startswith("bitlathe") or {"config", "history"} <= content.keys()


def without_prefixes(found: LoadedState, expected: Iterable[str]) -> LoadedState:
    """The state under the names that a network expects, without a prefix that a wrapper put before them."""
    names = [name for name in expected if not name.endswith(_COUNTER)]
    state = found.state
    if not names or all(name in state for name in names):
        return found
    fitting = (p for p in _prefixes() if all(p + name in state for name in names))
    common = (p for p in _PREFIXES if all(name.startswith(p) for name in state))
    prefix = next(fitting, None) or next(common, None)
    if prefix is None:
        return found
    taken = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    notes = [*found.notes, f"{prefix!r} is taken off the names of the weights"]
    if others := [name for name in state if not name.startswith(prefix)]:
        notes.append(f"{first_of(others)} left out: not of the network")
    return LoadedState(state=taken, notes=tuple(notes))


def rounded(state: StateDict, expected: StateDict) -> list[str]:
    """A note if the network's type is too narrow for the file's values."""
    notes = []
    for kind in dict.fromkeys(tensor.dtype for tensor in state.values()):
        moved = [
            name
            for name, tensor in state.items()
            if tensor.dtype is kind and name in expected and not _fits(tensor, expected[name].dtype)
        ]
        if moved:
            to = str(expected[moved[0]].dtype).removeprefix("torch.")
            notes.append(f"{first_of(moved)} rounded from {str(kind).removeprefix('torch.')} to {to}")
    return notes


def _container(content: Mapping[str, Any]) -> str | None:
    """The key that holds the state dict, None if the content is one itself."""
    return next((key for key in _CONTAINERS if isinstance(content.get(key), dict)), None)


def _prefixes() -> Iterator[str]:
    """Prefixes of several wrappers, the shortest first."""
    for length in range(1, _MOST_PREFIXES + 1):
        yield from map("".join, product(_PREFIXES, repeat=length))


def _check_plain(where: str, tensor: torch.Tensor) -> None:
    """Raise DataError for a tensor that is not a plain array of real values."""
    if tensor.is_quantized:
        raise DataError(f"{where} is quantized ({tensor.dtype}); give the float weights it was made from")
    if tensor.is_meta:
        raise DataError(f"{where} has no values (a meta tensor); save the network with its values")
    if tensor.layout is not torch.strided or tensor.is_nested:
        raise DataError(f"{where} is sparse or nested; save it as tensor.to_dense()")
    if tensor.is_complex():
        raise DataError(f"{where} is complex; give real weights")


def _fits(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    if tensor.dtype is dtype or torch.promote_types(tensor.dtype, dtype) is dtype:
        return True
    return bool((tensor.to(dtype).double() == tensor.double()).all())
