"""Bundles of ResNets of random weights for simulated boards.

Run as a program it makes them all: an environment that has pynq and no compiler then finds them in the folder
that BITLATHE_TEST_BUNDLES names.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np

VARIABLE = "BITLATHE_TEST_BUNDLES"
BOARDS = ("pynq-z2", "zcu104")  # the reference boards; test_every_board.py has the others
BLOCKS = {"resnet8": 1, "resnet20": 3}
IMAGES = 3


@cache
def bundle_folder(board: str, network: str = "resnet8") -> Path:
    """Folder of the bundle of a random network on a simulated board."""
    given = os.environ.get(VARIABLE)
    if given:
        (found,) = Path(given).glob(f"{network}-{board}-*")
        return found
    return _make(board, network, _cache())


def _make(board: str, network: str, parent: Path) -> Path:
    # not at the top: an environment with pynq alone has none of it
    from bitlathe.flow.boards.bundle import Vectors, make_bundle, simulated_overlay
    from bitlathe.hls.target.config import find_target
    from bitlathe.model.graph.random_inputs import random_inputs
    from bitlathe.rtl_tb.random_networks.resnet import random_resnet

    rng = np.random.default_rng(8)
    graph = random_resnet(rng, blocks=BLOCKS[network])
    images = (random_inputs(rng, graph, IMAGES) + 128).astype(np.uint8).transpose(0, 2, 3, 1)
    column = np.arange(-128, 128).astype(np.int8)
    vectors = Vectors(images=images, labels=np.arange(IMAGES), table=np.repeat(column[:, None], 3, axis=1))
    overlay = simulated_overlay(find_target(board))
    return make_bundle(graph, find_target(board), overlay, vectors, parent, name=network).folder


def _cache() -> Path:
    from bitlathe.model.native.cache import cache_folder

    return cache_folder() / "test-bundles"


if __name__ == "__main__":
    for network in BLOCKS:
        for board in BOARDS:
            print(_make(board, network, Path(sys.argv[1])))
