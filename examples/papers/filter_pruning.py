"""Remove 30 % of the operations, filters of least standard deviation first.

The paper's subject: filter pruning by standard deviation.

    python examples/papers/filter_pruning.py
"""

from __future__ import annotations

from bitlathe.model.compress import MethodData
from bitlathe.model.compress.methods import PruneOnce
from bitlathe.model.compress.recipe import Recipe, RecipeStage, follow
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.prune.channels.budget import CostShare
from bitlathe.model.prune.channels.plug_in import PruneSettings
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.train.config import Schedule
from bitlathe.model.zoo import macs

SETTINGS = TrainConfig(epochs=2, batch_size=64, lr=0.02, schedule=Schedule.COSINE)


def main() -> None:
    """Print operations and accuracy before and after, fine-tuned for two epochs."""
    digits = load_dataset("digits")
    data = MethodData.split(digits, held_out=200, batch_size=64, augment=False)
    state = fresh_state(load_pretrained("lenet5", "digits"), SETTINGS)
    before = macs(state.model, (1, 8, 8)), evaluate(state.model, digits.test_images, digits.test_labels)
    pruning = PruneOnce(settings=PruneSettings(budget=CostShare(share=0.3), criterion="std"))
    state = follow(Recipe(stages=(RecipeStage(method=pruning, epochs=2),)), state, data, SETTINGS)
    after = macs(state.model, (1, 8, 8)), evaluate(state.model, digits.test_images, digits.test_labels)
    for operations, tested in (before, after):
        print(f"{operations:,} multiply-accumulates, accuracy {tested.accuracy:.4f}")


if __name__ == "__main__":
    main()
