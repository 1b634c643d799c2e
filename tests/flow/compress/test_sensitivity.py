"""`bitlathe sensitivity`: a table of every layer alone, on images of the training split."""

from __future__ import annotations

import pytest
from command_line import run


def test_every_layer_is_pruned_alone_at_every_share() -> None:
    words = ("--network", "lenet5", "--shares", "0.1,0.9", "--images", "300")
    found = run("sensitivity", *words, "--criterion", "sparsity", "--json").json
    assert found["channels"] == {"conv1": 6, "conv2": 16, "fc1": 120, "fc2": 84}
    assert found["shares"] == [0.1, 0.9]
    assert found["images"] == 300
    assert found["accuracy"] > 0.98
    for layer, (little, much) in found["accuracies"].items():
        assert little > 0.75, layer
        assert much < little, layer
    table = run("sensitivity", *words).stdout
    assert "conv2" in table
    assert "90% gone" in table


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--shares", "0.5,1.5"), "--shares 0.5,1.5: give shares between 0 and 1, such as 0.25,0.5"),
        (("--shares", "half"), "--shares half: give shares between 0 and 1"),
        (("--criterion", "luck"), "luck: no such criterion; choose one of std"),
        (("--scope", "some"), "--scope some: choose one of internal, all"),
    ],
)
def test_what_cannot_be_measured_is_told_of(words: tuple[str, ...], told: str) -> None:
    result = run("sensitivity", "--network", "lenet5", *words)
    assert result.status == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
