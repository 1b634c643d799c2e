"""A state in the precision it is trained, judged and deployed in."""

from __future__ import annotations

from torch import nn

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.state import State
from bitlathe.model.product.live import share
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.config import QuantizeConfig


def integer_view(state: State, data: MethodData, deployment: QuantizeConfig) -> QuantizedView:
    """The live module as integers, by the state's own quantizer or else by `deployment`."""
    quantization = state.quantization
    if quantization is None:
        return QuantizedView.of(state.model, data.train_images, deployment)
    view = QuantizedView.of(
        state.model, data.train_images, quantization.config, thresholds=quantization.thresholds
    )
    if (sharing := state.sharing) is None:
        return view
    return share(view, sharing.config, data.train_images, sharing.assignments)


def judged_module(state: State, view: QuantizedView, as_trained: bool) -> nn.Module:
    """The module whose accuracy counts: the integers', or the float one of a float state `as_trained`."""
    return state.model if as_trained and state.quantization is None else view
