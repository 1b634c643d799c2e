"""What becomes of each operator: the table of handlers, and of what is left to the host."""

from __future__ import annotations

from math import inf

from bitlathe.model.capture import (
    arithmetic,
    interpolation,
    joins,
    operators,
    pointwise,
    pools,
    rearranging,
    reductions,
)
from bitlathe.model.capture.calls import Call, CallReader, Made


def relu(call: Call) -> Made:
    """relu: a bound."""
    return pointwise.clamped_to(call, 0.0, inf)


def relu6(call: Call) -> Made:
    """relu6: two bounds."""
    return pointwise.clamped_to(call, 0.0, 6.0)


BATCH_NORM, CONCATENATE = "aten.batch_norm.default", "aten.cat.default"

EXACT: dict[str, CallReader] = {
    "aten.conv2d.default": operators.convolution,
    "aten.conv2d.padding": operators.convolution,
    "aten.conv1d.default": operators.convolution,
    "aten.conv1d.padding": operators.convolution,
    "aten.conv_transpose2d.input": operators.transposed_convolution,
    "aten.conv_transpose1d.default": operators.transposed_convolution,
    "aten.linear.default": operators.linear,
    "aten.mm.default": operators.product_with_weights,
    "aten.matmul.default": operators.product_with_weights,
    "aten.addmm.default": operators.product_with_weights,
    BATCH_NORM: operators.batch_norm,
    "aten._native_batch_norm_legit_no_training.default": operators.batch_norm,
    "aten.relu.default": relu,
    "aten.relu6.default": relu6,
    "aten.hardtanh.default": pointwise.clamp,
    "aten.clamp.default": pointwise.clamp,
    "aten.clamp_min.default": pointwise.clamp,
    "aten.clamp_max.default": pointwise.clamp,
    "aten.fake_quantize_per_tensor_affine.default": pointwise.fake_quantize,
    "aten.fake_quantize_per_tensor_affine.tensor_qparams": pointwise.fake_quantize,
    "aten.max_pool2d.default": pools.max_pool,
    "aten.max_pool1d.default": pools.max_pool,
    "aten.max_pool2d_with_indices.default": pools.max_pool,
    "aten.avg_pool2d.default": pools.average_pool,
    "aten.avg_pool1d.default": pools.average_pool,
    "aten.adaptive_avg_pool2d.default": pools.adaptive_average_pool,
    "aten._adaptive_avg_pool2d.default": pools.adaptive_average_pool,
    "aten.adaptive_avg_pool1d.default": pools.adaptive_average_pool,
    "aten.adaptive_max_pool2d.default": pools.adaptive_max_pool,
    "aten.adaptive_max_pool1d.default": pools.adaptive_max_pool,
    "aten.mean.dim": reductions.mean,
    "aten.sum.dim_IntList": reductions.total,
    "aten.amax.default": reductions.maximum,
    "aten.max.dim": reductions.maximum,
    "aten.upsample_bilinear2d.vec": interpolation.bilinear,
    "aten.upsample_bilinear2d.default": interpolation.bilinear,
    "aten.upsample_nearest2d.vec": interpolation.nearest,
    "aten.upsample_nearest2d.default": interpolation.nearest,
    "aten.upsample_nearest1d.vec": interpolation.nearest,
    "aten.upsample_nearest1d.default": interpolation.nearest,
    "aten._upsample_nearest_exact2d.vec": interpolation.nearest,
    "aten._upsample_nearest_exact2d.default": interpolation.nearest,
    "aten.add.Tensor": arithmetic.add,
    "aten.add.Scalar": arithmetic.add,
    "aten.sub.Tensor": arithmetic.subtract,
    "aten.sub.Scalar": arithmetic.subtract,
    "aten.rsub.Scalar": arithmetic.subtract,
    "aten.rsub.Tensor": arithmetic.subtract,
    "aten.mul.Tensor": arithmetic.multiply,
    "aten.mul.Scalar": arithmetic.multiply,
    "aten.div.Tensor": arithmetic.divide,
    "aten.div.Scalar": arithmetic.divide,
    "aten.neg.default": arithmetic.negate,
    "aten.maximum.default": arithmetic.extremum,
    "aten.minimum.default": arithmetic.extremum,
    "aten.max.other": arithmetic.extremum,
    "aten.min.other": arithmetic.extremum,
    "aten.glu.default": operators.gated,
    CONCATENATE: joins.concatenate,
    "aten.stack.default": joins.stack,
    "aten.slice.Tensor": rearranging.slice_,
    "aten.narrow.default": rearranging.narrow,
    "aten.select.int": rearranging.select,
    "aten.index_select.default": rearranging.index_select,
    "aten.index.Tensor": rearranging.index,
    "aten.split.Tensor": rearranging.split,
    "aten.split.sizes": rearranging.split,
    "aten.split_with_sizes.default": rearranging.split,
    "aten.chunk.default": rearranging.chunk,
    "aten.tensor_split.sections": rearranging.tensor_split,
    "aten.tensor_split.indices": rearranging.tensor_split,
    "aten.unbind.int": rearranging.unbind,
    "aten.pad.default": rearranging.pad,
    "aten.constant_pad_nd.default": rearranging.pad,
    "aten.permute.default": rearranging.permute,
    "aten.transpose.int": rearranging.transpose,
    "aten.swapaxes.default": rearranging.transpose,
    "aten.movedim.int": rearranging.move,
    "aten.expand.default": rearranging.expand,
    "aten.expand_as.default": rearranging.expand,
    "aten.repeat.default": rearranging.repeat,
    "aten.repeat_interleave.self_int": rearranging.repeat_interleave,
    "aten.flip.default": rearranging.flip,
    "aten.roll.default": rearranging.roll,
    "aten.pixel_shuffle.default": rearranging.pixel_shuffle,
    "aten.pixel_unshuffle.default": rearranging.pixel_unshuffle,
    "aten.channel_shuffle.default": rearranging.channel_shuffle,
    "aten.native_channel_shuffle.default": rearranging.channel_shuffle,
    "aten.view.default": rearranging.reshape,
    "aten._unsafe_view.default": rearranging.reshape,  # flatten of a map in channels_last order
    "aten.view_as.default": rearranging.reshape,
    "aten.reshape.default": rearranging.reshape,
    "aten.reshape_as.default": rearranging.reshape,
    "aten.flatten.using_ints": rearranging.reshape,
    "aten.unflatten.int": rearranging.reshape,
    "aten.squeeze.default": rearranging.reshape,
    "aten.squeeze.dims": rearranging.reshape,
    "aten.squeeze.dim": rearranging.reshape,
    "aten.unsqueeze.default": rearranging.reshape,
    "aten.clone.default": rearranging.identity,
    "aten.alias.default": rearranging.identity,
    "aten.contiguous.default": rearranging.identity,
    "aten.detach.default": rearranging.identity,
    "aten.to.dtype": rearranging.same_type,
    "aten._to_copy.default": rearranging.same_type,
}

FUNCTIONS = (
    *("leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "sigmoid"),
    *("log_sigmoid", "tanh", "softplus", "hardshrink", "softshrink", "threshold", "abs", "square", "sign"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc"),
    *("floor", "ceil", "round", "trunc", "frac", "zeros_like", "ones_like", "full_like"),
)

TABLE: dict[str, CallReader] = {
    **{f"aten.{name}.default": pointwise.table for name in FUNCTIONS},
    "aten.pow.Tensor_Scalar": pointwise.table,
    "aten.fmod.Scalar": pointwise.table,
    "aten.remainder.Scalar": pointwise.table,
    "aten.rrelu.default": pointwise.rrelu,
    "aten.prelu.default": arithmetic.prelu,
    "aten._prelu_kernel.default": arithmetic.prelu,
    **{f"aten.{word}.Scalar": pointwise.compared for word in ("gt", "ge", "lt", "le", "eq", "ne")},
    "aten.where.self": arithmetic.where,
    "aten.where.ScalarOther": arithmetic.where,
    "aten.where.ScalarSelf": arithmetic.where,
}

HANDLERS: dict[str, CallReader] = {**EXACT, **TABLE}

HOST = {
    "aten.softmax.int": "softmax",
    "aten._softmax.default": "softmax",
    "aten.log_softmax.int": "log_softmax",
    "aten._log_softmax.default": "log_softmax",
    "aten.sigmoid.default": "sigmoid",
    "aten.log_sigmoid.default": "log_sigmoid",
    "aten.argmax.default": "argmax",
}  # operators that are left to the host where nothing but an output reads them; larger stays larger
