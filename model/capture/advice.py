"""What to do about an operator that has no exact integer form here."""

from __future__ import annotations

_USE_RELU = "use ReLU or ReLU6"
ADVICE = {
    "softmax": "take it off: the largest logit stays the largest",
    "sigmoid": _USE_RELU,
    "silu": _USE_RELU,
    "gelu": _USE_RELU,
    "hardswish": _USE_RELU,
    "hardsigmoid": _USE_RELU,
    "leaky_relu": _USE_RELU,
    "elu": _USE_RELU,
    "tanh": _USE_RELU,
    "prelu": _USE_RELU,
    "batch_norm": "keep running statistics (track_running_stats=True)",
    "group_norm": "use BatchNorm2d, which folds into a convolution",
    "layer_norm": "use BatchNorm2d, which folds into a convolution",
    "instance_norm": "use BatchNorm2d, which folds into a convolution",
    "conv_transpose": "upsampling has no integer form here; move it to the host",
    "upsample": "upsampling has no integer form here; move it to the host",
    "_to_copy": "keep one floating-point type throughout",
    "conv1d": "use Conv2d with a kernel of (1, k)",
    "dropout": "build it so that eval() turns it off (nn.Dropout, or training=self.training)",
}
SUPPORTED = (
    "use conv2d, linear, batch_norm, relu, relu6, max_pool2d, avg_pool2d, adaptive_avg_pool2d, "
    "mean over height and width, add, cat, flatten, strided slices or channel padding"
)


def advice(operator: str) -> str:
    """What to do about an operator without a handler."""
    return next((mend for word, mend in ADVICE.items() if word in operator), SUPPORTED)
