"""Copy the image into a format of its own where it meets features.

The host fixes the image's format. A concatenation has one format, and a residual cannot be finer than the
accumulator it is added to: there the image would impose its format on calibrated tensors and clip them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bitlathe.model.capture.float_network import (
    FloatConcat,
    FloatConv2d,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatUpsample2d,
)
from bitlathe.model.capture.folding import identity
from bitlathe.model.capture.names import unused


def with_image_copies(network: FloatNetwork) -> FloatNetwork:
    """The network with copies of the image where it is joined with, or added to, other tensors.

    A maximum, selection or concatenation of the image alone holds the image's codes and is copied too; a
    selection that nothing else reads becomes the copy itself.
    """
    nodes: dict[str, FloatNode] = {}
    bound: set[str] = {network.input.name}  # tensors that have the image's format
    for node in network.nodes:
        if node.sources and _keeps_codes(node) and bound.issuperset(node.sources):
            bound.add(node.name)
        copies = {} if node.name in bound else dict(_copies(network, node, bound, nodes))
        nodes.update({copy.name: copy for copy in copies.values()})
        nodes[node.name] = _reading(node, {name: copy.name for name, copy in copies.items()})
    return replace(network, nodes=tuple(nodes.values()))


_COPYING = (FloatConcat, FloatMaxPool2d, FloatPixelShuffle2d, FloatPixelUnshuffle2d, FloatUpsample2d)


def _keeps_codes(node: FloatNode) -> bool:
    return isinstance(node, _COPYING) or (isinstance(node, FloatConv2d) and node.is_selection)


def _copies(
    network: FloatNetwork, node: FloatNode, bound: set[str], nodes: dict[str, FloatNode]
) -> Iterator[tuple[str, FloatConv2d]]:
    """What `node` is to read instead of tensors that have the image's format."""
    for name in _imposing(node, bound):
        made = nodes[name]
        if isinstance(made, FloatConv2d) and network.reads[name] == 1:
            yield name, replace(made, own_format=True)
        else:
            copy = identity(unused(f"{name}_copy", {*network.by_name, *nodes}), name, made.shape)
            yield name, replace(copy, own_format=True)


def _imposing(node: FloatNode, bound: set[str]) -> tuple[str, ...]:
    """Sources whose format a node would have to take over."""
    if isinstance(node, FloatConcat):
        return tuple(name for name in dict.fromkeys(node.operands) if name in bound)
    if isinstance(node, FloatConv2d) and node.residual in bound and node.source not in bound:
        return (node.residual,)  # after the image itself the accumulator is finer
    return ()


def _reading(node: FloatNode, copies: dict[str, str]) -> FloatNode:
    if isinstance(node, FloatConcat):
        return replace(node, operands=tuple(copies.get(name, name) for name in node.operands))
    if isinstance(node, FloatConv2d) and node.residual in copies:
        return replace(node, residual=copies[node.residual])
    return node
