"""What becomes of each ONNX operator: read, left to the host, or refused with a way out; a table for docs."""

from __future__ import annotations

from bitlathe.model.onnx.quantized import QUANTIZERS

HOST = (  # at the end; they keep the largest logit the largest
    *("Softmax", "LogSoftmax", "Log", "Sigmoid", "ArgMax", "TopK", "Hardmax", "ai.onnx.ml.ZipMap"),
)
SAME_ORDER = (  # that may be between those and behind them
    *("Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"),
)
REPLACE = "replace it and export again, or give the network as FILE.py:FUNCTION"
_OWN_STATISTICS = "use BatchNormalization: its statistics are constants"
_STATE = "use convolutions over the whole sequence: a layer here sees one image, and keeps nothing of others"
_CONTROL = "export without control flow, for images of one shape"
REFUSED = {  # by what to do in place of each
    **dict.fromkeys(
        (
            *("LayerNormalization", "GroupNormalization", "InstanceNormalization"),
            *("RMSNormalization", "MeanVarianceNormalization", "LpNormalization", "LRN"),
        ),
        _OWN_STATISTICS,
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _STATE),
    **dict.fromkeys(("Attention", "Einsum"), "use convolutions and dense layers of constant weights"),
    **dict.fromkeys(("If", "Loop", "Scan"), _CONTROL),
    **dict.fromkeys(("NonZero", "Unique", "Compress"), "export without sizes that depend on the image"),
    "NonMaxSuppression": "export the network up to its boxes and scores; board/boxes.py chooses boxes",
}

_BECOMES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Conv",),
        "any groups, dilations and strides, of one axis or two; padding that is uneven is a layer before it",
    ),
    (
        ("ConvTranspose",),
        "the same; `output_padding`, `output_shape`, `auto_pad`; what is left over is cropped",
    ),
    (("Gemm", "MatMul"), "a vector by constant weights; reordered behind a map flattened with channels last"),
    (("BatchNormalization",), "by channel; folded into the weights"),
    (
        ("Add", "Sub", "Mul", "Div"),
        "by a constant: per channel, folded into the weights; of two maps, of which one may be (N, C, 1, 1)",
    ),
    (("Sum", "Max", "Min"), "of any number of maps; `Max` and `Min` with numbers are bounds"),
    (("Relu", "Clip"), "bounds"),
    (
        (
            *("LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Celu", "Selu", "Sigmoid", "HardSigmoid"),
            *("Tanh", "HardSwish", "Swish", "Gelu", "Mish", "Softplus", "Softsign", "Shrink"),
        ),
        "PyTorch's layer; a slope of `PRelu` for each channel is one",
    ),
    (
        (
            *(
                "Pow",
                "Abs",
                "Neg",
                "Exp",
                "Log",
                "Sqrt",
                "Reciprocal",
                "Erf",
                "Sign",
                "Floor",
                "Ceil",
                "Round",
            ),
            *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        ),
        "a function of one value; what composes SiLU, Hardswish, Hardsigmoid, GELU, Mish, Softsign is that",
    ),
    (("MaxPool",), "padding, dilations and `ceil_mode`, of one axis or two"),
    (("AveragePool",), "padding counted or not, `ceil_mode`; not dilated"),
    (
        ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"),
        "over height and width; `ReduceMean` also over channels",
    ),
    (
        ("Resize", "Upsample"),
        "by whole factors, nearest or linear (`half_pixel`, `align_corners`); nearest that leaves pixels out",
    ),
    (("DepthToSpace", "SpaceToDepth"), "pixel shuffle and unshuffle; `DCR` orders the channels"),
    (
        ("Concat", "Split", "Slice", "Gather"),
        "along channels, in any order; rows and columns at even distances; places are constants",
    ),
    (("Pad",), "zeros, which the layer behind takes over where it can, or crops; not by `reflect` or `edge`"),
    (
        ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        "flattening, a vector as a map of one pixel and back, channels last and back, shuffled channels",
    ),
    (("Identity", "Dropout", "Cast"), "nothing"),
    (("Shape",), "a constant, and so is whatever is computed from it (`ConstantOfShape`, `Range`, ...)"),
    (tuple(QUANTIZERS), "[quantized files](#quantized-files)"),
)


def described() -> set[str]:
    """Operators that the table tells of."""
    return {name for names, _ in _BECOMES for name in names} | set(HOST) | set(REFUSED)


def operators_table() -> str:
    """What becomes of each operator, as a Markdown table."""
    rows = [(names, text) for names, text in _BECOMES]
    rows.append((HOST, "at the end: left to the host, with a note; the largest logit stays the largest"))
    by_mend: dict[str, list[str]] = {}
    for name, mend in REFUSED.items():
        by_mend.setdefault(mend, []).append(name)
    rows += [(tuple(names), f"refused: {mend}") for mend, names in by_mend.items()]
    lines = [f"| {', '.join(f'`{name}`' for name in names)} | {text} |" for names, text in rows]
    return "\n".join(("| in the file | here |", "| --- | --- |", *lines))
