"""Batch norms folded into the convolutions before them: a copy of a network that only evaluates."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(model: nn.Module) -> fx.GraphModule:
    """A copy of a network in evaluation mode, its batch norms part of the convolutions that alone feed them.

    Outputs are the network's but for the rounding of floats. The network must be one that torch.fx can trace.
    """
    traced = fx.symbolic_trace(copy.deepcopy(model))
    layers = dict(traced.named_modules())
    for node in traced.graph.nodes:
        norm, source = layers.get(str(node.target)), next(iter(node.all_input_nodes), None)
        if source is None or not isinstance(norm, nn.BatchNorm2d) or len(source.users) > 1:
            continue
        conv = layers.get(str(source.target))
        if isinstance(conv, nn.Conv2d):
            traced.set_submodule(str(source.target), fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(source)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced
