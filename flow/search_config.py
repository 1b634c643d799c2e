"""The configuration of a search: a TOML file as typed sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from enum import Enum
from math import inf
from pathlib import Path
from typing import Any

from bitlathe.flow.latency import CYCLE_MODEL, RTL, RUNGS
from bitlathe.flow.request import Normalization
from bitlathe.hls.config import find_target
from bitlathe.model.graph.errors import BitlatheError, FormatError
from bitlathe.model.graph.files.toml_sections import (
    Keys,
    TomlDocument,
    WrongValue,
    demand,
    read_section,
    read_toml,
)
from bitlathe.model.product.config import LayerCodes
from bitlathe.model.prune.groups import Scope
from bitlathe.model.prune.influence import Influence
from bitlathe.model.prune.masks import Scope as WeightScope
from bitlathe.model.prune.masks import SparsityTarget
from bitlathe.model.prune.scores import find_criterion
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import Judge, Rule, SearchSettings, find_rule
from bitlathe.model.train import Precision, Schedule, TrainConfig

Bits = tuple[int, int]  # of weights, of activations


class Mode(Enum):
    """How Algorithm 1 is read where its text leaves a choice; docs/search.md has the table."""

    WELL_POSED = "well-posed"
    LITERAL = "literal"


class Baseline(Enum):
    """What the search is compared with, at equal epochs."""

    ORDINARY = "ordinary"  # prune, train on, then fine-tune quantized
    GREEDY = "greedy"  # NetAdapt: layer by layer, the most milliseconds for the least accuracy
    KNAPSACK = "knapsack"  # widths and bits by integer programming on the cycle model, then fine-tune


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """[network]: what to compress."""

    name: str  # in the zoo, FILE.py:FUNCTION or FILE.onnx
    dataset: str | None = None
    weights: Path | None = None  # else the package's own, else random ones
    normalize: Normalization = Normalization.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSection:
    """[training]: how every epoch trains; the names are those of `bitlathe train`."""

    epochs: int
    epoch_images: int | None = None  # random training images that an epoch takes; all if not given
    batch_size: int = 128
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = Schedule.COSINE
    label_smoothing: float = 0.0
    augment: bool = False
    precision: Precision = Precision.FLOAT32
    seed: int = 0
    threads: int = 1  # of each candidate; results depend on it

    def __post_init__(self) -> None:
        images = self.epoch_images
        demand(self, "epoch_images", images is None or images >= 1, "1 or more, or leave it out for all")
        for key, value in self.settings.items():
            with _about(key):
                TrainConfig(**{key: value})

    @property
    def settings(self) -> dict[str, Any]:
        """What the training itself takes of it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["epoch_images"]  # the lab's
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSection:
    """[search]: how a choice is made."""

    mode: Mode = Mode.WELL_POSED
    judge: Judge = Judge.HELD_OUT
    held_out: int = 5000  # training images that judge
    deployment: Bits = (8, 8)  # of a state no Q has been chosen for
    probe: float | None = None
    audited_epochs: int = 1
    least_agreement: float = 0.5
    tie: float = 0.0

    def __post_init__(self) -> None:
        demand(self, "held_out", self.held_out >= 1, "1 or more")
        _check_bits("deployment", self.deployment)
        for field in fields(SearchSettings):
            with _about(field.name):
                SearchSettings(**{field.name: getattr(self, field.name)})
        if self.mode is Mode.LITERAL and (self.probe is not None or self.tie):
            raise FormatError("literal mode has no probe and no tie; leave them out")

    @property
    def settings(self) -> SearchSettings:
        """What the search itself takes of it."""
        return SearchSettings(**{field.name: getattr(self, field.name) for field in fields(SearchSettings)})


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSection:
    """[methods.P]: channels removed in each epoch that chooses P, up to a share of those that can be."""

    channels: int
    share: float = 0.3  # of the channels in scope, at the end
    criteria: tuple[str, ...] = ("l2",)  # one method for each: what ranks the channels
    scope: Scope = Scope.INTERNAL
    floor: int = 1
    lanes: tuple[int, ...] = (1,)  # one method for each: so many channels go together
    stages: tuple[str, ...] = ("",)  # one method for each: layers whose names begin so
    skip: tuple[str, ...] = ()
    required: bool = True  # the share must be reached by the end, else it is only a bound

    def __post_init__(self) -> None:
        for key in ("criteria", "lanes", "stages"):
            if not getattr(self, key):
                raise WrongValue(key, "is empty; name one at least")
        for name in self.criteria:
            with _about("criteria"):
                find_criterion(name)
        demand(self, "channels", self.channels >= 1, "1 or more")
        demand(self, "share", 0 < self.share <= 1, "more than 0 and at most 1")
        demand(self, "floor", self.floor >= 1, "1 or more")
        demand(self, "lanes", min(self.lanes) >= 1, "numbers of 1 or more")
        blocks = all(self.channels % lanes == 0 for lanes in self.lanes)
        demand(self, "channels", blocks, f"a multiple of lanes, {', '.join(map(str, self.lanes))}")

    @property
    def criterion(self) -> str:
        """The first: of the baselines, which know but one."""
        return self.criteria[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeSection:
    """[methods.Q]: one method for each pair of bits."""

    bits: tuple[Bits, ...]
    full: tuple[str, ...] = ()  # layers that stay at 8 bits whatever is chosen
    threshold_lr: float = 0.0
    per_channel: bool = True
    calibration_images: int = 512

    def __post_init__(self) -> None:
        demand(self, "bits", bool(self.bits), "one pair at least, such as [[8, 8]]")
        for pair in self.bits:
            _check_bits("bits", pair)
        demand(self, "threshold_lr", 0 <= self.threshold_lr < inf, "0 or more")
        demand(self, "calibration_images", self.calibration_images >= 1, "1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSection:
    """[methods.W]: single weights set to 0, a growing share in each epoch that chooses W."""

    sparsity: float  # share at the end
    rounds: int = 4  # epochs it takes
    influence: Influence = Influence.MAGNITUDE
    scope: WeightScope = WeightScope.GLOBAL

    def __post_init__(self) -> None:
        demand(self, "rounds", self.rounds >= 1, "1 or more")
        with _about("sparsity"):
            SparsityTarget(sparsity=self.sparsity)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSection:
    """[methods.PQ]: weights as codewords, once a Q is on."""

    length: int = 8  # weights a codeword of a convolution
    dense_length: int = 16
    codewords: int = 256

    def __post_init__(self) -> None:
        with _about("length"):
            LayerCodes(length=self.length)
        with _about("dense_length"):
            LayerCodes(length=self.dense_length)
        with _about("codewords"):
            LayerCodes(codewords=self.codewords)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMethodSection:
    """[methods.T]: train on, change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySection:
    """[latency]: where the network is to run, and how its latency is learned."""

    target: str = "pynq-z2"
    rungs: tuple[str, ...] = (CYCLE_MODEL, RTL)  # the truest decides; boards are named on the command line

    def __post_init__(self) -> None:
        with _about("target"):
            find_target(self.target)
        for name in self.rungs:
            if name not in RUNGS:
                raise WrongValue("rungs", f"no rung is called {name}; choose of {', '.join(RUNGS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesSection:
    """[baselines]: what to compare with."""

    run: tuple[Baseline, ...] = ()
    quantized_epochs: int | None = (
        None  # last epochs of `ordinary`; two in seven if not given, as in the paper
    )
    latency_share: float = 0.6  # of the reference's, that `greedy` and `knapsack` aim at
    bits: Bits | None = None  # of `ordinary` and `greedy`; the first of [methods.Q] if not given

    def __post_init__(self) -> None:
        epochs = self.quantized_epochs
        demand(self, "quantized_epochs", epochs is None or epochs >= 1, "1 or more, or leave it out")
        demand(self, "latency_share", 0 < self.latency_share <= 1, "more than 0 and at most 1")
        if self.bits is not None:
            _check_bits("bits", self.bits)

    def shaping(self, kind: Baseline) -> dict[str, Any]:
        """The settings that decide a baseline's choices, but for those at their defaults."""
        default = BaselinesSection()
        own = {name: getattr(self, name) for name in _SHAPING[kind]}
        return {name: value for name, value in own.items() if value != getattr(default, name)}


_SHAPING: Mapping[Baseline, tuple[str, ...]] = {
    Baseline.ORDINARY: ("quantized_epochs", "bits"),
    Baseline.GREEDY: ("latency_share", "bits"),
    Baseline.KNAPSACK: ("latency_share",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """A whole configuration."""

    network: NetworkSection
    training: TrainingSection
    search: SearchSection
    rule_name: str
    rule_parameters: Mapping[str, Any]
    prune: PruneSection | None
    quantize: QuantizeSection | None
    weights: WeightsSection | None
    product: ProductSection | None
    train: TrainMethodSection | None
    latency: LatencySection
    baselines: BaselinesSection
    document: TomlDocument

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.path

    def wrong(self, keys: Keys, what: str) -> FormatError:
        """Error about a key, with file and line."""
        return self.document.wrong(keys, what)

    @property
    def rule(self) -> Rule:
        """The rule with its parameters."""
        return find_rule(self.rule_name, self.rule_parameters)

    def identity(self, rungs: Sequence[str], baseline: Baseline | None = None) -> dict[str, Any]:
        """What decides the choices of the search, or of a baseline, as plain values.

        `rungs` are the names of the ladder's, boards among them where there are any. Of a baseline's own
        settings those at their defaults are left out.
        """
        parts = asdict(self)
        del parts["baselines"], parts["document"]
        parts["latency"]["rungs"] = rungs
        if baseline is not None and (own := self.baselines.shaping(baseline)):
            parts["baselines"] = own
        return {name: _plain(value) for name, value in parts.items()}


_SECTIONS = ("network", "training", "search", "rule", "methods", "latency", "baselines")
_METHODS = ("P", "Q", "W", "PQ", "T")


def read_config(path: Path) -> SearchConfig:
    """A configuration; FormatError names file, line and key of what is wrong."""
    document = read_toml(path)
    document.check_keys((), _SECTIONS)
    document.check_keys(("methods",), _METHODS)
    if not document.table("methods"):
        raise document.wrong(("methods",), f"is missing; give some of {', '.join(_METHODS)}")
    name, parameters = _rule(document)
    search = read_section(document, ("search",), SearchSection)
    _check_product(document, search.mode)
    return SearchConfig(
        network=read_section(document, ("network",), NetworkSection),
        training=read_section(document, ("training",), TrainingSection),
        search=search,
        rule_name=name,
        rule_parameters=parameters,
        prune=_method(document, "P", PruneSection),
        quantize=_method(document, "Q", QuantizeSection),
        weights=_method(document, "W", WeightsSection),
        product=_method(document, "PQ", ProductSection),
        train=_method(document, "T", TrainMethodSection),
        latency=read_section(document, ("latency",), LatencySection),
        baselines=read_section(document, ("baselines",), BaselinesSection),
        document=document,
    )


def _rule(document: TomlDocument) -> tuple[str, dict[str, Any]]:
    """Name and parameters; every key but `name` is the rule's own."""
    parameters = dict(document.table("rule"))
    name = parameters.pop("name", "feasible")
    if not isinstance(name, str):
        raise document.wrong(("rule", "name"), f"is {name!r}; give a text")
    try:
        find_rule(name, parameters)
    except BitlatheError as error:
        raise document.wrong(("rule", "name"), str(error)) from error
    return name, parameters


def _check_product(document: TomlDocument, mode: Mode) -> None:
    """Raise FormatError where no quantizer would ever be on for PQ to tie the weights of."""
    methods = document.table("methods")
    if "PQ" in methods and "Q" not in methods:
        raise document.wrong(
            ("methods", "PQ"), "ties the weights of a quantized network; give [methods.Q] too"
        )
    if "PQ" in methods and mode is Mode.LITERAL:
        raise document.wrong(
            ("methods", "PQ"), "needs a Q that lasts, and in literal mode none does; leave it out"
        )


def _method(document: TomlDocument, name: str, kind: type[Any]) -> Any:
    return read_section(document, ("methods", name), kind) if name in document.table("methods") else None


@contextmanager
def _about(key: str) -> Iterator[None]:
    """Tell of what the block finds wrong by the key."""
    try:
        yield
    except BitlatheError as error:
        raise WrongValue(key, str(error).removeprefix("training: ").removeprefix("search: ")) from error


def _check_bits(key: str, bits: Bits) -> None:
    """Raise WrongValue for bits that no integer network has."""
    with _about(key):
        QuantizeConfig(weight_bits=bits[0], activation_bits=bits[1]).check_integer()


def _plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
