"""How far pruning criteria agree on a trained network.

python benchmarks/criteria.py --network resnet20 --weights ../shared/weights/resnet20_cifar10.pt

Prints the share of the lowest channels of each layer that two criteria have in common and writes it to
build/bench/criteria-NETWORK.json. `bitlathe sensitivity` shows how much pruning each layer can take.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bitlathe.flow.files import write_json
from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.prune.channels.budget import whole_channels
from bitlathe.model.prune.channels.groups import ChannelGroups, channel_groups
from bitlathe.model.prune.channels.scores import Scores, find_criterion, score_channels
from bitlathe.model.zoo import Normalize, build, network_spec

ROOT = Path(__file__).resolve().parents[1]
OF_WEIGHTS = ("std", "l1", "l2", "geometric_median", "bn_scale")


def main() -> None:
    arguments = _parse()
    torch.set_num_threads(1)
    model = _model(arguments.network, arguments.weights)
    spec = network_spec(arguments.network)
    groups = channel_groups(model, torch.zeros(1, spec.in_channels, spec.input_size, spec.input_size))
    scores = {name: score_channels(model, groups, find_criterion(name)) for name in OF_WEIGHTS}
    rows = [
        _agreement(groups, scores, a, b, arguments.share) for a, b in itertools.combinations(OF_WEIGHTS, 2)
    ]
    print(f"the lowest {arguments.share:.0%} of each of {len(groups)} layers")
    print(f"{'criteria':>30} {'overlap':>8} {'Spearman':>9}")
    for row in rows:
        print(f"{row['criteria']:>30} {row['overlap']:8.1%} {row['spearman_median']:9.3f}")
    result: dict[str, Any] = {"network": arguments.network, "share": arguments.share, "agreement": rows}
    out = ROOT / "build" / "bench" / f"criteria-{arguments.network}.json"
    write_json(out, result)


def _agreement(
    groups: ChannelGroups, scores: dict[str, Scores], first: str, second: str, share: float
) -> dict[str, Any]:
    """Common part of the channels that two criteria would remove, and the layers' median rank correlation."""
    common = total = 0
    correlations = []
    for group in groups:
        count = whole_channels(group.width, share)
        ranks = [np.argsort(np.argsort(scores[name][group.name], kind="stable")) for name in (first, second)]
        common += int(((ranks[0] < count) & (ranks[1] < count)).sum())
        total += count
        correlations.append(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
    return {
        "criteria": f"{first} ~ {second}",
        "overlap": common / total,
        "spearman_median": float(np.median(correlations)),
    }


def _model(network: str, weights: Path) -> nn.Module:
    model = build(network, normalize=Normalize.imagenet())
    load_weights(model, weights)
    return model.eval()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--weights", type=Path, required=True, help="published CIFAR-10 weights")
    parser.add_argument("--share", type=float, default=0.4, help="of each layer's channels (default 0.4)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
