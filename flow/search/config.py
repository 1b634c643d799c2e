"""The configuration of a search as typed sections, from a TOML file or from the arguments of a call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from bitlathe.flow.errors import UsageError
from bitlathe.flow.hardware.latency import CYCLE_MODEL, RTL, RUNGS
from bitlathe.flow.network.request import AUTO, ImageSize, TeacherRequest, teacher_request
from bitlathe.flow.network.subject import Subject
from bitlathe.hls.target.config import find_target
from bitlathe.model.compress.methods import (
    PARAMETERS,
    BitPair,
    MethodParameters,
    PruneParameters,
    QuantizeParameters,
    check_bits,
)
from bitlathe.model.data import Dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.files.settings import WrongValue, about, check_keys, demand
from bitlathe.model.graph.files.toml_sections import Keys, Sections, read_toml
from bitlathe.model.graph.normalization import Normalization
from bitlathe.model.search import Baseline, Judge, LatencyBudget, Rule, SearchSettings, find_rule
from bitlathe.model.search.budget import BUDGETS
from bitlathe.model.search.rules import RULES, parameters_of
from bitlathe.model.train import Precision, Schedule, TaskMetric, TrainConfig
from bitlathe.model.train.teacher import Teaching

FEASIBLE, BUDGET = "feasible", "budget"  # the rules where none is named, without and with a budget
USUAL_SHARE = 0.6  # of the reference's latency, that baselines aim at where there is no budget
_TEACHER = ("teacher", "teacher_weights", "teacher_share", "teacher_temperature")  # of [training]
_PAPER_SHARE = 0.3  # of the channels, where P says how many go in an epoch and not how many in all


class Mode(Enum):
    """How Algorithm 1 is read where its text leaves a choice; docs/search.md has the table."""

    WELL_POSED = "well-posed"
    LITERAL = "literal"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """[network]: what to compress, by names."""

    name: str  # in the zoo, FILE.py:FUNCTION or FILE.onnx
    dataset: str | None = None  # name, folder of pictures, FILE.npz or FILE.py:FUNCTION
    image_size: ImageSize | None = None  # that a folder's pictures are resized to
    weights: Path | None = None  # else the package's own, else random ones
    normalize: str = AUTO

    def __post_init__(self) -> None:
        with about("normalize"):
            self.normalization  # noqa: B018  # refused where it is written

    @property
    def normalization(self) -> Normalization | None:
        """What the weights were trained to see; None for what they are known for."""
        return None if self.normalize == AUTO else Normalization.parse(self.normalize)


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
    loss: str | None = None  # a name or FILE.py:FUNCTION; what suits labels and outputs if not given
    teacher: str | None = None  # a trained network whose answers are learned too; as `name` of [network]
    teacher_weights: Path | None = None
    teacher_share: float | None = None  # of the loss
    teacher_temperature: float | None = None

    def __post_init__(self) -> None:
        images = self.epoch_images
        demand(self, "epoch_images", images is None or images >= 1, "1 or more, or leave it out for all")
        for key, value in self.settings.items():
            with about(key):
                TrainConfig(**{key: value})
        for key in ("share", "temperature"):
            value = getattr(self, f"teacher_{key}")
            with about(f"teacher_{key}"):
                Teaching(**({} if value is None else {key: value}))
        for key in _TEACHER[1:]:
            idle = self.teacher is None and getattr(self, key) is not None
            demand(self, key, not idle, "a teacher too, or leave it out")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that training itself uses."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for key in ("epoch_images", "loss", *_TEACHER):  # the lab's
            del values[key]
        return values

    @property
    def taught_by(self) -> TeacherRequest | None:
        """The teacher, if there is one."""
        return teacher_request(
            self.teacher, self.teacher_weights, self.teacher_share, self.teacher_temperature
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSection(SearchSettings):
    """[search]: how a choice is made."""

    mode: Mode = Mode.WELL_POSED
    judge: Judge = Judge.HELD_OUT
    held_out: int = 5000  # training images that candidates are judged on
    deployment: BitPair = (8, 8)  # of a state no Q has been chosen for
    metric: str | None = None  # as `loss` of [training], what judges candidates and the result

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
    budget_ms: float | None = None  # that the network found must meet, or
    budget_cycles: int | None = None

    def __post_init__(self) -> None:
        self.budget  # noqa: B018  # checks it
        with about("target"):
            find_target(self.target)
        for name in self.rungs:
            if name not in RUNGS:
                raise WrongValue("rungs", f"no rung is called {name}; choose of {', '.join(RUNGS)}")

    @property
    def budget(self) -> LatencyBudget | None:
        """The most that an image may take."""
        return LatencyBudget.of(self.budget_ms, self.budget_cycles)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesSection:
    """[baselines]: what to compare with."""

    run: tuple[Baseline, ...] = ()
    quantized_epochs: int | None = (
        None  # last epochs of `ordinary`; two in seven if not given, as in the paper
    )
    latency_share: float | None = None  # of the reference's, that `greedy` and `knapsack` aim at
    bits: BitPair | None = None  # of `ordinary` and `greedy`; the first of [methods.Q] if not given

    def __post_init__(self) -> None:
        epochs = self.quantized_epochs
        demand(self, "quantized_epochs", epochs is None or epochs >= 1, "1 or more, or leave it out")
        share = self.latency_share
        demand(self, "latency_share", share is None or 0 < share <= 1, "more than 0 and at most 1")
        if self.bits is not None:
            check_bits("bits", self.bits)

    def shaping(self, kind: Baseline) -> dict[str, Any]:
        """The settings that decide a baseline's choices, without those at their defaults."""
        default = BaselinesSection()
        own = {name: getattr(self, name) for name in _SHAPING[kind]}
        if own.get("latency_share") == USUAL_SHARE:
            del own["latency_share"]
        return {name: value for name, value in own.items() if value != getattr(default, name)}


_SHAPING: Mapping[Baseline, tuple[str, ...]] = {
    Baseline.ORDINARY: ("quantized_epochs", "bits"),
    Baseline.GREEDY: ("latency_share", "bits"),
    Baseline.KNAPSACK: ("latency_share",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """A whole configuration."""

    network: NetworkSection | Subject  # named, or handed in with its data set
    training: TrainingSection
    search: SearchSection
    rule_name: str
    rule_parameters: Mapping[str, Any]
    methods: Mapping[str, tuple[MethodParameters, ...]]  # by letter, in the order that breaks ties
    latency: LatencySection
    baselines: BaselinesSection
    written: Sections  # where all of it was written
    instead: Mapping[str, float | str] = field(default_factory=dict)  # given in place of what is written

    def wrong(self, keys: Keys, what: str) -> BitlatheError:
        """Error about a key, with file and line or the name of the argument."""
        return self.written.wrong(keys, what)

    @property
    def prune(self) -> tuple[PruneParameters, ...]:
        """The parameters of each P."""
        return tuple(one for one in self.methods.get("P", ()) if isinstance(one, PruneParameters))

    @property
    def quantize(self) -> tuple[QuantizeParameters, ...]:
        """The parameters of each Q."""
        return tuple(one for one in self.methods.get("Q", ()) if isinstance(one, QuantizeParameters))

    def rule(self, metric: TaskMetric) -> Rule:
        """The rule with its parameters, in the unit of a metric; the error of `wrong` for a misfit."""
        try:
            return find_rule(self.rule_name, self.rule_parameters, metric)
        except BitlatheError as error:
            raise self.wrong(("rule", "name"), str(error)) from error

    @property
    def budget(self) -> LatencyBudget | None:
        """The budget that the network found must meet: the search's, else the rule's own."""
        of_rule = self.rule_parameters if self.rule_name in RULES else {}
        return self.latency.budget or LatencyBudget.of(*map(of_rule.get, BUDGETS))

    @property
    def settings(self) -> dict[str, Any]:
        """All sections as plain values."""
        names = (each.name for each in fields(self) if each.name not in ("written", "instead"))
        return {name: _plain(getattr(self, name)) for name in names}

    def identity(
        self, rungs: Sequence[str], baseline: Baseline | None = None, dataset: Dataset | None = None
    ) -> dict[str, Any]:
        """All settings that decide the choices of the search, or of a baseline, as plain values.

        `rungs` are the names of the ladder's, boards among them where there are any. Of a baseline's own
        settings those at their defaults are left out. A `dataset` that its name does not tell is told by its
        images, wherever they were found.
        """
        parts = self.settings
        del parts["baselines"]
        parts["latency"] |= {"rungs": list(rungs)}
        free = (
            *(("training", key) for key in ("loss", *_TEACHER)),
            ("search", "metric"),
            *(("latency", key) for key in BUDGETS),
        )
        for section, key in free:
            if parts[section][key] is None:  # as an earlier version wrote it
                del parts[section][key]
        parts["network"].pop("image_size", None)  # the images tell
        if dataset is not None and not dataset.is_known:
            parts["network"]["dataset"] = dataset.identity
        if baseline is not None and (own := self.baselines.shaping(baseline)):
            parts["baselines"] = _plain(own)
        return parts


_SECTIONS = ("network", "training", "search", "rule", "methods", "latency", "baselines")
_FREE: Mapping[str, type[Any]] = {
    "training": TrainingSection,
    "search": SearchSection,
    "latency": LatencySection,
    "baselines": BaselinesSection,
}
_OLD_NAMES = {"criteria": "criterion", "stages": "stage"}  # of [methods.P]


def read_config(path: Path, instead: Mapping[str, float | str] | None = None) -> SearchConfig:
    """A configuration, with a key of BUDGETS, `metric` or `loss` in place of what it says of them.

    FormatError names file, line and key of what is wrong.
    """
    document = read_toml(path)
    document.check_keys((), _SECTIONS)
    if instead:
        document = replace(document, values=_replaced(document, instead))
    read = _config(document, document.section(("network",), NetworkSection), _methods(document))
    return replace(read, instead=instead or {})


def config_of(
    network: NetworkSection | Subject,
    methods: Sequence[MethodParameters],
    rule: str | None,
    rule_parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> SearchConfig:
    """The configuration that arguments make; `settings` are keys of all other sections, by their names.

    `run` of [baselines] goes by the name of its section. UsageError names the argument that is wrong.
    """
    keys = {field.name: (section, field.name) for section, kind in _FREE.items() for field in fields(kind)}
    keys["baselines"] = keys.pop("run")
    values: dict[str, dict[str, Any]] = {"rule": {**rule_parameters, **({"name": rule} if rule else {})}}
    written = CallArguments(values=values)
    with written.placed(("training",)):
        check_keys(settings, keys)
    for name, value in settings.items():
        section, key = keys[name]
        values.setdefault(section, {})[key] = _plain(value)
    for method in methods:
        if type(method) not in PARAMETERS.values():
            names = ", ".join(kind.__name__ for kind in PARAMETERS.values())
            raise written.wrong(("methods",), f"has a {type(method).__name__}; give {names}")
    chosen = {letter: tuple(m for m in methods if type(m) is kind) for letter, kind in PARAMETERS.items()}
    return _config(written, network, {letter: several for letter, several in chosen.items() if several})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArguments(Sections):
    """Arguments of a call, each in the section that has its key."""

    def wrong(self, keys: Keys, what: str) -> UsageError:
        """Error about an argument; of a method it names the key too."""
        if keys[0] == "methods" and len(keys) > 1:
            return UsageError(f"`methods`: {'.'.join(keys[1:])}: {what}")
        return UsageError(f"`{keys[0] if keys[0] == 'rule' or keys[-1] == 'run' else keys[-1]}`: {what}")


def _config(
    written: Sections,
    network: NetworkSection | Subject,
    methods: Mapping[str, tuple[MethodParameters, ...]],
) -> SearchConfig:
    """All sections but the network's and the methods' as they are written."""
    latency = written.section(("latency",), LatencySection)
    name, parameters = _rule(written, latency)
    search = written.section(("search",), SearchSection)
    _check_methods(written, methods, search.mode)
    return SearchConfig(
        network=network,
        training=written.section(("training",), TrainingSection),
        search=search,
        rule_name=name,
        rule_parameters=parameters,
        methods=methods,
        latency=latency,
        baselines=written.section(("baselines",), BaselinesSection),
        written=written,
    )


def _methods(document: Sections) -> dict[str, tuple[MethodParameters, ...]]:
    """Every table of [methods], as many methods as its lists make."""
    document.check_keys(("methods",), PARAMETERS)
    given = document.table("methods")
    return {
        letter: document.choices(("methods", letter), kind, _OLD_NAMES, _usual(letter, given[letter]))
        for letter, kind in PARAMETERS.items()
        if letter in given
    }


def _usual(letter: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """A search's default for a key that a method's table leaves out."""
    return {"share": _PAPER_SHARE} if letter == "P" and "channels" in table else {}


_REPLACEABLE = {"metric": "search", "loss": "training"}  # keys by section; a budget is in two


def _replaced(document: Sections, instead: Mapping[str, float | str]) -> dict[str, Any]:
    """Values with another budget, metric or loss."""
    values = dict(document.values)
    if budget := {key: value for key, value in instead.items() if key in BUDGETS}:
        for name in ("latency", "rule"):
            table = document.table(name).items()
            values[name] = {key: value for key, value in table if key not in BUDGETS}
        values["latency"] |= budget
    for key, section in _REPLACEABLE.items():
        if key in instead:
            values[section] = {**document.table(section), key: instead[key]}
    return values


def _rule(document: Sections, latency: LatencySection) -> tuple[str, dict[str, Any]]:
    """Name and parameters; every key but `name` is the rule's own.

    A rule that takes a budget gets the search's, in milliseconds at the target's clock if it knows no other.
    """
    parameters = dict(document.table("rule"))
    name = parameters.pop("name", FEASIBLE if latency.budget is None else BUDGET)
    if not isinstance(name, str):
        raise document.wrong(("rule", "name"), f"is {name!r}; give a text")
    own = [key for key in BUDGETS if key in parameters]
    if own and latency.budget is not None:
        raise document.wrong(("rule", own[0]), "stands beside a budget of the search; give it once")
    try:
        if latency.budget is not None:
            parameters |= _budget_for(parameters_of(name), latency)
        find_rule(name, parameters)
    except BitlatheError as error:
        raise document.wrong(("rule", "name"), str(error)) from error
    return name, parameters


def _budget_for(words: Collection[str], latency: LatencySection) -> dict[str, float]:
    """The search's budget by the parameter of a rule that takes it; empty for a rule that takes none."""
    in_ms, cycles = latency.budget_ms, latency.budget_cycles
    if cycles is not None and "budget_cycles" in words:
        return {"budget_cycles": cycles}
    if in_ms is None:
        assert cycles is not None
        in_ms = find_target(latency.target).milliseconds(cycles)
    return {"budget_ms": in_ms} if "budget_ms" in words else {}


def _check_methods(written: Sections, letters: Collection[str], mode: Mode) -> None:
    """Refuse no method at all, and a PQ where no quantizer would ever be on to tie the weights of."""
    if not letters:
        raise written.wrong(("methods",), f"is missing; give some of {', '.join(PARAMETERS)}")
    if "PQ" in letters and "Q" not in letters:
        raise written.wrong(("methods", "PQ"), "ties the weights of a quantized network; give a Q too")
    if "PQ" in letters and mode is Mode.LITERAL:
        raise written.wrong(
            ("methods", "PQ"), "needs a Q that lasts, and in literal mode none does; leave it out"
        )


def _plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    if isinstance(value, Subject):
        return value.identity
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
