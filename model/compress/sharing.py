"""Views of a state whose weights share codewords."""

from __future__ import annotations

from dataclasses import replace

from bitlathe.model.compress.state import Sharing
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.live import assignments, network_of, share_again, share_view
from bitlathe.model.quantize.quantizer import QuantizedNetwork
from bitlathe.model.quantize.view import QuantizedView


def tied(view: QuantizedView, sharing: Sharing) -> QuantizedView:
    """The view with its weights tied, by the assignments so far, else by clustering."""
    if sharing.assignments is not None:
        return share_again(view, sharing.assignments)
    config = ProductConfig(
        convolution=LayerCodes(length=sharing.length, codewords=sharing.codewords),
        dense=LayerCodes(length=sharing.dense_length, codewords=sharing.codewords),
    )
    return share_view(view, config)


def shared(view: QuantizedView, sharing: Sharing) -> Sharing:
    """The sharing as a trained view left it."""
    return replace(sharing, assignments=assignments(view))


def integer_network(view: QuantizedView) -> QuantizedNetwork:
    """What a view deploys, with the codebooks of tied weights."""
    return network_of(view)
