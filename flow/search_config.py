"""The configuration of a search: a TOML file as typed sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bitlathe.flow.errors import UsageError
from bitlathe.flow.latency import CYCLE_MODEL, RTL
from bitlathe.flow.request import Normalization
from bitlathe.flow.toml_sections import TomlDocument, read_section, read_toml
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.prune.groups import Scope
from bitlathe.model.prune.influence import Influence
from bitlathe.model.prune.masks import Scope as WeightScope
from bitlathe.model.prune.scores import find_criterion
from bitlathe.model.search import Judge, Rule, SearchSettings, find_rule
from bitlathe.model.train import Precision, Schedule


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

    name: str  # in the zoo, or FILE.py:FUNCTION
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSection:
    """[search]: how a choice is made."""

    mode: Mode = Mode.WELL_POSED
    judge: Judge = Judge.HELD_OUT
    held_out: int = 5000  # training images that judge
    deployment: tuple[int, int] = (
        8,
        8,
    )  # bits of weights and activations of a state no Q has been chosen for
    probe: float | None = None
    audited_epochs: int = 1
    least_agreement: float = 0.5
    tie: float = 0.0

    @property
    def settings(self) -> SearchSettings:
        """What the search itself takes of it."""
        return SearchSettings(
            probe=self.probe,
            audited_epochs=self.audited_epochs,
            least_agreement=self.least_agreement,
            tie=self.tie,
        )

    def __post_init__(self) -> None:
        _ = self.settings  # made here, so that a value out of its range is told of with its line
        if self.mode is Mode.LITERAL and (self.probe is not None or self.tie):
            raise UsageError("literal mode has no probe and no tie; leave them out")


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
                raise UsageError(f"{key}: is empty; name one at least")
        for name in self.criteria:
            find_criterion(name)

    @property
    def criterion(self) -> str:
        """The first: of the baselines, which know but one."""
        return self.criteria[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeSection:
    """[methods.Q]: one method for each pair of bits."""

    bits: tuple[tuple[int, int], ...]  # weights, activations
    full: tuple[str, ...] = ()  # layers that stay at 8 bits whatever is chosen
    threshold_lr: float = 0.0
    per_channel: bool = True
    calibration_images: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSection:
    """[methods.W]: single weights set to 0, a growing share in each epoch that chooses W."""

    sparsity: float  # share at the end
    rounds: int = 4  # epochs it takes
    influence: Influence = Influence.MAGNITUDE
    scope: WeightScope = WeightScope.GLOBAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSection:
    """[methods.PQ]: weights as codewords, once a Q is on."""

    length: int = 8  # weights a codeword of a convolution
    dense_length: int = 16
    codewords: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMethodSection:
    """[methods.T]: train on, change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySection:
    """[latency]: where the network is to run, and how its latency is learned."""

    target: str = "pynq-z2"
    rungs: tuple[str, ...] = (CYCLE_MODEL, RTL)  # the truest decides; boards are named on the command line


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesSection:
    """[baselines]: what to compare with."""

    run: tuple[Baseline, ...] = ()
    quantized_epochs: int | None = (
        None  # last epochs of `ordinary`; two in seven if not given, as in the paper
    )
    latency_share: float = 0.6  # of the reference's, that `greedy` and `knapsack` aim at
    bits: tuple[int, int] | None = None  # of `ordinary` and `greedy`; the first of [methods.Q] if not given


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
    path: Path

    @property
    def rule(self) -> Rule:
        """The rule with its parameters."""
        return find_rule(self.rule_name, self.rule_parameters)

    def identity(self) -> dict[str, Any]:
        """What decides the choices, as plain values; the baselines and the file's place do not."""
        parts = asdict(self)
        del parts["baselines"], parts["path"]
        return {name: _plain(value) for name, value in parts.items()}


_SECTIONS = ("network", "training", "search", "rule", "methods", "latency", "baselines")
_METHODS = ("P", "Q", "W", "PQ", "T")


def read_config(path: Path) -> SearchConfig:
    """A configuration; UsageError names file, line and key of what is wrong."""
    document = read_toml(path)
    document.check_keys((), _SECTIONS)
    document.check_keys(("methods",), _METHODS)
    if not document.table("methods"):
        raise document.wrong(("methods",), f"is missing; give some of {', '.join(_METHODS)}")
    name, parameters = _rule(document)
    return SearchConfig(
        network=read_section(document, ("network",), NetworkSection),
        training=read_section(document, ("training",), TrainingSection),
        search=read_section(document, ("search",), SearchSection),
        rule_name=name,
        rule_parameters=parameters,
        prune=_method(document, "P", PruneSection),
        quantize=_method(document, "Q", QuantizeSection),
        weights=_method(document, "W", WeightsSection),
        product=_method(document, "PQ", ProductSection),
        train=_method(document, "T", TrainMethodSection),
        latency=read_section(document, ("latency",), LatencySection),
        baselines=read_section(document, ("baselines",), BaselinesSection),
        path=path,
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


def _method(document: TomlDocument, name: str, kind: type[Any]) -> Any:
    return read_section(document, ("methods", name), kind) if name in document.table("methods") else None


def _plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
