"""Networks that a function in the user's own Python file makes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from bitlathe.flow.errors import UsageError

_MODULE = "bitlathe_own_network"


def is_own(network: str) -> bool:
    """Whether a network's name means FILE.py:FUNCTION.

    >>> is_own("nets.py:make"), is_own("resnet8")
    (True, False)
    """
    return ".py:" in network


def make_own(network: str, seed: int) -> nn.Module:
    """What FUNCTION of FILE.py returns, its random weights seeded; UsageError when that is no module.

    The file may import what lies beside it. Errors inside the user's own code come out as they are.
    """
    file, _, function = network.rpartition(":")
    with _beside(Path(file)), torch.random.fork_rng(devices=[]):
        maker = getattr(_module(Path(file)), function, None)
        if not callable(maker):
            raise UsageError(f"{file}: has no function {function}; name one that returns a torch.nn.Module")
        torch.manual_seed(seed)
        model = maker()
    if not isinstance(model, nn.Module):
        raise UsageError(f"{network}: returns a {type(model).__name__}; let it return a torch.nn.Module")
    return model


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Let imports find what lies in the file's folder, as when Python runs the file."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"{file}: no such Python file; give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses and pickles look their module up by its name
    spec.loader.exec_module(module)
    return module
