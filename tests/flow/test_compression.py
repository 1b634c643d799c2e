"""`bitlathe compress`: methods in order, real files, sizes that add up, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import LENET, run

from bitlathe.flow.compress_stages import ProductStage, stage
from bitlathe.flow.compression import STATE_NAME
from bitlathe.flow.errors import UsageError
from bitlathe.model.compress.one_shot import PruneOnce
from bitlathe.model.compress.recipe import Stage
from bitlathe.model.compress.state import State
from bitlathe.model.compress.weights import PruneWeights
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.file import digest, load
from bitlathe.model.prune.group_lasso import GroupLasso
from bitlathe.model.prune.influence import Influence

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
    assert digest(load(Path("out/network.blgc"))) == digest(load(Path("out/network.blg"))) == result["graph"]
    assert json.loads(Path("out/account.json").read_text()) == result
    simulated = run("simulate", "out/network.blgc", "--images", "2", "--json").json
    assert simulated["mismatches"] == 0


def test_an_interrupted_run_goes_on_to_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ("--method", "prune:share=0.2", "--method", "quantize:epochs=2")
    whole = run("compress", *LENET, *methods, *SHORT, "--out", "whole", "--json").json
    kept, original = [], State.save

    def stop_after_two(state: State, path: Path) -> None:
        original(state, path)
        kept.append(path)
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(State, "save", stop_after_two)
    assert run("compress", *LENET, *methods, *SHORT, "--out", "part").status == 130
    monkeypatch.setattr(State, "save", original)
    assert Path("part", STATE_NAME).exists()
    resumed = run("compress", *LENET, *methods, *SHORT, "--out", "part", "--resume", "--json").json
    assert resumed["graph"] == whole["graph"]


def test_a_stage_says_what_its_text_says() -> None:
    pruning, weights, product = (
        stage("prune:macs=0.3,lanes=8,epochs=0"),
        stage("weights:influence=obd"),
        stage("product"),
    )
    assert isinstance(pruning, Stage) and isinstance(pruning.method, PruneOnce)
    assert (pruning.epochs, pruning.method.settings.limits.lanes) == (0, 8)
    assert isinstance(weights, Stage) and isinstance(weights.method, PruneWeights)
    assert weights.method.influence is Influence.OBD
    assert isinstance(product, ProductStage)
    sparse, plain = stage("train:group_lasso=1e-4,epochs=3"), stage("train")
    assert isinstance(sparse, Stage) and isinstance(plain, Stage)
    assert (sparse.penalty, sparse.epochs) == (GroupLasso(strength=1e-4), 3)
    assert plain.penalty is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sparsify", "no method is called sparsify"),
        ("prune", "give one of channels, share, macs, parameters"),
        ("prune:macs=0.3,share=0.2", "give one of"),
        ("prune:macs=much", "macs=much"),
        ("prune:macs=1.5", "1.5"),
        ("prune:share=0.1,speed=2", "speed is unknown"),
        ("weights:sparsity", "KEY=VALUE"),
        ("weights:sparsity=1.0", "0 <= sparsity < 1"),
        ("weights:influence=luck", "influence=luck"),
        ("quantize:weights=1", "1 bits"),
        ("train:epochs=-1", "-1 epochs"),
        ("train:group_lasso=-1", "group lasso: a strength of -1"),
        ("product:codewords=1", "1 codewords"),
        ("product:length=9999", "of 9999 weights"),
    ],
)
def test_a_stage_without_meaning_is_refused(text: str, told: str) -> None:
    with pytest.raises(BitlatheError) as caught:
        stage(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        (("product", "train"), "the last method"),
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


def test_a_training_that_diverges_leaves_its_last_good_state() -> None:
    words = ("--method", "train", "--batch-size", "64", "--images", "100", "--out", "out")
    assert run("compress", *LENET, *words, "--lr", "0.01").status == 0
    good = Path("out", STATE_NAME).read_bytes()
    words = ("--method", "train:epochs=2", *words[2:], "--resume")
    result = run("compress", *LENET, *words, "--lr", "1e30")
    assert result.status == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "choose a lower lr; out/state.pt keeps the state before, --resume goes on" in line
    assert Path("out", STATE_NAME).read_bytes() == good
    assert run("compress", *LENET, *words, "--lr", "0.01").status == 0


def test_foreign_files_are_left_alone() -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    result = run("compress", *LENET, "--method", "train", "--out", "out")
    assert result.status == 2
    assert "not ours" in result.stderr
    assert Path("out/mine.txt").read_text() == "mine"
    assert issubclass(UsageError, BitlatheError)
