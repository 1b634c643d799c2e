"""Channels as numbers: which of them leave together, and which must stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Channels = npt.NDArray[np.int64]  # numbers of channels, one for each index of a tensor's dimension


class ChannelTies:
    """Channels of one forward pass; those tied to one another leave together, or stay together."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}  # of the channels that stay, by the channel that stands for all

    def new(self, count: int, stays: str | None = None) -> Channels:
        """Channels that nothing is tied to yet; `stays` says why they cannot leave, if so."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        made = np.arange(first, first + count)
        if stays is not None:
            self.keep(made, stays)
        return made

    def tie(self, one: Channels, other: Channels) -> None:
        """Let each channel leave only with its fellow."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = sorted((self._standing_for(a), self._standing_for(b)))
            if first != second:
                self._parents[second] = first
                if second in self._reasons:
                    self._reasons.setdefault(first, self._reasons.pop(second))

    def keep(self, channels: Channels, reason: str) -> None:
        """Let channels and all that is tied to them stay."""
        for channel in np.unique(channels).tolist():
            self._reasons.setdefault(self._standing_for(channel), reason)

    def standing_for(self, channels: Channels) -> list[int]:
        """Of each channel the one that stands for all that are tied to it."""
        return [self._standing_for(channel) for channel in channels.tolist()]

    def reason(self, channel: int) -> str | None:
        """Why a channel stays, None where it may leave."""
        return self._reasons.get(self._standing_for(channel))

    def _standing_for(self, channel: int) -> int:
        parents = self._parents
        while parents[channel] != channel:
            parents[channel] = parents[parents[channel]]
            channel = parents[channel]
        return channel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Along:
    """Where a tensor's channels are: index k of dimension `dim` belongs to `channels[k]`.

    A channel has several indices where a map was flattened.
    """

    dim: int
    channels: Channels  # as many as the tensor is long in that dimension

    @property
    def is_one(self) -> bool:
        """Whether the whole tensor belongs to one channel."""
        return len(set(self.channels.tolist())) == 1

    def at(self, dim: int, size: int) -> Along | None:
        """The same along another dimension of that size, None where the channels differ."""
        if self.dim == dim:
            return self
        return Along(dim=dim, channels=np.repeat(self.channels[:1], size)) if self.is_one else None
