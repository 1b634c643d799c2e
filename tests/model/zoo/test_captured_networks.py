"""Networks of the zoo are captured whole: the float network computes what the module computes."""

from __future__ import annotations

import pytest
from captured_modules import captured_alike, kinds

from bitlathe.model.zoo import build, network_spec

SIZES = {  # pixels a side, small ones: all layers are there, and work on maps of a few pixels
    "mobilenetv2": 16,
    "mobilenetv3-small": 16,
    "efficientnet-lite0": 16,
    "shufflenetv2": 16,
    "squeezenet": 24,
    "densenet-bc": 8,
    "resnext29": 8,
    "yolov3-tiny": 64,
    "unet": 16,
}


@pytest.mark.parametrize("name", SIZES)
def test_a_network_of_the_zoo_is_captured_as_it_computes(name: str) -> None:
    network = captured_alike(
        build(name, input_size=SIZES[name]), (network_spec(name).in_channels, SIZES[name], SIZES[name])
    )
    made = kinds(network)
    assert made.count("Conv2d") > 10
    assert made.count("Lookup") == {"mobilenetv3-small": 28, "yolov3-tiny": 11}.get(name, 0)
    assert made.count("Product") == 9 * (name == "mobilenetv3-small")
    assert made.count("ConvTranspose2d") == 3 * (name == "unet")
