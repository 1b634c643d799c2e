"""Prune and quantize between any two epochs.

The paper's subject: regularized training framework for combining pruning and quantization.

    python examples/papers/plug_in.py
"""

from __future__ import annotations

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import PruneChannels, Quantize, Train
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.train.config import Schedule

SETTINGS = TrainConfig(epochs=4, batch_size=64, lr=0.02, schedule=Schedule.COSINE)


def main() -> None:
    """Print the map from epoch to method, and what the integers recognise."""
    digits = load_dataset("digits")
    data = MethodData.split(digits, held_out=200, batch_size=64, augment=False)
    state = fresh_state(load_pretrained("lenet5", "digits"), SETTINGS)
    q48 = QuantizeConfig(weight_bits=4, activation_bits=8)
    prune, quantize = PruneChannels(channels=6, target=12), Quantize(config=q48)
    chosen = (prune, quantize, prune, Train())
    state = follow(
        Recipe(stages=tuple(RecipeStage(method=m, epochs=1) for m in chosen)), state, data, SETTINGS
    )
    view = integer_view(state, data, q48).eval()
    tested = evaluate(view, digits.test_images, digits.test_labels)
    print(f"epochs {' '.join(state.history)}: accuracy {tested.accuracy:.4f}")


if __name__ == "__main__":
    main()
