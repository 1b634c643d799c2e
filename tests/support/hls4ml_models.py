"""Small models in hls4ml's layer list, for any of its backends; run as a program it simulates one in C."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WIDE = "fixed<32,16>"


def window(height: int, width: int, channels: int, filters: int, size: int, **changes: int) -> dict[str, Any]:
    """Sizes of a convolution of stride 1 that keeps the map, with some changed; the output's follow."""
    pads = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), size // 2)
    strides = {"stride_height": 1, "stride_width": 1}
    sizes = {**pads, **strides, **changes}
    rows = height + sizes["pad_top"] + sizes["pad_bottom"] - size
    columns = width + sizes["pad_left"] + sizes["pad_right"] - size
    return {
        "data_format": "channels_last",
        "in_height": height,
        "in_width": width,
        "n_chan": channels,
        "n_filt": filters,
        "filt_height": size,
        "filt_width": size,
        "out_height": rows // sizes["stride_height"] + 1,
        "out_width": columns // sizes["stride_width"] + 1,
        **sizes,
    }


def pool(height: int, width: int, channels: int, size: int) -> dict[str, Any]:
    """Sizes of a pool whose windows do not overlap."""
    pads = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 0)
    sizes = dict.fromkeys(("pool_height", "pool_width", "stride_height", "stride_width"), size)
    maps = {"in_height": height, "in_width": width, "out_height": height // size, "out_width": width // size}
    return {"data_format": "channels_last", "n_filt": channels, "padding": "valid", "count_pad": True} | (
        pads | sizes | maps
    )


def constants(seed: int, *shape: int) -> dict[str, np.ndarray]:
    """Weights and bias of ordinary floats: types quantize them."""
    rng = np.random.default_rng(seed)
    return {"weight_data": rng.uniform(-0.9, 0.9, shape), "bias_data": rng.uniform(-0.9, 0.9, shape[-1])}


def layer(class_name: str, name: str, inputs: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    """One layer of a list."""
    return {"class_name": class_name, "name": name, **({"inputs": list(inputs)} if inputs else {}), **fields}


Model = tuple[list[dict[str, Any]], dict[str, dict[str, str]]]  # layers, types by layer


def truncating() -> Model:
    """Truncation and wrapping, hls4ml's defaults; uneven padding, max and average pools, flattening."""
    summed = {"weight": "fixed<8,1>", "bias": "fixed<10,3>", "accum": WIDE}
    layers = [
        layer("InputLayer", "x", input_shape=[9, 8, 3]),
        layer(
            "Conv2D",
            "c1",
            ["x"],
            **window(9, 8, 3, 4, 3, pad_top=0, pad_left=2, pad_right=1),
            **constants(1, 3, 3, 3, 4),
        ),
        layer("Activation", "r1", ["c1"], activation="relu"),
        layer("MaxPooling2D", "p1", ["r1"], **pool(8, 9, 4, 2)),
        layer("AveragePooling2D", "p2", ["p1"], **pool(4, 4, 4, 2)),
        layer("Reshape", "flat", ["p2"], target_shape=[16]),
        layer("Dense", "d1", ["flat"], n_in=16, n_out=5, **constants(2, 16, 5)),
    ]
    types = {
        "x": {"result": "fixed<8,1>"},
        "c1": {**summed, "result": "fixed<14,6>"},
        "r1": {"result": "fixed<12,6>"},
        "p1": {"result": "fixed<12,6>", "accum": "fixed<12,6>"},
        "p2": {"result": "fixed<10,6>", "accum": "fixed<20,10>"},
        "d1": {**summed, "result": "fixed<16,9>"},
    }
    return layers, types


def joined() -> Model:
    """Two roundings before an addition, different fracs, concatenation, depthwise, batch normalization."""
    summed = {"weight": "fixed<6,1,RND,SAT>", "bias": "fixed<9,2,RND>", "accum": WIDE}
    depthwise = constants(5, 3, 3, 4, 1)
    layers = [
        layer("InputLayer", "x", input_shape=[6, 6, 4]),
        layer("Conv2D", "a", ["x"], **window(6, 6, 4, 4, 3), **constants(3, 3, 3, 4, 4)),
        layer("Conv2D", "b", ["x"], **window(6, 6, 4, 4, 1), **constants(4, 1, 1, 4, 4)),
        layer("Merge", "s", ["a", "b"], op="add"),
        layer(
            "DepthwiseConv2D",
            "w",
            ["s"],
            depth_multiplier=1,
            **window(6, 6, 4, 4, 3),
            depthwise_data=depthwise["weight_data"],
            bias_data=constants(5, 4, 4)["bias_data"],
        ),
        layer("Concatenate", "k", ["w", "s"], axis=3, op="concatenate3d"),
        layer("GlobalMaxPooling2D", "g", ["k"], **pool(6, 6, 8, 6)),
        layer("Dense", "d", ["g"], n_in=8, n_out=3, **constants(6, 8, 3)),
    ]
    types = {
        "x": {"result": "ufixed<7,0>"},
        "a": {**summed, "result": "fixed<8,3,RND,SAT>"},
        "b": {**summed, "result": "fixed<7,4,RND,SAT_SYM>"},
        "s": {"result": "fixed<7,3,RND,SAT>"},
        "w": {**summed, "depthwise": summed["weight"], "result": "fixed<8,4,RND,SAT>"},
        "k": {"result": "fixed<9,5>"},
        "g": {"result": "fixed<9,5>", "accum": "fixed<9,5>"},
        "d": {**summed, "result": "fixed<16,8>"},
    }
    return layers, types


MODELS = {"truncating": truncating, "joined": joined}


def make(model: Model, backend: str, folder: Path, **options: Any) -> Any:
    """hls4ml's `ModelGraph` of a model."""
    from hls4ml.model.graph import ModelGraph
    from hls4ml.utils.config import create_config

    layers, types = model
    configuration = create_config(output_dir=str(folder), project_name="small", backend=backend, **options)
    configuration["HLSConfig"] = {
        "Model": {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerName": {name: {"Precision": precision} for name, precision in types.items()},
    }
    return ModelGraph.from_layer_list(configuration, layers, [layers[0]["name"]], [layers[-1]["name"]])


def inputs(model: Model, count: int) -> np.ndarray:
    """Random inputs (count, height, width, channels) on the grid of the first type, an 8-bit or 7-bit one."""
    shape = model[0][0]["input_shape"]
    return np.random.default_rng(7).integers(0, 128, (count, *shape)) / 128


def main() -> None:
    """Print what Vitis' C simulation of the named model predicts for 16 inputs; argument 2 is its folder."""
    model = MODELS[sys.argv[1]]()
    project = make(model, "Vitis", Path(sys.argv[2]), io_type="io_parallel")
    project.write()
    script = Path(sys.argv[2]) / "build_lib.sh"
    script.write_text(script.read_text().replace("-O3", "-O1"))  # half the time
    project._compile()
    print("\n" + json.dumps(project.predict(np.ascontiguousarray(inputs(model, 16))).tolist()))


if __name__ == "__main__":
    main()
