"""A network under compression: its state, the methods that change it, and one epoch of its training."""

from bitlathe.model.compress.architecture import Architecture, GivenNetwork, ZooArchitecture
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.epoch import Diverged, EpochResult, train_epoch
from bitlathe.model.compress.method import Method, MethodContext, MethodKind
from bitlathe.model.compress.state import Quantization, State

__all__ = [
    "Architecture",
    "Diverged",
    "EpochResult",
    "GivenNetwork",
    "Method",
    "MethodContext",
    "MethodData",
    "MethodKind",
    "Quantization",
    "State",
    "ZooArchitecture",
    "train_epoch",
]
