"""Prune channels by the sparsity index with L2, after training that pulls filters to zero, and by L2 alone.

The paper's subject: channel pruning on regularized sparsity.

    python examples/papers/sparsity_index.py
"""

from __future__ import annotations

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import PruneOnce, Train
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.prune.channels.budget import CostShare
from bitlathe.model.prune.channels.costs import Metric
from bitlathe.model.prune.channels.plug_in import PruneSettings
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.train.config import Schedule

SETTINGS = TrainConfig(epochs=3, batch_size=64, lr=0.02, schedule=Schedule.COSINE)


def main() -> None:
    """Print the accuracy of both at equal size, after equal training."""
    digits = load_dataset("digits")
    data = MethodData.split(digits, held_out=200, batch_size=64, augment=False)
    state = fresh_state(load_pretrained("lenet5", "digits"), SETTINGS)
    half = CostShare(share=0.5, metric=Metric.PARAMETERS)
    for criterion, strength in (("sparsity", 1e-3), ("l2", None)):
        before = RecipeStage(method=Train(group_lasso=strength), epochs=1)
        pruning = PruneOnce(settings=PruneSettings(budget=half, criterion=criterion))
        recipe = Recipe(stages=(before, RecipeStage(method=pruning, epochs=2)))
        pruned = follow(recipe, state.copy(), data, SETTINGS)
        size = sum(parameter.numel() for parameter in pruned.model.parameters())
        tested = evaluate(pruned.model, digits.test_images, digits.test_labels)
        print(f"{criterion}: {size:,} parameters, accuracy {tested.accuracy:.4f}")


if __name__ == "__main__":
    main()
