"""Real networks, trained weights, real images: hls4ml's C simulation equals the reference."""

from __future__ import annotations

from pathlib import Path

import needs
import numpy as np
import pytest

needs.package("hls4ml")

from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.hls4ml import Backend, Options, csimulate
from bitlathe.hls.target.config import find_target
from bitlathe.model.graph.normalization import IMAGENET

PYNQ = find_target("pynq-z2")


def _differences(network: IntegerNetwork, folder: Path, images: int, options: Options | None = None) -> int:
    pixels, _ = network.test_images(images)
    outputs = csimulate(network.graph, PYNQ, folder, network.preprocess.codes(pixels), options)
    return int((outputs != network.reference(pixels)).sum())


@pytest.fixture
def resnet20(data_root: Path) -> IntegerNetwork:
    weights = needs.data(data_root.parent / "weights" / "resnet20_cifar10.pt", "no trained ResNet-20")
    trained_on = IMAGENET
    return obtain(
        NetworkRequest(network="resnet20", weights=weights, normalization=trained_on, data=data_root)
    )


def test_lenet5_equals_the_reference_on_digits(tmp_path: Path) -> None:
    assert _differences(obtain(NetworkRequest(network="lenet5")), tmp_path, 10) == 0


@pytest.mark.slow
def test_lenet5_equals_the_reference_on_100_digits(tmp_path: Path) -> None:
    assert _differences(obtain(NetworkRequest(network="lenet5")), tmp_path, 100) == 0


@pytest.mark.slow
def test_lenet5_equals_the_reference_through_the_accelerators_float_streams(tmp_path: Path) -> None:
    options = Options(backend=Backend.VIVADO_ACCELERATOR)
    assert _differences(obtain(NetworkRequest(network="lenet5")), tmp_path, 100, options) == 0


@pytest.mark.slow
@pytest.mark.parametrize("backend", Backend)
def test_resnet8_equals_the_reference_on_100_images(
    tmp_path: Path, data_root: Path, backend: Backend
) -> None:
    network = obtain(NetworkRequest(network="resnet8", data=data_root))
    assert _differences(network, tmp_path, 100, Options(backend=backend)) == 0


@pytest.mark.slow
def test_resnet20_equals_the_reference_on_100_images(tmp_path: Path, resnet20: IntegerNetwork) -> None:
    assert np.unique(resnet20.test_images(100)[1]).size == 10
    assert _differences(resnet20, tmp_path, 100) == 0
