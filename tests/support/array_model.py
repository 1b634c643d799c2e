"""One cycle of the array in integers, bit for bit: what hls/rtl/mac_array.sv does up to its accumulators.

Every value is cut to the width that a `DataPath` gives it, so a width that is too small shows as a wrong sum.
The leading axis of all arrays counts independent cycles.
"""

import numpy as np
import numpy.typing as npt

from bitlathe.hls.datapath import CHAIN, DataPath

Int64s = npt.NDArray[np.int64]


def cut(values: Int64s, bits: int) -> Int64s:
    """The low `bits` of values, as two's complement numbers.

    >>> cut(np.array([511, 127]), 8).tolist()
    [-1, 127]
    """
    low = values & ((1 << bits) - 1)
    return np.where(low >> (bits - 1), low - (1 << bits), low)


def lower(pairs: Int64s, spacing: int) -> Int64s:
    """The lower of two numbers that stand side by side."""
    return cut(pairs, spacing)


def higher(pairs: Int64s, spacing: int) -> Int64s:
    """The higher one, from which a negative lower one took one."""
    return cut(cut(pairs >> spacing, spacing) + (pairs >> (spacing - 1) & 1), spacing + 1)


def wide_sums(path: DataPath, act: Int64s, weight: Int64s) -> Int64s:
    """Sums (n, 2) of a pixel's 8-bit codes (n, PI) with the weights (n, 2, PI) of two output channels."""
    codes = cut(cut(act, path.code_bits), path.act_bits)
    weights = cut((weight[:, 1] << path.wide_spacing) + weight[:, 0], path.weight_bits)
    chains = _chains(path, codes, weights)
    rows = [cut(part(chains, path.wide_spacing).sum(axis=-1), path.sum_bits) for part in (lower, higher)]
    return cut(np.stack(rows, axis=-1), path.entry_bits)


def narrow_sums(path: DataPath, act: Int64s, weight: Int64s) -> Int64s:
    """Sums (n, 2 pixels, 2 output channels) of 4-bit codes (n, 2, 2 * PI) with weights (n, 2, 2 * PI)."""
    joined = sum(
        _narrow_row(path, codes, weights)
        for codes, weights in zip(np.split(act, 2, axis=-1), np.split(weight, 2, axis=-1), strict=True)
    )
    pairs = cut(np.asarray(joined), path.sum_bits)  # (n, 2 output channels)
    pixels = [cut(part(pairs, path.field_bits), path.field_bits) for part in (lower, higher)]
    return cut(np.stack(pixels, axis=1), path.entry_bits)


def _narrow_row(path: DataPath, act: Int64s, weight: Int64s) -> Int64s:
    """A multiplier row's pairs of fields, (n, 2 output channels)."""
    spacing = path.narrow_spacing
    codes = cut((act[:, 1] << spacing) + act[:, 0], path.act_bits)
    weights = cut((weight[:, 1] << 2 * spacing) + weight[:, 0], path.weight_bits)
    chains = _chains(path, codes, weights)
    borrow = chains >> (2 * spacing - 1) & 1
    pairs = _spread(path, chains), _spread(path, chains >> 2 * spacing) + borrow
    return np.stack([cut(pair.sum(axis=-1), path.sum_bits) for pair in pairs], axis=-1)


def _chains(path: DataPath, codes: Int64s, weights: Int64s) -> Int64s:
    """Sums of neighbouring products, (n, PI / CHAIN)."""
    products = cut(codes * weights, path.product_bits)
    return cut(products.reshape(len(products), -1, CHAIN).sum(axis=-1), path.chain_bits)


def _spread(path: DataPath, pairs: Int64s) -> Int64s:
    """A pair of narrow sums moved to fields: a plain copy of both parts keeps the value of the pair."""
    parts = [cut(pairs >> place, path.narrow_spacing) for place in (0, path.narrow_spacing)]
    low, high = (part & ((1 << path.field_bits) - 1) for part in parts)
    return cut((high << path.field_bits) + low, path.sum_bits)
