"""A search's configuration is read as typed values; what is wrong is told of by file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import ROOT

from bitlathe.flow.errors import UsageError
from bitlathe.flow.search_config import Baseline, Mode, read_config
from bitlathe.model.prune.groups import Scope
from bitlathe.model.search import Judge
from bitlathe.model.train import Schedule

CONFIGURATIONS = sorted((*ROOT.glob("examples/search/*.toml"), *ROOT.glob("benchmarks/search/*.toml")))

GOOD = """\
[network]
name = "lenet5"

[training]
epochs = 4
lr = 1

[search]
probe = 0.5

[methods.P]
channels = 8
scope = "all"

[methods.Q]
bits = [[8, 8], [4, 8]]

[rule]
name = "feasible"
delta = 0.02
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "search.toml"
    path.write_text(text)
    return path


def test_a_configuration_becomes_typed_values(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    assert (config.network.name, config.training.epochs, config.training.lr) == ("lenet5", 4, 1.0)
    assert config.training.schedule is Schedule.COSINE
    assert (config.search.mode, config.search.judge) == (Mode.WELL_POSED, Judge.HELD_OUT)
    assert config.prune is not None and config.prune.scope is Scope.ALL
    assert config.quantize is not None and config.quantize.bits == ((8, 8), (4, 8))
    assert config.train is None
    assert dict(config.rule_parameters) == {"delta": 0.02}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda p: p.stem)
def test_every_example_is_read(path: Path) -> None:
    config = read_config(path)
    assert config.training.epochs > 0
    assert set(config.baselines.run) <= set(Baseline)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 4", 'epochs = "four"', "5: training.epochs: is 'four'; give a whole number"),
        ("epochs = 4", "epochs = true", "5: training.epochs: is True; give a whole number"),
        ("epochs = 4\n", "", "4: training.epochs: is missing"),
        ("lr = 1", "learning_rate = 1", "6: training.learning_rate: is unknown; "),
        ("lr = 1", "momentun = 0.9", "6: training.momentun: is unknown; did you mean momentum?"),
        ("probe = 0.5", "probe = 1.5", "8: search: search: a probe of 1.5 of an epoch; give a share"),
        ("probe = 0.5", 'mode = "loose"', "9: search.mode: is 'loose'; give one of 'well-posed', 'literal'"),
        ("[[8, 8], [4, 8]]", "[[8, 8], 4]", "16: methods.Q.bits: is [[8, 8], 4]; give a list of entries"),
        ('scope = "all"', 'criteria = ["luck"]', "11: methods.P: luck: no such criterion; choose one of std"),
        ('scope = "all"', "criteria = []", "11: methods.P: criteria: is empty; name one at least"),
        ('scope = "all"', "stages = []", "11: methods.P: stages: is empty; name one at least"),
        ('scope = "all"', 'criterion = "l1"', "13: methods.P.criterion: is unknown; did you mean criteria?"),
        ("[methods.P]", "[methods.R]", "11: methods.R: is unknown; "),
        ("[rule]", "[rules]", "18: rules: is unknown; did you mean rule?"),
        ('"feasible"', '"fastest"', "19: rule.name: no rule is called fastest; choose one of accuracy"),
        ("delta = 0.02", "beta = 0.02", "19: rule.name: rule feasible has no parameter beta; it takes delta"),
        ("delta = 0.02", "delta = ", "is no TOML: Invalid value (at line 20, column 9)"),
    ],
)
def test_what_is_wrong_is_told_of_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(message)):
        read_config(path)


def test_a_configuration_without_methods_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[network]\nname = "lenet5"\n[training]\nepochs = 1\n')
    with pytest.raises(UsageError, match=r"methods: is missing; give some of P, Q, W, PQ, T"):
        read_config(path)


def test_a_missing_file_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read \(No such file"):
        read_config(tmp_path / "none.toml")


def test_literal_mode_refuses_what_it_has_not(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("probe = 0.5", 'probe = 0.5\nmode = "literal"'))
    with pytest.raises(UsageError, match="literal mode has no probe and no tie"):
        read_config(path)


def test_the_identity_is_what_decides_the_choices(tmp_path: Path) -> None:
    first = read_config(written(tmp_path, GOOD)).identity()
    same = read_config(written(tmp_path, GOOD + '[baselines]\nrun = ["ordinary"]\n')).identity()
    other = read_config(written(tmp_path, GOOD.replace("lr = 1", "lr = 2"))).identity()
    assert first == same
    assert first != other
