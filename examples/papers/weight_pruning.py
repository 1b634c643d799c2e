"""Zero the weights of least influence, then train as 8-bit integers.

The paper's subject: pruning and quantization-aware training.

    python examples/papers/weight_pruning.py
"""

from __future__ import annotations

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import PruneWeights, Quantize
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.files.account import Account
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.train.config import Schedule

SETTINGS = TrainConfig(epochs=4, batch_size=64, lr=0.02, schedule=Schedule.COSINE)


def main() -> None:
    """Print the bytes of the file before and after, and the accuracy of its integers."""
    digits = load_dataset("digits")
    data = MethodData.split(digits, held_out=200, batch_size=64, augment=False)
    state = fresh_state(load_pretrained("lenet5", "digits"), SETTINGS)
    before = Account.of(quantize(state.model, digits.train_images).graph)
    pruning = PruneWeights(sparsity=0.8, rounds=3)
    recipe = Recipe(stages=(RecipeStage(method=pruning, epochs=3), RecipeStage(method=Quantize(), epochs=1)))
    state = follow(recipe, state, data, SETTINGS)
    view = integer_view(state, data, QuantizeConfig()).eval()
    after, tested = Account.of(view.network().graph), evaluate(view, digits.test_images, digits.test_labels)
    print(f"{before.file_bytes:,} bytes to {after.file_bytes:,}, accuracy {tested.accuracy:.4f}")


if __name__ == "__main__":
    main()
