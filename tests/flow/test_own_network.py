"""Networks from a user's own file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bitlathe.flow.own_network import make_own

SIBLING = """
from torch import nn

def head(width): return nn.Linear(width, 10)
"""
NETWORK = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn

@dataclass
class Settings:
    width: int = 64

def make():
    from own_sibling import head
    return nn.Sequential(nn.Flatten(), head(Settings().width))
"""


@pytest.fixture
def network(tmp_path: Path) -> str:
    """A network whose file imports one beside it."""
    (tmp_path / "own_sibling.py").write_text(SIBLING)
    (tmp_path / "own.py").write_text(NETWORK)
    return f"{tmp_path / 'own.py'}:make"


def test_a_file_may_use_dataclasses_and_what_lies_beside_it(network: str) -> None:
    path = list(sys.path)
    assert make_own(network, seed=0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert sys.path == path


def test_random_weights_follow_from_the_seed_and_disturb_no_other(network: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, again, other = (make_own(network, seed=seed)[1].weight for seed in (4, 4, 5))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, again) and not torch.equal(first, other)
