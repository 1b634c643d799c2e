"""Targets of HLS engines unlike the boards': other widths, other counts of pixels and banks."""

from dataclasses import replace

from bitlathe.hls.target.config import TARGETS, Target, configuration, reference_targets


def _odd(sizes: str) -> Target:
    """The target of an engine of these sizes; its name is that of the array."""
    return replace(TARGETS["pynq-z2"], name=sizes.partition("-")[0], engine=configuration(sizes))


def _named(*sizes: str) -> dict[str, Target]:
    return {target.name: target for target in map(_odd, sizes)}


# Several output tiles a pixel, one pixel a cycle, an odd count of pixels, other banks.
ENGINES = {
    **reference_targets(),
    **_named("8x16x3-7x1024-512", "8x8x1-8x1024-512", "8x16x1-3x1024-1024", "8x32x4-11x1024-1024"),
}
# 16 input channels a cycle, where a cycle's sums are the largest.
FEW_BANKS = _named("8x8x5-5x1024-1024")  # as few as pixels
WIDE = _named("16x16x2-3x256-64", "16x32x3-5x1024-1024", "16x16x1-5x1024-1024")
