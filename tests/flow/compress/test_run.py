"""`bitlathe compress`: methods in order, real files, sizes that add up, clear refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from command_line import LENET, run

from bitlathe.flow.compress.run import ACCOUNT_NAME, STATE_NAME
from bitlathe.flow.compress.stages import Chosen, chosen
from bitlathe.flow.errors import UsageError
from bitlathe.model.compress.methods import (
    ProductParameters,
    PruneParameters,
    PruneWeights,
    QuantizeParameters,
    Train,
)
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.files.archive import graph_digest, read_graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import Objective
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.prune.weights.influence import Influence
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.train.files import read_tensors
from bitlathe.model.zoo import build

SHORT = ("--lr", "0.02", "--batch-size", "64", "--held-out", "1000", "--images", "100")
METHODS = (
    *("--method", "prune:share=0.2,criterion=std"),
    *("--method", "weights:sparsity=0.5"),
    *("--method", "quantize:weights=6,activations=8"),
    *("--method", "product:length=4,dense_length=8,codewords=32"),
)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_all_methods_leave_a_smaller_network_in_real_files() -> None:
    result = run("compress", *LENET, *METHODS, *SHORT, "--out", "out", "--json").json
    before, after = result["before"], result["after"]
    for measure in ("parameters", "nonzero", "macs", "file_bytes", "cycles"):
        assert after[measure] < before[measure], measure
    assert after["accuracy"] > 0.8
    assert sum(after["parts"].values()) == after["file_bytes"] == Path("out/network.blgc").stat().st_size
    assert {"indices", "values"} <= set(after["parts"])
    assert (
        graph_digest(read_graph(Path("out/network.blgc")))
        == graph_digest(read_graph(Path("out/network.blg")))
        == result["graph"]
    )
    assert json.loads(Path("out/account.json").read_text()) == result
    simulated = run("simulate", "out/network.blgc", "--images", "2", "--json").json
    assert simulated["mismatches"] == 0


def test_an_interrupted_run_goes_on_to_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ("--method", "prune:share=0.2", "--method", "quantize:epochs=2")
    whole = run("compress", *LENET, *methods, *SHORT, "--out", "whole", "--json").json
    with interrupted_after(2, monkeypatch):
        assert run("compress", *LENET, *methods, *SHORT, "--out", "part").status == 130
    assert Path("part", STATE_NAME).exists()
    resumed = run("compress", *LENET, *methods, *SHORT, "--out", "part", "--resume", "--json").json
    assert resumed["graph"] == whole["graph"]


def test_channels_leave_epoch_by_epoch_until_their_share_is_gone() -> None:
    words = ("--method", "prune:channels=20,share=0.2,epochs=3", "--epoch-images", "64", "--images", "50")
    assert run("compress", *LENET, *words, "--out", "out").status == 0
    state = read_tensors(Path("out", STATE_NAME))
    assert state["history"] == ["P", "P", "P"]
    assert state["removed_channels"] == round(0.2 * (6 + 16 + 120 + 84))


@contextmanager
def interrupted_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A block in which a run ends when it has kept `count` states."""
    kept, original = [], State.save

    def save(state: State, path: Path, identity: Mapping[str, object] | None = None) -> None:
        original(state, path, identity)
        kept.append(path)
        if len(kept) == count:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(State, "save", save)
        yield


def test_a_stage_says_what_its_text_says() -> None:
    pruning = PruneParameters(macs=0.3, lanes=8, skip=("0", "fc"))
    assert chosen("prune:macs=0.3,lanes=8,skip=0+fc,epochs=0") == Chosen(parameters=pruning, epochs=0)
    weights = PruneWeights(rounds=3, influence=Influence.OBD)
    assert chosen("weights:influence=obd,epochs=3") == Chosen(parameters=weights, epochs=3)
    sparse = Train(group_lasso=1e-4)
    assert chosen("train:group_lasso=1e-4,epochs=3") == Chosen(parameters=sparse, epochs=3)
    assert sparse.penalty == GroupLasso(strength=1e-4)
    assert Train().penalty is None
    product = ProductParameters(codewords=32, objective=Objective.OUTPUTS)
    assert chosen("product:codewords=32,objective=outputs").parameters == product


@pytest.mark.parametrize("words", ["bits=4+6", "weights=4,activations=6"])
def test_bits_are_told_together_or_apart(words: str) -> None:
    assert chosen(f"quantize:{words}").parameters == QuantizeParameters(bits=(4, 6))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sparsify", "no method is called sparsify"),
        ("prune", "share: is missing; give one of channels, share, macs, parameters"),
        ("prune:channels=8,macs=0.3", "macs: is given beside another; give one of"),
        ("prune:channels=8,share=0.3,lanes=3", "channels: is 8; give a multiple of lanes, 3"),
        ("prune:share=0.3,required=false", "required: is False; give true where channels go at once"),
        ("prune:macs=0.3,share=0.2", "give one of"),
        ("prune:macs=much", "macs: is 'much'; give a number"),
        ("prune:share=0.1,criterion=luck", "criterion: is 'luck'; give one of std, l1"),
        ("prune:macs=1.5", "1.5"),
        ("prune:share=0.1,speed=2", "speed: is unknown; did you mean scope?"),
        ("weights:sparsity", "KEY=VALUE"),
        ("weights:sparsity=1.0", "0 <= sparsity < 1"),
        ("weights:influence=luck", "influence: is 'luck'; give one of 'magnitude'"),
        ("quantize:weights=1", "bits: quantize: 1 bits"),
        ("quantize:bits=4", "bits: is [4]; give a list of 2, each a whole number"),
        ("quantize:bits=4+8,weights=6", "bits: stands beside weights or activations; give bits=6+8 alone"),
        ("train:epochs=-1", "epochs: is -1; give 0 or more"),
        ("train:group_lasso=-1", "group lasso: a strength of -1"),
        ("product:codewords=1", "1 codewords"),
        ("product:epochs=-1", "epochs: is -1; give 0 or more"),
        ("product:length=9999", "of 9999 weights"),
    ],
)
def test_a_stage_without_meaning_is_refused(text: str, told: str) -> None:
    with pytest.raises(BitlatheError) as caught:
        chosen(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        (("prune:share=0.3,criterion=luck",), "luck"),
        (("prune:share=0.99,floor=6",), "floor"),
    ],
)
def test_methods_that_cannot_be_carried_out_are_refused_in_one_line(
    methods: tuple[str, ...], told: str
) -> None:
    words = [word for method in methods for word in ("--method", method)]
    result = run("compress", *LENET, *words, *SHORT, "--out", "out")
    assert result.status == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize("words", [("--lr", "-1"), ("--batch-size", "0"), ("--held-out", "5000")])
def test_settings_out_of_range_make_no_folder(words: tuple[str, ...]) -> None:
    assert run("compress", *LENET, "--method", "train", *words, "--out", "out").status == 2
    assert not Path("out").exists()


def test_a_training_that_diverges_leaves_its_last_good_state(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--method", "train:epochs=2", "--batch-size", "64", "--images", "100", "--out", "out")
    with interrupted_after(1, monkeypatch):
        assert run("compress", *LENET, *words, "--lr", "0.01").status == 130
    good = Path("out", STATE_NAME).read_bytes()
    words = (*words, "--resume")
    result = run("compress", *LENET, *words, "--lr", "1e30")
    assert result.status == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "choose a lower lr; out/state.pt keeps the state before, --resume continues from it" in line
    assert Path("out", STATE_NAME).read_bytes() == good
    assert run("compress", *LENET, *words, "--lr", "0.01").status == 0


FEW = ("--epoch-images", "64", "--images", "50", "--held-out", "1000")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--method", "prune:share=0.7", *FEW),
            "methods = ['prune:share=0.2'], now it is ['prune:share=0.7']",
        ),
        (("--method", "prune:share=0.2", *FEW, "--seed", "1"), "seed = 0, now it is 1"),
        (("--method", "prune:share=0.2", *FEW, "--batch-size", "7"), "batch_size = 128, now it is 7"),
        (("--method", "prune:share=0.2", *FEW, "--weights", "other.pt"), "weights = sha256 "),
        (("--method", "prune:share=0.2", *FEW, "--layer", "fc3=4"), "layers = [], now it is ['fc3=4']"),
    ],
)
def test_another_run_s_state_is_not_gone_on_with(words: tuple[str, ...], told: str) -> None:
    torch.save(dict(build("lenet5", seed=3).state_dict()), "other.pt")
    assert run("compress", *LENET, "--method", "prune:share=0.2", *FEW, "--out", "out").status == 0
    account = Path("out", ACCOUNT_NAME).read_bytes()
    result = run("compress", *LENET, *words, "--out", "out", "--resume")
    assert result.status == 2
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith(f"bitlathe: out/state.pt: was made with {told}")
    assert line.endswith("give the same settings or start over in another folder")
    assert Path("out", ACCOUNT_NAME).read_bytes() == account


def test_a_state_of_an_earlier_version_can_be_gone_on_with() -> None:
    words = ("compress", *LENET, "--method", "prune:share=0.2", *FEW, "--out", "out", "--json")
    first = run(*words).json
    content = read_tensors(Path("out", STATE_NAME))
    del content["identity"]
    torch.save(content, Path("out", STATE_NAME))
    assert run(*words, "--resume").json == first


@pytest.mark.parametrize("is_second", [False, True])
def test_a_run_that_was_killed_is_not_written_over(is_second: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("compress", *LENET, "--method", "train:epochs=2", *FEW, "--out", "out")
    if is_second:
        assert run("compress", *LENET, "--method", "prune:share=0.2", *FEW, "--out", "out").status == 0
    with interrupted_after(1, monkeypatch):
        assert run(*words).status == 130
    kept = Path("out", STATE_NAME).read_bytes()
    result = run(*words)
    assert result.status == 2
    assert "out: holds a compression that was interrupted; continue it with --resume" in result.stderr
    assert Path("out", STATE_NAME).read_bytes() == kept
    assert run(*words, "--resume").status == 0


PRODUCT = "product:length=4,dense_length=8,codewords=16"


@pytest.mark.parametrize(
    "methods",
    [
        (PRODUCT,),
        (PRODUCT, "train"),
        (PRODUCT, "quantize:weights=6,activations=8"),
        ("quantize:weights=6,activations=8", PRODUCT, "train"),
        (PRODUCT, "prune:share=0.2"),
        ("weights:sparsity=0.5", PRODUCT, "weights:sparsity=0.6", "train"),
        (PRODUCT, "product:length=4,dense_length=8,codewords=8"),
    ],
    ids="-".join,
)
def test_product_stands_anywhere(methods: tuple[str, ...]) -> None:
    words = [word for method in methods for word in ("--method", method)]
    result = run("compress", *LENET, *words, *SHORT, "--out", "out", "--json").json
    assert result["after"]["file_bytes"] < 0.6 * result["before"]["file_bytes"]
    assert result["after"]["accuracy"] > 0.8
    layers = [node for node in read_graph(Path("out/network.blg")).nodes if isinstance(node, Conv2d | Dense)]
    sizes = [node.codebook.codewords for node in layers if node.codebook is not None]
    assert sizes and max(sizes) <= (8 if "codewords=8" in methods[-1] else 16)
    assert {node.weight_bits for node in layers} == {6 if "quantize" in "".join(methods) else 8}


def test_codewords_train_on_as_if_a_run_had_not_been_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--method", PRODUCT, "--method", "train:epochs=2", *SHORT)
    whole = run("compress", *LENET, *words, "--out", "whole", "--json").json
    with interrupted_after(2, monkeypatch):
        assert run("compress", *LENET, *words, "--out", "part").status == 130
    resumed = run("compress", *LENET, *words, "--out", "part", "--resume", "--json").json
    assert resumed["graph"] == whole["graph"]


def test_a_quantizer_starts_from_the_options_that_name_a_network() -> None:
    usual = QuantizeConfig(weight_bits=6, per_channel=False, layers={"fc3": LayerBits(weight_bits=4)})
    parameters = chosen("quantize:activations=7", usual).parameters
    assert isinstance(parameters, QuantizeParameters)
    config = parameters.config(usual)
    assert (config.weight_bits, config.activation_bits, config.per_channel) == (6, 7, False)
    assert config.layers == usual.layers
    words = ("--per-layer", "--layer", "fc3=4", "--method", "quantize:epochs=0")
    assert run("compress", *LENET, *words, *FEW, "--out", "out").status == 0
    layers = [node for node in read_graph(Path("out/network.blg")).nodes if isinstance(node, Conv2d | Dense)]
    assert {node.name: node.weight_bits for node in layers}["fc3"] == 4
    assert all(len(set(node.weight_frac)) == 1 for node in layers)


def test_codewords_are_trained_by_the_seed_given() -> None:
    words = ("compress", *LENET, "--method", "product:codewords=16", *FEW, "--json")
    digests = {seed: run(*words, "--seed", seed, "--out", seed).json["graph"] for seed in "01"}
    assert digests["0"] != digests["1"]


@pytest.mark.parametrize("command", [("compress", "--method", "train", "--out", "out"), ("sensitivity",)])
def test_a_graph_s_integers_are_not_pruned(command: tuple[str, ...]) -> None:
    result = run(*command, "net.blg", "--network", "lenet5")
    assert result.status == 2 and "(net.blg)" in result.stderr
    assert "GRAPH" not in run(command[0], "--help").stdout


def test_foreign_files_are_left_alone() -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    result = run("compress", *LENET, "--method", "train", "--out", "out")
    assert result.status == 2
    assert "not ours" in result.stderr
    assert Path("out/mine.txt").read_text() == "mine"
    assert issubclass(UsageError, BitlatheError)


QUICK = ("--held-out", "200", "--images", "50", "--epoch-images", "64", "--out", "out")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--budget-cycles", "820"), 0, "budget of 820 cycles met: "),
        (("--budget-ms", "0.005"), 1, "budget of 0.005 ms missed by "),
        (
            ("--budget-ms", "0.002"),
            2,
            "--budget-ms 0.002: is less than the methods can reach on pynq-z2: 0",
        ),
        (("--budget-ms", "0"), 2, "--budget-ms: is 0; give more than 0"),
    ],
)
def test_a_budget_is_held_told_of_or_refused(words: tuple[str, ...], status: int, told: str) -> None:
    outcome = run("compress", *LENET, "--method", "prune:macs=0.3,epochs=0", *words, *QUICK)
    assert outcome.status == status, outcome.stderr
    assert told in " ".join((outcome.stdout + outcome.stderr).split())
    assert (Path("out") / ACCOUNT_NAME).exists() == (status != 2)
    if status != 2:
        assert json.loads((Path("out") / ACCOUNT_NAME).read_text())["budget"]["met"] == (status == 0)


def test_channels_go_in_blocks_that_save_cycles() -> None:
    outcome = run("compress", *LENET, "--method", "prune:macs=0.3,epochs=0", *QUICK, "--json")
    before, after = outcome.json["before"], outcome.json["after"]
    assert after["macs"] <= 0.7 * before["macs"]
    assert after["cycles"] < 0.9 * before["cycles"]


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_prune_by_latency_saves_its_share_of_the_cycles(share: float) -> None:
    outcome = run("compress", *LENET, "--method", f"prune:latency={share},epochs=0", *QUICK, "--json")
    before, after = outcome.json["before"], outcome.json["after"]
    assert after["cycles"] <= (1 - share) * before["cycles"]


def test_more_latency_than_layers_can_give_is_refused_with_what_they_can() -> None:
    outcome = run("compress", *LENET, "--method", "prune:latency=0.9,epochs=0", *QUICK)
    assert outcome.status == 2
    assert "90.0% of the latency are to go, the layers can give " in outcome.stderr


def test_channels_that_save_no_cycles_do_not_go_unsaid() -> None:
    outcome = run("compress", *LENET, "--method", "prune:macs=0.2,lanes=1,epochs=0", *QUICK, "--json")
    told = " ".join(outcome.stderr.split())
    assert "of the cycles: the engine of pynq-z2 computes 8 channels at once; let P take blocks" in told


def test_a_second_method_of_a_kind_is_carried_out_or_told_of() -> None:
    once = ("--method", "prune:macs=0.2,epochs=0")
    single = run("compress", *LENET, *once, *QUICK, "--json").json["after"]["macs"]
    twice = run("compress", *LENET, *once, *once, *QUICK, "--json").json["after"]["macs"]
    assert twice <= 0.8 * single
    weights = ("--method", "weights:sparsity=0.3,epochs=1", "--method", "weights:sparsity=0.8,epochs=1")
    result = run("compress", *LENET, *weights, *QUICK, "--json").json
    assert result["after"]["nonzero"] < 0.25 * result["before"]["nonzero"]
    idle = (
        "--method",
        "prune:channels=8,share=0.1,epochs=3",
        "--method",
        "prune:channels=8,share=0.05,epochs=0",
    )
    outcome = run("compress", *LENET, *idle, *QUICK)
    assert "P/8: changes nothing; what it aims at is met by the methods before it" in outcome.stderr
