"""Keep weights as codewords that many places share.

The paper's subject: product quantization and pruning.

    python examples/papers/product_quantization.py
"""

from __future__ import annotations

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import ShareWeights
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.files.account import Account
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import ProductConfig
from bitlathe.model.product.live import network_of
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import TrainConfig, evaluate

INT8 = QuantizeConfig()
SHARE = ShareWeights(config=ProductConfig.of(6, 8, 64, smallest=256), quantizer=INT8)
SETTINGS = TrainConfig(lr=0.01)


def main() -> None:
    """Print the bytes of the file before and after, and the accuracy of its integers."""
    digits = load_dataset("digits")
    data = MethodData.whole(digits, batch_size=64, augment=False)
    model = load_pretrained("lenet5", "digits")
    before = Account.of(quantize(model, digits.train_images, INT8).graph)
    recipe = Recipe(stages=(RecipeStage(method=SHARE, epochs=2),))
    view = integer_view(follow(recipe, fresh_state(model, SETTINGS), data, SETTINGS), data, INT8).eval()
    graph = network_of(view).graph
    layers = [n.name for n in graph.nodes if isinstance(n, Conv2d | Dense) and n.codebook is not None]
    after, tested = Account.of(graph), evaluate(view, digits.test_images, digits.test_labels)
    print(
        f"{', '.join(layers)} share codewords: {before.file_bytes:,} bytes to {after.file_bytes:,}, "
        f"{before.float_bytes / after.file_bytes:.1f} times less than float, accuracy {tested.accuracy:.4f}"
    )


if __name__ == "__main__":
    main()
