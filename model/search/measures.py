"""What is known of a candidate: the numbers that a rule weighs."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """A network in the precision it would be deployed in."""

    accuracy: float  # on the images that judge, 0..1
    cycles: int  # an image, on the highest rung of the ladder
    latency_ms: float
    macs: int  # multiply-accumulates an image
    size_bytes: int  # of the compact file it is handed over in
    channels: int  # output channels of all layers that compute

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)
