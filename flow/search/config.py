"""The configuration of a search: a TOML file as typed sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from bitlathe.flow.hardware.latency import CYCLE_MODEL, RTL, RUNGS
from bitlathe.flow.network.request import Normalization
from bitlathe.hls.target.config import find_target
from bitlathe.model.compress.methods import (
    PARAMETERS,
    BitPair,
    MethodParameters,
    PruneParameters,
    QuantizeParameters,
    check_bits,
)
from bitlathe.model.graph.errors import BitlatheError, FormatError
from bitlathe.model.graph.files.settings import WrongValue, about, demand
from bitlathe.model.graph.files.toml_sections import Keys, TomlDocument, read_toml
from bitlathe.model.search import Baseline, Judge, Rule, SearchSettings, find_rule
from bitlathe.model.train import Precision, Schedule, TrainConfig

_PAPER_SHARE = 0.3  # of the channels, where P says how many go in an epoch and not how many in all


class Mode(Enum):
    """How Algorithm 1 is read where its text leaves a choice; docs/search.md has the table."""

    WELL_POSED = "well-posed"
    LITERAL = "literal"


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
            with about(key):
                TrainConfig(**{key: value})

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that training itself uses."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["epoch_images"]  # the lab's
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSection(SearchSettings):
    """[search]: how a choice is made."""

    mode: Mode = Mode.WELL_POSED
    judge: Judge = Judge.HELD_OUT
    held_out: int = 5000  # training images that candidates are judged on
    deployment: BitPair = (8, 8)  # of a state no Q has been chosen for

    def __post_init__(self) -> None:
        SearchSettings.__post_init__(self)
        demand(self, "held_out", self.held_out >= 1, "1 or more")
        check_bits("deployment", self.deployment)
        if self.mode is Mode.LITERAL and (self.probe is not None or self.tie):
            raise WrongValue("", "literal mode has no probe and no tie; leave them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySection:
    """[latency]: where the network is to run, and how its latency is learned."""

    target: str = "pynq-z2"
    rungs: tuple[str, ...] = (CYCLE_MODEL, RTL)  # the truest decides; boards are named on the command line

    def __post_init__(self) -> None:
        with about("target"):
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
    bits: BitPair | None = None  # of `ordinary` and `greedy`; the first of [methods.Q] if not given

    def __post_init__(self) -> None:
        epochs = self.quantized_epochs
        demand(self, "quantized_epochs", epochs is None or epochs >= 1, "1 or more, or leave it out")
        demand(self, "latency_share", 0 < self.latency_share <= 1, "more than 0 and at most 1")
        if self.bits is not None:
            check_bits("bits", self.bits)

    def shaping(self, kind: Baseline) -> dict[str, Any]:
        """The settings that decide a baseline's choices, without those at their defaults."""
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
    methods: Mapping[str, tuple[MethodParameters, ...]]  # by letter, in the order that breaks ties
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
    def prune(self) -> tuple[PruneParameters, ...]:
        """The parameters of each P."""
        return tuple(one for one in self.methods.get("P", ()) if isinstance(one, PruneParameters))

    @property
    def quantize(self) -> tuple[QuantizeParameters, ...]:
        """The parameters of each Q."""
        return tuple(one for one in self.methods.get("Q", ()) if isinstance(one, QuantizeParameters))

    @property
    def rule(self) -> Rule:
        """The rule with its parameters."""
        return find_rule(self.rule_name, self.rule_parameters)

    def identity(self, rungs: Sequence[str], baseline: Baseline | None = None) -> dict[str, Any]:
        """All settings that decide the choices of the search, or of a baseline, as plain values.

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
_OLD_NAMES = {"criteria": "criterion", "stages": "stage"}  # of [methods.P]


def read_config(path: Path) -> SearchConfig:
    """A configuration; FormatError names file, line and key of what is wrong."""
    document = read_toml(path)
    document.check_keys((), _SECTIONS)
    name, parameters = _rule(document)
    search = document.section(("search",), SearchSection)
    return SearchConfig(
        network=document.section(("network",), NetworkSection),
        training=document.section(("training",), TrainingSection),
        search=search,
        rule_name=name,
        rule_parameters=parameters,
        methods=_methods(document, search.mode),
        latency=document.section(("latency",), LatencySection),
        baselines=document.section(("baselines",), BaselinesSection),
        document=document,
    )


def _methods(document: TomlDocument, mode: Mode) -> dict[str, tuple[MethodParameters, ...]]:
    """Every table of [methods], as many methods as its lists make."""
    document.check_keys(("methods",), PARAMETERS)
    given = document.table("methods")
    if not given:
        raise document.wrong(("methods",), f"is missing; give some of {', '.join(PARAMETERS)}")
    _check_product(document, mode)
    return {
        letter: document.choices(("methods", letter), kind, _OLD_NAMES, _usual(letter, given[letter]))
        for letter, kind in PARAMETERS.items()
        if letter in given
    }


def _usual(letter: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """A search's default for a key that a method's table leaves out."""
    return {"share": _PAPER_SHARE} if letter == "P" and "channels" in table else {}


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
    """Raise FormatError where PQ would tie weights that no quantizer is ever on for."""
    methods = document.table("methods")
    if "PQ" in methods and "Q" not in methods:
        raise document.wrong(
            ("methods", "PQ"), "ties the weights of a quantized network; give [methods.Q] too"
        )
    if "PQ" in methods and mode is Mode.LITERAL:
        raise document.wrong(
            ("methods", "PQ"), "needs a Q that lasts, and in literal mode none does; leave it out"
        )


def _plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
