"""Views of a state with weights that share codewords."""

from __future__ import annotations

from dataclasses import replace

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.state import Sharing
from bitlathe.model.product.live import assignments, network_of, share
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.quantizer import QuantizedNetwork


def tied(view: QuantizedView, sharing: Sharing, data: MethodData) -> QuantizedView:
    """The view with its weights tied, by the present assignments or else by clustering."""
    return share(view, sharing.config, data.train_images, sharing.assignments)


def shared(view: QuantizedView, sharing: Sharing) -> Sharing:
    """The sharing as a trained view left it."""
    return replace(sharing, assignments=assignments(view))


def integer_network(view: QuantizedView) -> QuantizedNetwork:
    """What a view deploys, with the codebooks of tied weights."""
    return network_of(view)
