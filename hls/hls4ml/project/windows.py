"""Convolutions as hls4ml knows them: taps side by side, of all channels or of each one alone."""

from dataclasses import replace

import numpy as np

from bitlathe.model.graph.nodes import Conv2d


def side_by_side(conv: Conv2d) -> Conv2d:
    """The same sums by a convolution without dilation, and without groups unless it is depthwise."""
    if conv.groups > 1 and not conv.is_depthwise:
        conv = _of_all_channels(conv)
    apart = [(taps - 1) * step + 1 for taps, step in zip(conv.kernel_size, conv.dilation, strict=True)]
    if apart == list(conv.kernel_size):
        return conv
    weight = np.zeros((*conv.weight.shape[:2], *apart), conv.weight.dtype)
    weight[:, :, :: conv.dilation[0], :: conv.dilation[1]] = conv.weight
    return replace(conv, weight=weight, dilation=(1, 1), codebook=None)


def _of_all_channels(conv: Conv2d) -> Conv2d:
    """Weights (out, in, height, width) that are 0 between groups."""
    outputs, inputs = conv.out_channels // conv.groups, conv.weight.shape[1]
    weight = np.zeros((conv.out_channels, inputs * conv.groups, *conv.kernel_size), conv.weight.dtype)
    for group in range(conv.groups):
        rows, columns = (slice(group * n, (group + 1) * n) for n in (outputs, inputs))
        weight[rows, columns] = conv.weight[rows]
    return replace(conv, weight=weight, groups=1, codebook=None)
