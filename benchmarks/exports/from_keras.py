"""Files as tf2onnx writes them of Keras models, and of one as a TensorFlow Lite file.

python benchmarks/exports/from_keras.py FOLDER    # in an environment with tensorflow and tf2onnx

Weights are random: what is read counts, not what is recognised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import tensorflow as tf
import tf2onnx
from keras import applications, layers

OPSETS = {"lenet5": 9, "vgg": 11, "resnet": 13, "same-pool": 15, "separable": 17, "binary": 18}
KNOWN = {  # of keras.applications, by opset
    "MobileNet": (13, {"alpha": 0.25, "input_shape": (96, 96, 3)}),
    "MobileNetV2": (15, {"alpha": 0.35, "input_shape": (96, 96, 3)}),
    "DenseNet121": (13, {"input_shape": (64, 64, 3), "classes": 10}),
}


def lenet5() -> keras.Model:
    """LeNet-5 with a softmax."""
    return keras.Sequential(
        [
            *(layers.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="relu")),
            *(layers.MaxPooling2D(), layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dense(120, activation="relu"), layers.Dropout(0.5)),
            layers.Dense(10, activation="softmax"),
        ]
    )


def vgg() -> keras.Model:
    """VGG with batch norm behind each activation."""
    body = [
        layer
        for width in (16, 32, 64)
        for layer in (
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
        )
    ]
    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            *body,
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def resnet() -> keras.Model:
    """Six residual blocks, with strided projections."""
    image = x = layers.Input((32, 32, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    for width, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
        if stride > 1:
            x = layers.Conv2D(width, 1, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def same_pool() -> keras.Model:
    """A max pool of 3 x 3, padded unevenly, and an explicit padding before another."""
    return keras.Sequential(
        [
            *(layers.Input((64, 64, 3)), layers.Conv2D(16, 7, 2, padding="same", activation="relu")),
            *(
                layers.MaxPooling2D(3, 2, padding="same"),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
            ),
            *(layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2), layers.Conv2D(32, 3, activation="relu")),
            *(layers.GlobalMaxPooling2D(), layers.Dense(10)),
        ]
    )


def separable() -> keras.Model:
    """Depthwise and separable convolutions with ReLU6, and a rescaling of pixels at the front."""
    return keras.Sequential(
        [
            *(layers.Input((32, 32, 3)), layers.Rescaling(0.5, 0.1), layers.ZeroPadding2D(((0, 1), (0, 1)))),
            *(layers.Conv2D(16, 3, 2), layers.ReLU(6.0), layers.DepthwiseConv2D(3, padding="same")),
            *(
                layers.BatchNormalization(),
                layers.ReLU(6.0),
                layers.SeparableConv2D(32, 3, 2, padding="same"),
            ),
            *(layers.ReLU(6.0), layers.AveragePooling2D(2), layers.Reshape((512,)), layers.Dense(10)),
        ]
    )


def binary() -> keras.Model:
    """Two classes by one sigmoid."""
    return keras.Sequential(
        [
            *(layers.Input((48, 64, 3)), layers.Conv2D(8, 3, 2, activation="relu"), layers.MaxPooling2D()),
            *(
                layers.Conv2D(16, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(1, activation="sigmoid"),
            ),
        ]
    )


def main() -> None:
    """Write every file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    own = {"lenet5": lenet5, "vgg": vgg, "resnet": resnet, "same-pool": same_pool, "separable": separable}
    for name, make in {**own, "binary": binary}.items():
        keras.utils.set_random_seed(0)
        _write(folder / f"keras-{name}.onnx", make(), OPSETS[name])
    for name, (opset, settings) in KNOWN.items():
        keras.utils.set_random_seed(0)
        model = getattr(applications, name)(weights=None, **settings)
        _write(folder / f"keras-{name}.onnx", model, opset)
    keras.utils.set_random_seed(0)
    converted = folder / "lenet5.tflite"
    converted.write_bytes(tf.lite.TFLiteConverter.from_keras_model(lenet5()).convert())
    tf2onnx.convert.from_tflite(str(converted), opset=13, output_path=str(folder / "tflite-lenet5.onnx"))
    converted.unlink()
    print("tflite-lenet5.onnx")


def _write(path: Path, model: keras.Model, opset: int) -> None:
    images = tf.random.uniform((8, *model.input_shape[1:]), -1, 1)
    for _ in range(3):  # so that batch norms have statistics of their own
        model(images, training=True)
    tf2onnx.convert.from_keras(model, opset=opset, output_path=str(path))
    print(path.name)


if __name__ == "__main__":
    main()
