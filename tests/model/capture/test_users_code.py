"""Only what the output needs counts, and what fails is reported by the user's own line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import pytest
import torch
from exact_modules import Forward
from torch import Tensor, nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import logits
from bitlathe.model.graph.errors import BitlatheError, UnsupportedLayer

SHAPE = (1, 8, 8)


def network(function: Callable[[Forward, Tensor], Tensor]) -> Forward:
    torch.manual_seed(0)
    return Forward(function, conv=nn.Conv2d(1, 4, 3, 2, 1), dead=nn.Conv2d(1, 4, 3, dilation=2)).eval()


def refused(function: Callable[[Forward, Tensor], Tensor]) -> str:
    with pytest.raises(BitlatheError) as caught:
        capture(network(function), SHAPE)
    text = str(caught.value)
    assert "Traced" not in text
    return text


@pytest.mark.parametrize(
    "dead",
    [
        lambda m, x: torch.sigmoid(x).sum(),
        lambda m, x: m.dead(x),
        lambda m, x: torch.rand_like(x) + x,
        lambda m, x: x.flatten(0, 1).mean(0),
        lambda m, x: x.clone().sigmoid_(),
        lambda m, x: torch.fft.fft(x),
    ],
)
def test_what_the_output_does_not_need_is_left_out(dead: Callable[[Forward, Tensor], Tensor]) -> None:
    def forward(m: Forward, x: Tensor) -> Tensor:
        dead(m, x)
        return torch.relu(m.conv(x)).mean((2, 3))

    images = torch.rand(2, *SHAPE)
    model = network(forward)
    captured = capture(model, SHAPE)
    assert [node.name for node in captured.nodes if "dead" in node.name] == []
    with torch.no_grad():
        torch.testing.assert_close(logits(captured, images).reshape(2, 4), model(images))


def test_an_operation_in_place_on_what_the_output_needs_is_not_left_out() -> None:
    def part(m: Forward, x: Tensor) -> Tensor:
        x = m.conv(x)
        x[:, :2].sigmoid_()  # nothing reads its result, but x holds it
        return x.mean((2, 3))

    def whole(m: Forward, x: Tensor) -> Tensor:
        x = m.conv(x)
        x.relu_()
        return x.mean((2, 3))

    assert "aten.sigmoid" in refused(part) or "aten.slice_scatter" in refused(part)
    nodes = [type(node).__name__ for node in capture(network(whole), SHAPE).nodes]
    assert nodes == [type(node).__name__ for node in capture(network(relued), SHAPE).nodes]


def relued(m: Forward, x: Tensor) -> Tensor:
    return torch.relu(m.conv(x)).mean((2, 3))


def test_a_buffer_that_forward_changes_counts_only_where_the_output_reads_it() -> None:
    def counted(reads: bool) -> Forward:
        def forward(m: Forward, x: Tensor) -> Tensor:
            m.calls += 1
            y = torch.relu(m.conv(x)).mean((2, 3))
            return y * m.calls if reads else y

        model = network(forward)
        model.register_buffer("calls", torch.zeros(()))
        return model

    capture(counted(reads=False), SHAPE)
    with pytest.raises(UnsupportedLayer, match=r"^forward: forward changes the buffer calls that its output"):
        capture(counted(reads=True), SHAPE)


def test_a_choice_by_values_is_told_of_by_its_line_and_nothing_else_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def choosing(m: Forward, x: Tensor) -> Tensor:
        x = m.conv(x)
        if x.mean() > 0:
            x = x * 2
        return x.mean((2, 3))

    line = refused(choosing)
    number = choosing.__code__.co_firstlineno + 2
    assert line.startswith("forward: its forward chooses by the value of a tensor in ")
    assert line.endswith(
        f"test_users_code.py:{number}; let no control flow in forward depend on values of tensors"
    )
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("error", [KeyError("oh"), AttributeError("no layer2"), ZeroDivisionError()])
def test_a_forward_that_fails_is_told_of_by_its_line(error: Exception) -> None:
    def failing(m: Forward, x: Tensor) -> Tensor:
        raise error

    line = refused(failing)
    number = failing.__code__.co_firstlineno + 1
    assert line.startswith(f"forward: its forward fails ({type(error).__name__}")
    assert line.endswith(f"test_users_code.py:{number}); mend it")
    assert sys.exc_info() == (None, None, None)


def test_a_result_that_is_no_tensor_is_named() -> None:
    line = refused(lambda m, x: (m.conv(x), 3))  # type: ignore[arg-type, return-value]
    assert line.startswith("forward: its output output1 is")
