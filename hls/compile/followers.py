"""Pools that take each strip of a map as soon as it is made, so that it need not come back from DDR."""

from dataclasses import dataclass

from bitlathe.hls.compile.memory import Span
from bitlathe.hls.compile.network import LayerKind, Network, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A stage whose windows share no row of what the stage before it makes."""

    maker: Stage
    stage: Stage

    @property
    def stride(self) -> int:
        """Rows of the source for each of its own."""
        return self.stage.layers[0].stride[0]

    def rows_made(self, rows: Span) -> Span:
        """Rows of its source that are made for some of its own; the last ones bring what nobody reads."""
        height, is_last = self.maker.output.height, rows[1] == self.stage.output.height
        return rows[0] * self.stride, height if is_last else rows[1] * self.stride

    def most_rows(self, rows: int) -> int:
        """Most rows that are made for a strip of some of its own."""
        height = self.stage.output.height
        strips = ((row, min(row + rows, height)) for row in range(0, height, rows))
        return max(end - first for first, end in map(self.rows_made, strips))


def follower_of(network: Network, index: int) -> Follower | None:
    """The stage after one, if it can take what that one makes strip by strip."""
    if index + 1 >= len(network.stages):
        return None
    maker, stage = network.stages[index : index + 2]
    if stage.source != maker.output or stage.residual is not None or len(stage.layers) > 1:
        return None
    layer = stage.layers[0]
    reach = (layer.kernel[0] - 1) * layer.window.tap_steps[0] + 1
    is_pool = layer.kind is LayerKind.MAX or (layer.kind is LayerKind.DEPTHWISE and layer.repeats_weights)
    if is_pool and layer.window.padding[0] == 0 and reach <= layer.stride[0]:
        return Follower(maker=maker, stage=stage)
    return None
