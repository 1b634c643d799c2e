"""`bitlathe search` from a configuration to a report that a browser draws."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import needs
import pytest
from command_line import run

from bitlathe.flow.hardware.latency import CycleModelRung, RtlRung
from bitlathe.flow.search.charts import charts, unbeaten
from bitlathe.flow.search.config import read_config
from bitlathe.flow.search.report import About, render, report_view
from bitlathe.flow.search.results import IDLE, SearchResult, layer_cycles
from bitlathe.flow.search.setup import set_up
from bitlathe.hls.target.config import find_target
from bitlathe.model.compress.methods import PruneChannels, PruneOnce, Train
from bitlathe.model.graph.files.archive import graph_digest, read_graph
from bitlathe.model.prune.channels.budget import CostShare
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.search import CandidateRecord, EpochRecord, LatencyBudget, Measures, TrialStage
from bitlathe.model.search.ladder import Audit
from bitlathe.model.train.metrics import TOP1

CONFIG = """\
[network]
name = "lenet5"

[training]
epochs = 2
batch_size = 256
lr = 0.02

[search]
held_out = 300

[methods.P]
channels = 23
share = 0.1

[methods.Q]
bits = [[4, 4]]
full = ["conv1", "fc3"]
calibration_images = 32

[baselines]
run = ["ordinary"]
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and JSON of a small search, latency by the simulated hardware."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "search.toml").write_text(CONFIG)
    outcome = run("search", folder / "search.toml", "--out", folder / "out", "--json")
    assert outcome.status == 0, outcome.stderr
    return folder, outcome.json


def test_a_search_meets_its_targets(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, result = searched
    assert sorted(result["choices"]) == ["P", "Q(4,4)"]
    assert result["removed_channels"] == round(0.1 * (6 + 16 + 120 + 84))
    assert result["found"]["cycles"] < result["reference"]["cycles"]
    assert [row["name"] for row in result["baselines"]] == ["ordinary"]
    assert list((folder / "out" / "tensorboard").glob("events.*"))
    assert result["baselines"][0]["choices"] == ["P", "Q(4,4)"]
    assert json.loads((folder / "out" / "choices.json").read_text())["choices"] == dict(
        zip("12", result["choices"], strict=True)
    )


def test_the_network_found_runs_on_the_simulated_hardware_in_the_cycles_told(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = searched
    graph = folder / "out" / "network.blg"
    assert graph_digest(read_graph(graph)) == result["graph"]
    simulated = run("simulate", graph, "--images", "8", "--json").json
    assert (simulated["network"], simulated["dataset"], simulated["mismatches"]) == ("lenet5", "digits", 0)
    assert simulated["cycles"] == pytest.approx(result["found"]["cycles"], abs=1)
    measured = run("quantize", graph, "--dataset", "digits", "--json").json
    assert measured["accuracy_integer"] == result["test_accuracy"]


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ('criterion = ["l2", "geometric_median"]', ["P/8", "P(geometric_median)/8"]),
        ("lanes = [1, 8]", ["P", "P/8"]),
        ('stage = ["", "conv2"]\nlanes = [8]', ["P/8", "P[conv2]/8"]),
    ],
)
def test_each_criterion_block_and_stage_is_a_method_of_its_own(
    choices: str, names: list[str], tmp_path: Path
) -> None:
    config = CONFIG.replace("channels = 23", f"channels = 24\n{choices}")
    (tmp_path / "search.toml").write_text(config)
    setup = set_up(read_config(tmp_path / "search.toml"), None)
    assert [method.name for method in setup.methods] == [*names, "Q(4,4)"]


def test_a_method_s_parameters_mean_in_a_search_what_they_mean_in_a_compression(tmp_path: Path) -> None:
    once = 'macs = 0.2\nstage = "conv"'
    config = CONFIG.replace("channels = 23\nshare = 0.1", once).replace('["ordinary"]', "[]")
    (tmp_path / "search.toml").write_text(f"{config}[methods.T]\ngroup_lasso = 0.001\n")
    prune, _, train = set_up(read_config(tmp_path / "search.toml"), None).methods
    assert isinstance(prune, PruneOnce) and isinstance(train, Train)
    assert prune.settings.budget == CostShare(share=0.2)
    assert prune.settings.skip == ("fc1", "fc2")
    assert train.penalty == GroupLasso(strength=0.001)


def test_a_baseline_needs_to_know_how_much_goes_in_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(CONFIG.replace("channels = 23\nshare = 0.1", "macs = 0.2"))
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "search.toml:12: methods.P: removes all at once, and the baseline ordinary some in" in (
        " ".join(outcome.stderr.split())
    )


def test_a_search_of_one_seed_is_not_resumed_with_another(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = searched
    again = run("search", folder / "search.toml", "--out", folder / "out", "--resume", "--seed", "1")
    assert again.status == 2
    assert "was made with training = " in again.stderr


def test_a_folder_that_holds_a_search_is_not_overwritten(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = searched
    again = run("search", folder / "search.toml", "--out", folder / "out")
    assert again.status == 2
    assert "holds a search; continue it with --resume" in again.stderr


def test_a_finished_search_resumed_trains_nothing_and_says_the_same(
    searched: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr("bitlathe.model.search.lab.train_epoch", train)
    folder, result = searched
    again = run("search", folder / "search.toml", "--out", folder / "out", "--resume", "--json")
    assert again.status == 0, again.stderr
    assert again.json == result


def test_another_search_is_not_resumed(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = searched
    (folder / "other.toml").write_text(CONFIG.replace("lr = 0.02", "lr = 0.03"))
    again = run("search", folder / "other.toml", "--out", folder / "out", "--resume")
    assert again.status == 2
    assert "was made with training = " in again.stderr
    assert "give the same configuration or start over in another folder" in again.stderr


def test_the_rungs_agree_on_the_network_found(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, result = searched
    graph, board = read_graph(folder / "out" / "network.blg"), find_target("pynq-z2")
    predicted, simulated = (rung(target=board).cost(graph) for rung in (CycleModelRung, RtlRung))
    assert simulated.cycles == result["found"]["cycles"]
    assert predicted.cycles == pytest.approx(simulated.cycles, rel=0.01)


def test_the_report_is_drawn_by_a_browser_without_a_network(searched: tuple[Path, dict[str, Any]]) -> None:
    chromium = needs.program("chromium", "chromium-browser", debian="chromium")
    page = searched[0] / "out" / "index.html"
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page.read_text())
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    drawn = subprocess.run([chromium, *words, page.as_uri()], capture_output=True, text=True, check=True)
    assert drawn.stdout.count('data-drawn="yes"') == drawn.stdout.count('class="chart') == 9
    assert "Search and baselines" in drawn.stdout


@pytest.mark.slow
def test_boards_decide_and_both_lower_rungs_are_audited(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(CONFIG.replace('run = ["ordinary"]', "run = []"))
    boards = ("--board", "sim://pynq-z2", "--board", "sim://pynq-z2")
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out", *boards, "--json")
    assert outcome.status == 0, outcome.stderr
    records = [json.loads(line) for line in (tmp_path / "out" / "candidates.jsonl").read_text().splitlines()]
    assert records
    alone = run("search", tmp_path / "search.toml", "--out", tmp_path / "rtl", "--json")
    assert outcome.json["choices"] == alone.json["choices"]


MEASURES = Measures(merit=0.9, cycles=1000, latency_ms=1.0, macs=100, size_bytes=400, channels=10)


def result_named(name: str) -> SearchResult:
    candidates = (
        CandidateRecord(
            epoch=1,
            method="P",
            stage=TrialStage.EPOCH,
            score=0.5,
            measures=MEASURES,
            loss=1.0,
            steps=4,
            seconds=2.0,
        ),
        CandidateRecord(
            epoch=1,
            method="<Q>",
            stage=TrialStage.PROBE,
            score=None,
            measures=None,
            loss=1.0,
            steps=4,
            seconds=2.0,
            failure="it diverged",
        ),
    )
    record = EpochRecord(
        epoch=1,
        choice="P",
        measures=MEASURES,
        candidates=candidates,
        agreement=0.5,
        audits=(Audit(rung="model", cycles=990, error=-0.01),),
        seconds=4.0,
        removed_channels=3,
    )
    return SearchResult(
        name=name,
        dataset="digits",
        normalization="range=0..1",
        target="pynq-z2",
        metric=TOP1,
        original_score=None,
        before_score=0.9,
        test_score=0.91,
        reference=MEASURES,
        now=MEASURES,
        found_epoch=1,
        found_method="P",
        budget=LatencyBudget(limit=800, in_cycles=True),
        records=(record,),
        removed_channels=3,
        training_cost=2.0,
        graph="sha256:0",
        widths={"conv1": (6, 4)},
        weight_bits={"conv1": (8, 4)},
        activation_bits={"conv1": (8, 4)},
        layer_cycles={"conv1": (100, 50)},
    )


def test_a_report_shows_failures_and_no_markup_of_names() -> None:
    about = About(facts=(("command", "bitlathe <i>"),), configuration='name = "<u>"')
    page = render(report_view(result_named("<b>"), [result_named("other")], about))
    assert "&lt;b&gt;" in page and "bitlathe &lt;i&gt;" in page and "&lt;u&gt;" in page
    assert "budget of 800 cycles missed by 200 cycles (25.00 %): 1,000 cycles" in page
    assert 'name="viewport"' in page
    assert "<b>" not in page.split("</script>", 1)[1]
    assert "failed" in page


def test_the_front_goes_through_what_nothing_beats() -> None:
    slow = replace(MEASURES, merit=0.95, latency_ms=2.0)
    beaten = replace(MEASURES, merit=0.85, latency_ms=1.5)
    fast = replace(MEASURES, merit=0.8, latency_ms=0.5)
    assert unbeaten([slow, beaten, MEASURES, fast]) == [fast, MEASURES, slow]


def test_the_bars_of_cycles_add_up_to_all_of_them(searched: tuple[Path, dict[str, Any]]) -> None:
    graph, board = read_graph(searched[0] / "out" / "network.blg"), find_target("pynq-z2")
    cycles = layer_cycles(graph, board)
    assert sum(cycles.values()) == CycleModelRung(target=board).cycles(graph)
    assert cycles[IDLE] > 0


def test_the_report_says_where_its_result_comes_from(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = searched
    page = (folder / "out" / "index.html").read_text().split("</script>", 1)[1]
    command = f"bitlathe search {folder}/search.toml --out {folder}/out"
    for words in ("lenet5", "digits, 360 test images", "feasible", command, version("bitlathe"), "UTC"):
        assert words in page, words
    assert "bits = [[4, 4]]" in page, "the configuration"
    assert '<td data-label="pipeline">before</td>' in page


def test_every_chart_is_there() -> None:
    drawn = {chart.name for chart in charts(result_named("search"), [result_named("ordinary")])}
    assert drawn == {
        "choices", "front", "course", "widths", "weight-bits", "activation-bits", "cycles", "ladder",
        "agreement",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--executor", "cloud"), "--executor cloud: choose one of sequential, local, ray"),
        (("--resume",), ""),
    ],
)
def test_bad_options_are_told_of(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    outcome = run("search", tmp_path / "none.toml", "--out", tmp_path / "out", *words)
    assert outcome.status == 2
    assert message in outcome.stderr


def test_a_baseline_that_does_not_fit_is_told_of_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(CONFIG.replace("channels = 23", "channels = 2\nrequired = false"))
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "12 epochs of P and 1 of Q(4,4) do not fit 2" in outcome.stderr
    assert not (tmp_path / "out").exists()


QUICK = (
    CONFIG.replace("lr = 0.02", "lr = 0.02\nepoch_images = 64")
    .replace("held_out = 300", "held_out = 50")
    .replace('["ordinary"]', "[]")
    + '[rule]\nname = "accuracy"\n[latency]\nrungs = ["cycle-model"]\n'
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"conv1", "fc3"',
            '"nope"',
            "search.toml:19: methods.Q.full: quantize: no layer is called nope; did",
        ),
        (
            "share = 0.1",
            'stage = ["nope"]',
            "search.toml:15: methods.P.stage: no layer that can be pruned beg",
        ),
        (
            "share = 0.1",
            'skip = ["nope"]',
            "search.toml:15: methods.P.skip: nope: no such layer; those that can",
        ),
        ("share = 0.1", "share = 1.0", "P must remove 226 channels, the layers in scope can give 222; lower"),
    ],
)
def test_what_the_network_cannot_do_is_told_of_before_anything_is_trained(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in QUICK
    config = QUICK.replace(old, new, 1).replace("channels = 23", "channels = 226")
    (tmp_path / "search.toml").write_text(config)
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert message in " ".join(outcome.stderr.split())
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_seed_out_of_range_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(QUICK)
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out", "--seed", "-1")
    assert outcome.status == 2
    assert "--seed: is -1; give one of 0..2**63-1" in outcome.stderr


def test_a_bound_beyond_what_can_go_ends_where_no_channel_can_go(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(QUICK.replace("share = 0.1", "share = 1.0\nrequired = false"))
    setup = set_up(read_config(tmp_path / "search.toml"), None)
    assert [method.target for method in setup.methods if isinstance(method, PruneChannels)] == [222]


def test_a_baseline_is_not_resumed_with_other_settings_and_the_search_is(tmp_path: Path) -> None:
    config, out = tmp_path / "search.toml", tmp_path / "out"
    settings = 'run = ["ordinary"]\nquantized_epochs = 1\nbits = '
    config.write_text(QUICK.replace("run = []", f"{settings}[8, 8]"))
    first = run("search", config, "--out", out, "--json")
    assert first.status == 0, first.stderr
    assert run("search", config, "--out", out, "--resume", "--json").json == first.json
    config.write_text(QUICK.replace("run = []", f"{settings}[2, 2]"))
    again = run("search", config, "--out", out, "--resume")
    assert again.status == 2
    told = "".join(again.stderr.split())
    assert "out/baselines/ordinary/checkpoint.pt:wasmadewithbaselines=" in told
    config.write_text(QUICK)
    assert run("search", config, "--out", out, "--resume", "--json").json["choices"] == first.json["choices"]


def test_an_unknown_rung_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(CONFIG + '[latency]\nrungs = ["guess"]\n')
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "no rung is called guess; choose of cycle-model, rtl, board" in outcome.stderr
