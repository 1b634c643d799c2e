"""Keep weights as codewords that many places share.

The paper's subject: product quantization and pruning.

    python examples/papers/product_quantization.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bitlathe.model.data import load_dataset
from bitlathe.model.graph.account import Account
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.finetuning import finetune
from bitlathe.model.product.share import lowered, share
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import TrainConfig, evaluate, load_pretrained

CODES = ProductConfig(
    convolution=LayerCodes(length=6, codewords=32), dense=LayerCodes(length=8, codewords=64), smallest=256
)


def main() -> None:
    """Print the bytes of the file before and after, and the accuracy of its integers."""
    digits = load_dataset("digits")
    quantized = quantize(load_pretrained("lenet5", "digits"), digits.train_images)
    module = quantized.trainable()
    layers = share(module, CODES)
    with TemporaryDirectory() as folder:
        finetune(module, digits, TrainConfig(epochs=2, lr=0.01), Path(folder))
    before, after = Account.of(quantized.graph), Account.of(lowered(module.eval()))
    tested = evaluate(module, digits.test_images, digits.test_labels)
    print(
        f"{', '.join(layers)} share codewords: {before.file_bytes:,} bytes to {after.file_bytes:,}, "
        f"{before.float_bytes / after.file_bytes:.1f} times less than float, accuracy {tested.accuracy:.4f}"
    )


if __name__ == "__main__":
    main()
