"""A multilayer perceptron of scikit-learn, trained on its digits, as skl2onnx writes it.

python benchmarks/exports/from_sklearn.py FOLDER    # in an environment with scikit-learn and skl2onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier


def main() -> None:
    """Write the file, with and without the dictionary of probabilities at its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = load_digits(return_X_y=True)
    images = (images / 8 - 1).astype("float32")
    model = MLPClassifier((64, 32), max_iter=60, random_state=0).fit(images, labels)
    for name, options in (("sklearn-mlp", {"zipmap": False}), ("sklearn-mlp-zipmap", {})):
        made = to_onnx(model, images[:1], target_opset=17, options={id(model): options})
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
        print(f"{name}.onnx")


if __name__ == "__main__":
    main()
