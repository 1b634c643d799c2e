"""An hls4ml model, made without Keras, on the engine: backend='bitlathe'.

    python examples/hls4ml_backend.py [--execution program] [--compare] [--out folder]

The model is a list of layers with fixed-point types, as hls4ml's own frontends produce it. Its predictions
are computed by the integer graph, by the compiled program, or by the simulated hardware; all give the same
integers, and those of hls4ml's own C simulation, with which `--compare` compares them: a minute of g++.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
from hls4ml.model.graph import ModelGraph

LAYERS: tuple[dict[str, Any], ...] = (
    {"class_name": "InputLayer", "name": "image", "input_shape": [8, 8, 3]},
    {"class_name": "Conv2D", "name": "conv1", "inputs": ["image"], "n_chan": 3, "n_filt": 8},
    {"class_name": "Activation", "name": "relu1", "inputs": ["conv1"], "activation": "relu"},
    {"class_name": "Conv2D", "name": "conv2", "inputs": ["relu1"], "n_chan": 8, "n_filt": 8},
    {"class_name": "Merge", "name": "sum", "inputs": ["conv2", "relu1"], "op": "add"},
    {"class_name": "Activation", "name": "relu2", "inputs": ["sum"], "activation": "relu"},
    {"class_name": "GlobalAveragePooling2D", "name": "average", "inputs": ["relu2"]},
    {"class_name": "Dense", "name": "logits", "inputs": ["average"], "n_in": 8, "n_out": 10},
)
WINDOW = {
    **dict.fromkeys(("in_height", "in_width", "out_height", "out_width"), 8),
    **dict.fromkeys(("filt_height", "filt_width"), 3),
    **dict.fromkeys(("stride_height", "stride_width", "pad_top", "pad_bottom", "pad_left", "pad_right"), 1),
    "data_format": "channels_last",
}
POOL = {
    "in_height": 8,
    "in_width": 8,
    "n_filt": 8,
    "pool_height": 8,
    "pool_width": 8,
    "data_format": "channels_last",
}
TYPES = {  # sums stay whole ("auto") until a type with RND and SAT takes them
    "image": {"result": "fixed<8,1>"},
    "conv1": {"weight": "fixed<8,1>", "bias": "fixed<8,1>", "accum": "auto", "result": "auto"},
    "relu1": {"result": "ufixed<8,2,RND,SAT>"},
    "conv2": {"weight": "fixed<8,1>", "bias": "fixed<8,1>", "accum": "auto", "result": "auto"},
    "sum": {"result": "fixed<8,3,RND,SAT>"},
    "relu2": {"result": "ufixed<7,2>"},
    "average": {"accum": "fixed<20,9>", "result": "ufixed<8,2,RND,SAT>"},
    "logits": {"weight": "fixed<8,1>", "bias": "fixed<8,1>", "accum": "auto", "result": "fixed<8,4,RND,SAT>"},
}


def build(folder: Path, backend: str = "bitlathe", **options: Any) -> ModelGraph:
    """hls4ml's model for any of its backends; `options` go to the backend."""
    configuration = hls4ml.utils.config.create_config(
        output_dir=str(folder), project_name="example", backend=backend, **options
    )
    configuration["HLSConfig"] = {
        "Model": {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerName": {name: {"Precision": types} for name, types in TYPES.items()},
    }
    rng = np.random.default_rng(0)
    return ModelGraph.from_layer_list(
        configuration, [_filled(layer, rng) for layer in LAYERS], ["image"], ["logits"]
    )


def images(count: int) -> np.ndarray:
    """Random images (count, 8, 8, 3) on the grid of the input's type."""
    return np.random.default_rng(1).integers(-128, 128, (count, 8, 8, 3)) / 128


def _filled(layer: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A layer with its sizes and weights of ordinary floats: hls4ml's types quantize them."""
    if layer["class_name"] == "GlobalAveragePooling2D":
        return {**layer, **POOL}
    if layer["class_name"] == "Conv2D":
        shape = (3, 3, layer["n_chan"], layer["n_filt"])
        return {**layer, **WINDOW, **_weights(shape, rng)}
    if layer["class_name"] == "Dense":
        return {**layer, **_weights((layer["n_in"], layer["n_out"]), rng)}
    return dict(layer)


def _weights(shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    values = rng.uniform(-0.5, 0.5, shape), rng.uniform(-0.5, 0.5, shape[-1])
    rounded = [np.rint(value * 128) / 128 for value in values]
    return {"weight_data": rounded[0], "bias_data": rounded[1]}


def main() -> None:
    """Build, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--execution", default="reference", choices=("reference", "program", "rtl"))
    parser.add_argument("--compare", action="store_true", help="with hls4ml's own C simulation")
    parser.add_argument("--board", default="pynq-z2")
    parser.add_argument("--out", type=Path, default=Path("build/hls4ml_backend"))
    arguments = parser.parse_args()
    model = build(arguments.out, execution=arguments.execution, board=arguments.board)
    model.compile()
    x = images(4)
    predicted = model.predict(x)
    print(predicted)
    print(f"{arguments.out} holds the graph, its program and weights, and the engine")
    if arguments.compare:
        own = build(arguments.out / "vitis", "Vitis", io_type="io_parallel")
        own.compile()
        print("equal to hls4ml's own C simulation:", bool((own.predict(x) == predicted).all()))


if __name__ == "__main__":
    main()
