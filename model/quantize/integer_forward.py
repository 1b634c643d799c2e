"""Run a quantized network on PyTorch images, with the exact integers and as fast as possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitlathe.model.graph.arrays import Images
from bitlathe.model.native.evaluator import CompiledGraph, compiled
from bitlathe.model.quantize.quantizer import QuantizedNetwork

Forward = Callable[[Tensor], Any]


def integer_forward(network: QuantizedNetwork, device: torch.device) -> Forward:
    """Function from images (N, C, H, W), x = (pixel - 128) / 128, to float32 outputs, as the module's.

    It uses compiled code on the CPU if possible; otherwise the exact module, which gives the same.
    """
    fast = compiled(network.graph) if device.type == "cpu" else None
    return network.module().to(device) if fast is None else _through(fast, network)


def _through(fast: CompiledGraph, network: QuantizedNetwork) -> Forward:
    fracs = [network.graph.format_of(output.tensor).frac for output in network.graph.outputs]

    def run(x: Tensor) -> Any:
        outputs = fast.evaluate_outputs(network.preprocess.codes(_pixels(x)), torch.get_num_threads())
        return network.network.form.returned(
            [
                torch.from_numpy(np.ldexp(codes.astype(np.float32), -frac))
                for codes, frac in zip(outputs, fracs, strict=True)
            ]
        )

    return run


def _pixels(x: Tensor) -> Images:
    """Byte images (N, H, W, C)."""
    pixels: Images = (x * 128 + 128).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels
