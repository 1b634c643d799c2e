"""A search's configuration is read as typed values; what is wrong is reported by file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import ROOT

from bitlathe.flow.compress.stages import chosen
from bitlathe.flow.search.config import Mode, read_config
from bitlathe.model.compress.methods import PruneParameters, QuantizeParameters
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.prune.channels.groups import ChannelScope
from bitlathe.model.search import Baseline, Judge
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
    assert config.prune == (PruneParameters(channels=8, share=0.3, scope=ChannelScope.ALL),)
    assert config.quantize == (QuantizeParameters(bits=(8, 8)), QuantizeParameters(bits=(4, 8)))
    assert list(config.methods) == ["P", "Q"]
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
        ("probe = 0.5", "probe = 1.5", "9: search.probe: is 1.5; give a share of the epoch between"),
        ("probe = 0.5", 'mode = "loose"', "9: search.mode: is 'loose'; give one of 'well-posed', 'literal'"),
        (
            "[[8, 8], [4, 8]]",
            "[[8, 8], 4]",
            "16: methods.Q.bits: is [[8, 8], 4]; give a list of 2, each",
        ),
        (
            'scope = "all"',
            'criterion = ["luck"]',
            "13: methods.P.criterion: is 'luck'; give one of std, l1, l2",
        ),
        ('scope = "all"', "criterion = []", "13: methods.P.criterion: is empty; name one at least"),
        ('scope = "all"', "stages = []", "13: methods.P.stages: is empty; name one at least"),
        ('scope = "all"', 'criteria = ["luck"]', "13: methods.P.criteria: is 'luck'; give one of std"),
        (
            'scope = "all"',
            'stage = "a"\nstages = ["b"]',
            "14: methods.P.stages: is given twice; stage is its name now",
        ),
        ('scope = "all"', 'skips = ["a"]', "13: methods.P.skips: is unknown; did you mean skip?"),
        ("[methods.P]", "[methods.R]", "11: methods.R: is unknown; "),
        ("[rule]", "[rules]", "18: rules: is unknown; did you mean rule?"),
        ('"feasible"', '"fastest"', "19: rule.name: no rule is called fastest; choose one of accuracy"),
        ("delta = 0.02", "beta = 0.02", "19: rule.name: rule feasible has no parameter beta; it takes delta"),
        ("delta = 0.02", "delta = ", "is not valid TOML: Invalid value (at line 20, column 9)"),
    ],
)
def test_what_is_wrong_is_told_of_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(FormatError, match=re.escape(message)):
        read_config(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lr = 1",
            "epoch_images = -5",
            "6: training.epoch_images: is -5; give 1 or more, or leave it out for",
        ),
        ("lr = 1", "epoch_images = 0", "6: training.epoch_images: is 0; give 1 or more, or leave it out for"),
        ("epochs = 4", "epochs = 0", "5: training.epochs: is 0; give 1 or more"),
        ("lr = 1", "lr = -1.0", "6: training.lr: is -1.0; give more than 0"),
        ("lr = 1", "lr = inf", "6: training.lr: is inf; give more than 0"),
        ("lr = 1", "momentum = 0.0", "6: training.momentum: is 0.0; give a number between"),
        ("lr = 1", "seed = -1", "6: training.seed: is -1; give one of 0..2**63-1"),
        ("probe = 0.5", "tie = nan", "9: search.tie: is nan; give 0 or more"),
        (
            "probe = 0.5",
            "least_agreement = 2",
            "9: search.least_agreement: is 2.0; give a tau in -1..1",
        ),
        ("probe = 0.5", "audited_epochs = -1", "9: search.audited_epochs: is -1; give 0"),
        ("probe = 0.5", "held_out = 0", "9: search.held_out: is 0; give 1 or more"),
        (
            "probe = 0.5",
            "deployment = [99, 8]",
            "9: search.deployment: quantize: 99 bits for a network are not",
        ),
        ("channels = 8", "channels = 0", "12: methods.P.channels: is 0; give 1 or more"),
        ("channels = 8", "channels = -3", "12: methods.P.channels: is -3; give 1 or more"),
        ('scope = "all"', "share = 2.0", "13: methods.P.share: is 2.0; give more than 0 and at most 1"),
        ('scope = "all"', "share = -2.0", "13: methods.P.share: is -2.0; give more than 0 and at most 1"),
        ('scope = "all"', "floor = 0", "13: methods.P.floor: is 0; give 1 or more"),
        ('scope = "all"', "lanes = [0]", "13: methods.P.lanes: is 0; give 1 or more"),
        ('scope = "all"', "lanes = [4, 3]", "12: methods.P.channels: is 8; give a multiple of lanes, 3"),
        ("[[8, 8], [4, 8]]", "[]", "16: methods.Q.bits: is empty; name one at least"),
        (
            "[[8, 8], [4, 8]]",
            "[[32, 32]]",
            "16: methods.Q.bits: quantize: 32 bits are real numbers, which an",
        ),
        (
            "[[8, 8], [4, 8]]",
            "[[1, 8]]",
            "16: methods.Q.bits: quantize: 1 bits for a network are not supported",
        ),
        ("[rule]", "threshold_lr = -1.0\n[rule]", "18: methods.Q.threshold_lr: is -1.0; give 0 or more"),
        (
            "[rule]",
            "calibration_images = 0\n[rule]",
            "18: methods.Q.calibration_images: is 0; give 1 or more",
        ),
        (
            "[rule]",
            "[methods.W]\nsparsity = 0.5\nrounds = 0\n[rule]",
            "20: methods.W.rounds: is 0; give 1 or",
        ),
        (
            "[rule]",
            "[methods.W]\nsparsity = 2.0\n[rule]",
            "19: methods.W.sparsity: weight pruning: a sparsity",
        ),
        (
            "[rule]",
            "[methods.PQ]\nlength = 0\n[rule]",
            "19: methods.PQ.length: product quantization: 256 code",
        ),
        (
            "[rule]",
            "[methods.PQ]\ncodewords = 1\n[rule]",
            "19: methods.PQ.codewords: product quantization: 1 co",
        ),
        (
            "[rule]",
            '[latency]\nrungs = ["rtll"]\n[rule]',
            "19: latency.rungs: no rung is called rtll; choose of",
        ),
        (
            "[rule]",
            '[latency]\ntarget = "foo"\n[rule]',
            "19: latency.target: target 'foo' is unknown; choose",
        ),
        (
            "[rule]",
            "[baselines]\nquantized_epochs = 0\n[rule]",
            "19: baselines.quantized_epochs: is 0; give 1",
        ),
        (
            "[rule]",
            "[baselines]\nlatency_share = 0.0\n[rule]",
            "19: baselines.latency_share: is 0.0; give more",
        ),
        (
            "[rule]",
            "[baselines]\nbits = [8, 1]\n[rule]",
            "19: baselines.bits: quantize: 1 bits for a network",
        ),
        (
            "delta = 0.02",
            'delta = "0.01"',
            "19: rule.name: rule feasible: delta is '0.01'; give a finite number",
        ),
        ("delta = 0.02", 'cost = "foo"', "19: rule.name: no cost is called foo; choose one of latency_ms"),
    ],
)
def test_a_value_out_of_its_range_is_told_of_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(FormatError, match=f":{re.escape(message)}"):
        read_config(path)


def test_codewords_without_a_quantizer_that_lasts_are_refused(tmp_path: Path) -> None:
    alone = GOOD.replace("[methods.Q]\nbits = [[8, 8], [4, 8]]", "[methods.PQ]")
    with pytest.raises(FormatError, match=r"15: methods\.PQ: ties the weights of a quantized network; give"):
        read_config(written(tmp_path, alone))
    literal = GOOD.replace("probe = 0.5", 'mode = "literal"').replace("[rule]", "[methods.PQ]\n[rule]")
    with pytest.raises(FormatError, match=r"18: methods\.PQ: needs a Q that lasts, and in literal mode none"):
        read_config(written(tmp_path, literal))


def test_a_configuration_without_methods_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[network]\nname = "lenet5"\n[training]\nepochs = 1\n')
    with pytest.raises(FormatError, match=r"methods: is missing; give some of P, Q, W, PQ, T"):
        read_config(path)


def test_a_missing_file_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.toml: cannot be read \(No such file"):
        read_config(tmp_path / "none.toml")


def test_literal_mode_refuses_what_it_has_not(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("probe = 0.5", 'probe = 0.5\nmode = "literal"'))
    with pytest.raises(FormatError, match="literal mode has no probe and no tie"):
        read_config(path)


RUNGS = ("cycle-model", "rtl")


def test_the_identity_is_what_decides_the_choices(tmp_path: Path) -> None:
    first = read_config(written(tmp_path, GOOD)).identity(RUNGS)
    same = read_config(written(tmp_path, GOOD + '[baselines]\nrun = ["ordinary"]\n')).identity(RUNGS)
    config = read_config(written(tmp_path, GOOD.replace("lr = 1", "lr = 2")))
    assert first == same
    assert first != config.identity(RUNGS)


def test_a_board_is_part_of_the_identity(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    assert config.identity(RUNGS)["latency"] == {"target": "pynq-z2", "rungs": ["cycle-model", "rtl"]}
    assert config.identity((*RUNGS, "board")) != config.identity(RUNGS)


@pytest.mark.parametrize(
    ("setting", "shaped"),
    [
        ("bits = [4, 4]", {Baseline.ORDINARY, Baseline.GREEDY}),
        ("quantized_epochs = 1", {Baseline.ORDINARY}),
        ("latency_share = 0.5", {Baseline.GREEDY, Baseline.KNAPSACK}),
        ('run = ["ordinary"]', set()),
        ("latency_share = 0.6", set()),  # the default
    ],
)
def test_a_baseline_s_identity_has_the_settings_that_shape_it(
    setting: str, shaped: set[Baseline], tmp_path: Path
) -> None:
    before = read_config(written(tmp_path, GOOD))
    after = read_config(written(tmp_path, f"{GOOD}[baselines]\n{setting}\n"))
    changed = {kind for kind in Baseline if before.identity(RUNGS, kind) != after.identity(RUNGS, kind)}
    assert changed == shaped
    assert before.identity(RUNGS, Baseline.GREEDY) == before.identity(RUNGS), "as before they were told apart"


def test_a_list_in_the_place_of_a_value_makes_a_method_of_each(tmp_path: Path) -> None:
    several = GOOD.replace('scope = "all"', 'stage = ["", "conv2"]\ncriterion = ["l2", "std"]\nlanes = 4')
    read = [(p.stage, p.criterion, p.lanes) for p in read_config(written(tmp_path, several)).prune]
    assert read == [("", "l2", 4), ("", "std", 4), ("conv2", "l2", 4), ("conv2", "std", 4)]


def test_the_names_of_earlier_versions_are_read(tmp_path: Path) -> None:
    new = GOOD.replace('scope = "all"', 'stage = ["", "conv2"]\ncriterion = ["l2", "std"]')
    old = new.replace("stage =", "stages =").replace("criterion =", "criteria =")
    assert read_config(written(tmp_path, old)).prune == read_config(written(tmp_path, new)).prune


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('[methods.P]\nchannels = 8\nshare = 0.4\nstage = "conv"\nskip = ["conv1", "fc2"]',
         "prune:channels=8,share=0.4,stage=conv,skip=conv1+fc2"),
        ("[methods.P]\nmacs = 0.3\nfloor = 2\ncap = 0.7", "prune:macs=0.3,floor=2,cap=0.7"),
        ('[methods.Q]\nbits = [4, 8]\nfull = ["conv1"]\nper_channel = false',
         "quantize:bits=4+8,full=conv1,per_channel=false"),
        ('[methods.W]\nsparsity = 0.6\nrounds = 2\nscope = "layer"',
         "weights:sparsity=0.6,rounds=2,scope=layer"),
        ('[methods.Q]\nbits = [8, 8]\n[methods.PQ]\nlength = 4\nobjective = "codes"',
         "product:length=4,objective=codes"),
        ("[methods.T]\ngroup_lasso = 0.001", "train:group_lasso=0.001"),
    ],
)  # fmt: skip
def test_a_search_and_a_compression_take_one_method_by_the_same_names(
    table: str, text: str, tmp_path: Path
) -> None:
    config = f'[network]\nname = "lenet5"\n[training]\nepochs = 4\n{table}\n'
    *_, (of_file,) = read_config(written(tmp_path, config)).methods.values()
    assert chosen(text).parameters == of_file
