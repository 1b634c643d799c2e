"""What the host can do behind an output is left to it, and a module's outputs stay what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captured_modules import captured_alike, kinds, returned
from exact_modules import Forward, pixel_inputs
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture

SHAPE = (3, 6, 8)

LAST: dict[str, tuple[Callable[[Tensor], Tensor], tuple[str, ...]]] = {
    "softmax": (lambda x: F.softmax(x, 1), ("softmax",)),
    "softmax over the last axis": (lambda x: torch.softmax(x.mean((2, 3)), -1), ("softmax",)),
    "log softmax": (lambda x: F.log_softmax(x, dim=1), ("log_softmax",)),
    "log of a softmax": (lambda x: torch.log(F.softmax(x, 1)), ("softmax", "log")),
    "sigmoid": (torch.sigmoid, ("sigmoid",)),
    "log sigmoid": (F.logsigmoid, ("log_sigmoid",)),
    "argmax": (lambda x: x.argmax(1), ("argmax",)),
    "nothing": (torch.tanh, ()),
}


@pytest.mark.parametrize("case", LAST)
def test_a_last_function_is_left_to_the_host(case: str) -> None:
    function, host = LAST[case]
    module = Forward(lambda m, x: function(m.a(x)), a=nn.Conv2d(3, 5, 3))
    network = captured_alike(module, SHAPE)
    assert network.host == host
    assert ("Lookup" in kinds(network)) == (not host)


def test_a_sigmoid_that_is_read_and_an_output_is_both() -> None:
    module = Forward(
        lambda m, x: (y := torch.sigmoid(m.a(x)), m.b(y)), a=nn.Conv2d(3, 5, 3), b=nn.Conv2d(5, 2, 1)
    )
    network = captured_alike(module, SHAPE)
    assert network.host == ("sigmoid",) and kinds(network) == ["Conv2d", "Lookup", "Conv2d"]
    assert [output.tensor for output in network.outputs] == ["a", "b"]


def test_an_order_that_no_node_makes_is_left_to_the_host() -> None:
    def heads(m: Forward, x: Tensor) -> dict[str, Tensor]:
        n, _, h, w = x.shape
        return {
            "boxes": m.a(x).view(n, 2, 5, h, w).permute(0, 1, 3, 4, 2).contiguous(),
            "classes": m.b(x).permute(0, 2, 3, 1).reshape(n, -1, 4),
        }

    module = Forward(heads, a=nn.Conv2d(3, 10, 1), b=nn.Conv2d(3, 4, 1)).eval()  # type: ignore[arg-type]
    network, x = capture(module, SHAPE), pixel_inputs(2, SHAPE)
    assert kinds(network) == ["Conv2d", "Conv2d"] and network.host == ("permute", "reshape")
    with torch.no_grad():
        wanted, made = module(x), returned(network, x)
    for name in wanted:
        assert made[name].shape == wanted[name].shape
        assert torch.allclose(made[name], wanted[name], rtol=0, atol=1e-6)


def test_a_function_of_zeros_in_an_order_that_no_node_makes_is_computed_before_it() -> None:
    module = Forward(
        lambda m, x: F.relu(F.pad(m.a(x), (1, 1, 1, 1)).transpose(2, 3)), a=nn.Conv2d(3, 5, 3)
    ).eval()
    network, x = capture(module, SHAPE), pixel_inputs(2, SHAPE)
    assert network.host == ("transpose",)
    with torch.no_grad():
        assert torch.allclose(returned(network, x), module(x), rtol=0, atol=1e-6)
