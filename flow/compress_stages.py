"""What `--method` says: NAME:KEY=VALUE,KEY=VALUE as a stage of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from bitlathe.flow.errors import UsageError
from bitlathe.model.compress.methods import Quantize, Train
from bitlathe.model.compress.one_shot import PruneOnce
from bitlathe.model.compress.recipe import Stage
from bitlathe.model.compress.weights import PruneWeights
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.prune.budget import Budget, CostShare, Count, Limits, Share
from bitlathe.model.prune.costs import Metric
from bitlathe.model.prune.group_lasso import GroupLasso
from bitlathe.model.prune.groups import Scope as ChannelScope
from bitlathe.model.prune.influence import Influence
from bitlathe.model.prune.masks import Scope as WeightScope
from bitlathe.model.prune.masks import SparsityTarget
from bitlathe.model.prune.plug_in import PruneSettings
from bitlathe.model.quantize.config import QuantizeConfig

Value = TypeVar("Value")
Default = TypeVar("Default")

_USUAL = QuantizeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductStage:
    """Product quantization, which ends a recipe: its settings and the epochs that train codewords."""

    config: ProductConfig
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise FormatError(f"product: {self.epochs} epochs; give 0 or more")


class Settings:
    """The KEY=VALUE part of a method, each key read once; `quantization` is what a quantizer starts from."""

    def __init__(self, text: str, pairs: dict[str, str], quantization: QuantizeConfig) -> None:
        self.text, self.quantization, self._pairs = text, quantization, dict(pairs)
        self._known: list[str] = []

    def get(self, key: str, read: Callable[[str], Value], default: Default) -> Value | Default:
        """Value of a key, or the default; UsageError for one that `read` refuses."""
        self._known.append(key)
        if key not in self._pairs:
            return default
        word = self._pairs.pop(key)
        try:
            return read(word)
        except ValueError as error:
            raise UsageError(f"--method {self.text}: {key}={word} is no value of {key} ({error})") from error

    def one_of(self, readers: dict[str, Callable[[str], Value]]) -> Value:
        """Value of the one key given of several; UsageError if none or more are."""
        given = [key for key in readers if key in self._pairs]
        if len(given) != 1:
            raise UsageError(f"--method {self.text}: give one of {', '.join(readers)}")
        self._known += readers
        word = self._pairs.pop(given[0])
        try:
            return readers[given[0]](word)
        except ValueError as error:
            raise UsageError(f"--method {self.text}: {given[0]}={word} is no number") from error

    def finish(self) -> None:
        """Raise UsageError for a key that nothing read."""
        if self._pairs:
            raise UsageError(
                f"--method {self.text}: {next(iter(self._pairs))} is unknown; "
                f"known are {', '.join(self._known)}"
            )


def stage(text: str, quantization: QuantizeConfig = _USUAL) -> Stage | ProductStage:
    """A stage from its text; UsageError or FormatError says what is wrong with it.

    What the text of a quantizer leaves open is as in `quantization`.

    >>> stage("quantize:weights=4,activations=8,epochs=2").method.name
    'Q(4,8)'
    """
    name, _, rest = text.partition(":")
    if name not in _MAKERS:
        raise UsageError(f"--method {text}: no method is called {name}; there are {', '.join(_MAKERS)}")
    pairs = dict(_pair(text, word) for word in rest.split(",") if word)
    settings = Settings(text, pairs, quantization)
    made = _MAKERS[name](settings)
    settings.finish()
    return made


def _pair(text: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key or not value:
        raise UsageError(f"--method {text}: write {word} as KEY=VALUE")
    return key, value


def _train(settings: Settings) -> Stage:
    penalty = settings.get("group_lasso", lambda word: GroupLasso(strength=float(word)), None)
    return Stage(method=Train(), epochs=settings.get("epochs", int, 1), penalty=penalty)


def _prune(settings: Settings) -> Stage:
    budget = settings.one_of(_BUDGETS)
    limits = Limits(
        floor=settings.get("floor", int, 1),
        cap=settings.get("cap", float, 1.0),
        lanes=settings.get("lanes", int, 1),
    )
    pruning = PruneSettings(
        budget=budget,
        criterion=settings.get("criterion", str, "l2"),
        limits=limits,
        scope=settings.get("scope", ChannelScope, ChannelScope.INTERNAL),
        skip=settings.get("skip", lambda word: tuple(word.split("+")), ()),
    )
    return Stage(method=PruneOnce(settings=pruning), epochs=settings.get("epochs", int, 1))


_BUDGETS: dict[str, Callable[[str], Budget]] = {
    "channels": lambda word: Count(channels=int(word)),
    "share": lambda word: Share(share=float(word)),
    "macs": lambda word: CostShare(share=float(word), metric=Metric.MACS),
    "parameters": lambda word: CostShare(share=float(word), metric=Metric.PARAMETERS),
}


def _weights(settings: Settings) -> Stage:
    target = SparsityTarget(
        sparsity=settings.get("sparsity", float, 0.5),
        scope=settings.get("scope", WeightScope, WeightScope.GLOBAL),
    )
    rounds = settings.get("epochs", int, 1)
    influence = settings.get("influence", Influence, Influence.MAGNITUDE)
    return Stage(
        method=PruneWeights(target=target, rounds=max(1, rounds), influence=influence), epochs=rounds
    )


def _quantize(settings: Settings) -> Stage:
    usual = settings.quantization
    config = replace(
        usual,
        weight_bits=settings.get("weights", int, usual.weight_bits),
        activation_bits=settings.get("activations", int, usual.activation_bits),
    )
    return Stage(method=Quantize(config=config), epochs=settings.get("epochs", int, 1))


def _product(settings: Settings) -> ProductStage:
    codewords = settings.get("codewords", int, 256)
    config = ProductConfig(
        convolution=LayerCodes(length=settings.get("length", int, 8), codewords=codewords),
        dense=LayerCodes(length=settings.get("dense_length", int, 16), codewords=codewords),
        vectors_per_codeword=settings.get("vectors_per_codeword", int, 4),
        objective=settings.get("objective", Objective, Objective.WEIGHTS),
    )
    return ProductStage(config=config, epochs=settings.get("epochs", int, 1))


_MAKERS: dict[str, Callable[[Settings], Stage | ProductStage]] = {
    "train": _train,
    "prune": _prune,
    "weights": _weights,
    "quantize": _quantize,
    "product": _product,
}
