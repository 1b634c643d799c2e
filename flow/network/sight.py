"""Whether a trained network sees what it was trained to see, judged by what it recognises."""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import nn

from bitlathe.flow.network.subject import Subject, WeightsSource
from bitlathe.flow.progress import Note, Progress
from bitlathe.model.data import Images, Labels, to_input
from bitlathe.model.graph.normalization import IMAGENET, NONE, RAW, UNIT, Normalization
from bitlathe.model.zoo import Normalize
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import tensors_of

_IMAGES = 256  # of the training split, evenly over it, for it may be sorted
_FEWEST = 50  # images that tell anything
_CHANCE = 3  # standard errors within which a share may be that of a guess


def tell_normalization(subject: Subject, progress: Progress) -> None:
    """Tell `progress` where a trained network recognises no more than a guess, and how it would see more."""
    if subject.dataset.unlike_classes(*subject.outputs) or not _is_trained(subject):
        return
    if (line := _doubt(subject)) is not None:
        progress(Note(line))


def _doubt(subject: Subject) -> str | None:
    data = subject.dataset
    chosen = np.linspace(0, len(data.train_labels) - 1, min(_IMAGES, len(data.train_labels))).astype(int)
    images, labels = data.train_images[chosen], data.train_labels[chosen]
    guess = max(np.bincount(labels).max() / len(labels), 1 / data.num_classes)
    error = sqrt(guess * (1 - guess) / len(labels))
    if len(labels) < _FEWEST or guess == 1:
        return None
    present = subject.weights.normalization
    share = _recognised(subject, to_input(images), labels)
    if share > guess + _CHANCE * error:
        return None
    shares = {
        other: _recognised(subject, _seen_as(images, other, present), labels)
        for other in _usual(images)
        if other != present
    }
    best = max(shares, key=shares.__getitem__)
    cause = "its weights were probably trained with another normalization"
    if shares[best] > max(share, guess) + _CHANCE * error:
        mend = f"`normalization={best}` gives {100 * shares[best]:.0f} %"
    else:
        mend = f"give `normalization`, though none of {', '.join(map(str, shares))} gives clearly more"
    return (
        f"{subject.network} on {data.name}: recognises {100 * share:.0f} % of {len(labels)} training images "
        f"before quantization, a guess {100 * guess:.0f} %: {cause}; {mend}"
    )


def _usual(images: Images) -> list[Normalization]:
    """Normalizations that networks are trained with, the images' own means and deviations among them."""
    channels, values = images.shape[3], np.arange(256) / 255
    planes = np.moveaxis(images, 3, 0).reshape(channels, -1)
    shares = [np.bincount(plane, minlength=256) / plane.size for plane in planes]
    means = [float(share @ values) for share in shares]
    stds = [sqrt(share @ (values - mean) ** 2) for share, mean in zip(shares, means, strict=True)]
    rounded = [[round(value, 3) for value in each] for each in (means, stds)]
    own = [Normalization.of_constants(*rounded)] if min(rounded[1]) > 0 else []
    imagenet = [IMAGENET] if channels == len(IMAGENET.mean) else []
    return [UNIT, Normalization.of_range(-1, 1), RAW, *own, *imagenet, NONE]


def _seen_as(images: Images, other: Normalization, present: Normalization) -> torch.Tensor:
    """Inputs that the network's present normalization turns into what another would make of the images."""
    wanted, applied = Normalize.of(other), Normalize.of(present)
    x = to_input(images)
    seen = x if wanted is None else wanted(x)
    if applied is None:
        return seen
    return (seen - applied.offset.view(1, -1, 1, 1)) / applied.scale.view(1, -1, 1, 1)


@torch.no_grad()
def _recognised(subject: Subject, x: torch.Tensor, labels: Labels) -> float:
    model, classes = subject.model, subject.dataset.classes_among(subject.outputs)
    assert classes is not None
    with evaluating(model):
        logits = torch.cat([tensors_of(model(batch))[classes] for batch in x.split(64)])
    return float((logits.flatten(1).argmax(1).numpy() == labels).mean())


def _is_trained(subject: Subject) -> bool:
    """Whether weights are from a file, or of a module that differs from what PyTorch makes by itself.

    A batch norm that saw images has other means than 0; without any, weights beyond the range of the
    initial draw tell.
    """
    if subject.weights.source not in (WeightsSource.MODULE, WeightsSource.FUNCTION):
        return subject.weights.source is not WeightsSource.RANDOM
    layers = list(subject.model.modules())
    means = [layer.running_mean for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    if known := [mean for mean in means if mean is not None]:
        return any(bool(mean.any()) for mean in known)
    return any(
        float(layer.weight.detach().abs().max()) > 1.001 / sqrt(layer.weight[0].numel())
        for layer in layers
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and layer.weight.numel()
    )
