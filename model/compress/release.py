"""Take off a quantizer that does not last beyond its epoch."""

from __future__ import annotations

from math import ceil, log2

import torch
from torch import Tensor

from bitlathe.model.compress.state import State
from bitlathe.model.prune.weights.influence import weight_parameters


@torch.no_grad()
def released(state: State) -> State:
    """The state between two epochs: without a quantizer that does not last, its kernels left rounded.

    Changes `state`.
    """
    if state.quantization is not None and not state.quantization.lasting and state.step == 0:
        bits = state.quantization.config.weight_bits
        for weight in weight_parameters(state.model).values():
            weight.copy_(rounded(weight, bits))
        state.quantization = None
    return state


def rounded(kernel: Tensor, bits: int) -> Tensor:
    """A kernel in dynamic fixed point: one power-of-two scale that clips nothing, round to nearest.

    Source: Gysel 2016, "Ristretto", section 3.3.

    >>> rounded(torch.tensor([0.9, 0.3, -0.1]), 4)
    tensor([ 0.8750,  0.2500, -0.1250])
    """
    largest = float(kernel.abs().max())
    if largest == 0:
        return kernel
    integer_bits = ceil(log2(largest)) + 1  # the sign bit included
    scale = 2.0 ** (bits - integer_bits)
    limit = 2.0 ** (bits - 1)
    return (kernel * scale).round().clamp(-limit, limit - 1) / scale
