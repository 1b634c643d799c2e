"""Well-known networks as PyTorch modules, by name."""

from bitlathe.model.zoo.adapted import adapted
from bitlathe.model.zoo.cost import macs
from bitlathe.model.zoo.layers import Normalize, PadShortcut
from bitlathe.model.zoo.lenet import LeNet5
from bitlathe.model.zoo.registry import NETWORKS, InputSize, NetworkSpec, build, checkpoint_path, network_spec
from bitlathe.model.zoo.resnet import BasicBlock, CifarResNet

__all__ = [
    "NETWORKS",
    "BasicBlock",
    "CifarResNet",
    "InputSize",
    "LeNet5",
    "NetworkSpec",
    "Normalize",
    "PadShortcut",
    "adapted",
    "build",
    "checkpoint_path",
    "macs",
    "network_spec",
]
