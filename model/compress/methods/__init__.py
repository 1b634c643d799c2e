"""The methods: for each, the parameters that a user writes and the class that carries them out."""

from bitlathe.model.compress.methods.channels import PruneChannels, PruneOnce, PruneParameters, joint_reach
from bitlathe.model.compress.methods.product import ProductParameters, ShareWeights
from bitlathe.model.compress.methods.quantize import (
    BitPair,
    Quantize,
    QuantizeParameters,
    Train,
    check_bits,
    penalty_of,
)
from bitlathe.model.compress.methods.weights import PruneWeights

MethodParameters = PruneParameters | PruneWeights | QuantizeParameters | ProductParameters | Train
PARAMETERS: dict[str, type[MethodParameters]] = {  # by the letters that a search's file and its report use
    "P": PruneParameters,
    "Q": QuantizeParameters,
    "W": PruneWeights,
    "PQ": ProductParameters,
    "T": Train,
}

__all__ = [
    "PARAMETERS",
    "BitPair",
    "MethodParameters",
    "ProductParameters",
    "PruneChannels",
    "PruneOnce",
    "PruneParameters",
    "PruneWeights",
    "Quantize",
    "QuantizeParameters",
    "ShareWeights",
    "Train",
    "check_bits",
    "joint_reach",
    "penalty_of",
]
