"""What to do about an operator that has no exact integer form here."""

from __future__ import annotations

_USE_WEIGHTS = "use Linear or Conv2d: one factor of a matrix product must be weights"
_USE_BATCH_NORM = "use BatchNorm2d, which folds into a convolution"
_UNROLLED = "use convolutions: a state that goes from step to step has no place here"
ADVICE = {
    "log_softmax": "at the end of the network the host takes it over; elsewhere do without it",
    "softmax": "at the end of the network the host takes it over; elsewhere use a sigmoid",
    "batch_norm": "keep running statistics (track_running_stats=True)",
    "group_norm": _USE_BATCH_NORM,
    "layer_norm": _USE_BATCH_NORM,
    "instance_norm": _USE_BATCH_NORM,
    "rms_norm": _USE_BATCH_NORM,
    "local_response_norm": _USE_BATCH_NORM,
    "norm": _USE_BATCH_NORM,
    "lstm": _UNROLLED,
    "gru": _UNROLLED,
    "rnn": _UNROLLED,
    "upsample": "interpolate by mode='nearest' or 'bilinear', or leave it to the host",
    "grid_sampler": "interpolate by mode='nearest' or 'bilinear', or leave it to the host",
    "_to_copy": "keep one floating-point type throughout",
    "matmul": _USE_WEIGHTS,
    "bmm": _USE_WEIGHTS,
    "einsum": _USE_WEIGHTS,
    "attention": _USE_WEIGHTS,
    "argmax": "at the end of the network the host takes it over; give the logits",
    "topk": "leave it to the host: give the logits",
    "sort": "leave it to the host: give the logits",
    "embedding": "leave it to the host: give the network what it looks up",
    "conv3d": "use Conv2d, with the frames as channels",
    "conv_transpose3d": "use ConvTranspose2d, with the frames as channels",
    "dropout": "build it so that eval() turns it off (nn.Dropout, or training=self.training)",
    "slice_scatter": "join parts with torch.cat in place of writing into a tensor",
    "index_put": "join parts with torch.cat in place of writing into a tensor",
    "cumsum": "use a convolution, or leave it to the host",
    "prod": "multiply two tensors at a time",
    "var": _USE_BATCH_NORM,
    "std": _USE_BATCH_NORM,
}
SUPPORTED = "docs/operators.md lists what has one"


def advice(operator: str) -> str:
    """What to do about an operator without a handler."""
    return next((mend for word, mend in ADVICE.items() if word in operator), SUPPORTED)
