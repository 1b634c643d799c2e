"""What to do about an operator that has no exact integer form here."""

from __future__ import annotations

_USE_RELU = "use ReLU or ReLU6"
_USE_WEIGHTS = "use Linear or Conv2d: one factor of a product must be weights"
ADVICE = {
    "softmax": "take it off: the largest logit stays the largest",
    "hardsigmoid": _USE_RELU,
    "sigmoid": "at the end take it off: larger outputs stay larger; elsewhere use ReLU or ReLU6",
    "silu": _USE_RELU,
    "gelu": _USE_RELU,
    "hardswish": _USE_RELU,
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
    "adaptive_max_pool": "use MaxPool2d, whose kernel for an output of 1x1 is the whole map",
    "split": "take channels by slices, x[:, :n] and x[:, n:]",
    "chunk": "take channels by slices, x[:, :n] and x[:, n:]",
    "permute": "keep the order (N, C, H, W); to flatten another, reorder the next layer's weights once",
    "transpose": "keep the order (N, C, H, W); to flatten another, reorder the next layer's weights once",
    "pixel_shuffle": "at the end leave it to the host; elsewhere do without it",
    "matmul": _USE_WEIGHTS,
    "bmm": _USE_WEIGHTS,
    "einsum": _USE_WEIGHTS,
    "attention": _USE_WEIGHTS,
    "stack": "join maps with torch.cat along channels",
    "argmax": "leave it to the host: give the logits",
    "conv3d": "use Conv2d, with the frames as channels",
    "dropout": "build it so that eval() turns it off (nn.Dropout, or training=self.training)",
}
SUPPORTED = (
    "use conv2d, linear, batch_norm, relu, relu6, max_pool2d, avg_pool2d, adaptive_avg_pool2d, "
    "mean over height and width, add, cat, flatten, strided slices or channel padding"
)


def advice(operator: str) -> str:
    """What to do about an operator without a handler."""
    return next((mend for word, mend in ADVICE.items() if word in operator), SUPPORTED)
