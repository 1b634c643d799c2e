"""Settings of quantization from what the user wrote."""

from __future__ import annotations

from bitlathe.flow.errors import UsageError, member_of
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig


def quantize_config(request: NetworkRequest) -> QuantizeConfig:
    """Typed settings; UsageError or FormatError for those out of range."""
    return QuantizeConfig(
        weight_bits=request.weight_bits,
        activation_bits=request.activation_bits,
        per_channel=request.per_channel,
        calibration_images=request.calibration_images,
        rounding=member_of(RoundingMode, "rounding", request.rounding),
        search_formats=request.search_formats,
        layers=dict(map(layer_bits, request.layers)),
    )


def layer_word(name: str, bits: LayerBits) -> str:
    """The text that `layer_bits` reads.

    >>> layer_word(*layer_bits("fc=6,8"))
    'fc=6,8'
    """
    widths = [bits.weight_bits, *([] if bits.activation_bits is None else [bits.activation_bits])]
    return f"{name}={','.join(map(str, widths))}"


def layer_bits(word: str) -> tuple[str, LayerBits]:
    """A layer and its settings from NAME=WEIGHT_BITS or NAME=WEIGHT_BITS,ACTIVATION_BITS.

    >>> layer_bits("fc=6,8")[1].activation_bits
    8
    """
    name, _, bits = word.partition("=")
    numbers = bits.split(",")
    if not name or len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise UsageError(f"`layers={word}`: write NAME=WEIGHT_BITS or NAME=WEIGHT_BITS,ACTIVATION_BITS")
    activation_bits = int(numbers[1]) if len(numbers) == 2 else None
    return name, LayerBits(weight_bits=int(numbers[0]), activation_bits=activation_bits)
