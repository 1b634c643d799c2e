"""A state in the precision it trains, is judged and is deployed in."""

from __future__ import annotations

from torch import nn

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.state import State
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize


class _View:
    """Stands in for the live view."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self._network = network
        self.module = network.trainable()

    def network(self) -> QuantizedNetwork:
        return self._network


def integer_view(state: State, data: MethodData, deployment: QuantizeConfig) -> _View:
    """The state as integers: by its own quantizer, else by `deployment`."""
    config = deployment if state.quantization is None else state.quantization.config
    return _View(quantize(state.model.eval(), data.train_images, config))


def judged_module(state: State, data: MethodData, deployment: QuantizeConfig, as_trained: bool) -> nn.Module:
    """The module whose accuracy counts: the integers', or the float one of a state `as_trained` in float."""
    if as_trained and state.quantization is None:
        return state.model
    return integer_view(state, data, deployment).module
