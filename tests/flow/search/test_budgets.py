"""A budget of a search is held, told of or refused, from its file and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import run

from bitlathe.flow.search.config import read_config
from bitlathe.flow.search.request import SearchRequest
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.errors import FormatError

BUDGETED = """\
[network]
name = "lenet5"

[training]
epochs = 2
batch_size = 256
lr = 0.02
epoch_images = 64

[search]
held_out = 50

[methods.P]
channels = 24
share = 0.3
required = false

[methods.Q]
bits = [[4, 4]]
full = ["conv1", "fc3"]
calibration_images = 32

[latency]
rungs = ["cycle-model"]
"""


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--budget-cycles", "850"), 0, "budget of 850 cycles met: "),
        (("--budget-ms", "0.0045"), 1, "budget of 0.0045 ms missed by "),
        (
            ("--budget-cycles", "400"),
            2,
            "--budget-cycles 400: is less than the methods can reach on pynq",
        ),
        (("--budget-ms", "nan"), 2, "--budget-ms: is nan; give more than 0"),
        (("--budget-cycles", "-1"), 2, "--budget-cycles: is -1; give more than 0"),
        (("--budget-cycles", "9", "--budget-ms", "9"), 2, "--budget-cycles: stands beside --budget-ms; give"),
        (("--overlay", "x"), 2, "--overlay: does nothing without --board; give that too, or leave it out"),
        (("--workers", "3"), 2, "--workers: does nothing without --executor local; give that too"),
        (("--ray-address", "x"), 2, "--ray-address: does nothing without --executor ray; give that too"),
    ],
)
def test_a_budget_of_the_command_is_held_told_of_or_refused(
    words: tuple[str, ...], status: int, told: str, tmp_path: Path
) -> None:
    (tmp_path / "search.toml").write_text(BUDGETED)
    outcome = run("search", tmp_path / "search.toml", "--out", tmp_path / "out", *words)
    assert outcome.status == status, outcome.stderr
    assert told in " ".join(outcome.stderr.split())
    kept = tmp_path / "out" / "result.json"
    if status == 2:
        assert not kept.exists(), "it was told before anything was trained"
        return
    budget = json.loads(kept.read_text())["budget"]
    assert budget["met"] == (status == 0) and (budget["missed_by"] > 0) == (status == 1)
    assert told in outcome.stdout and told in (tmp_path / "out" / "index.html").read_text()


def test_a_budget_in_the_file_is_the_search_s_and_a_command_s_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(BUDGETED.replace("[latency]", "[latency]\nbudget_ms = 0.005"))
    config = read_config(path)
    assert (config.rule_name, dict(config.rule_parameters)) == ("budget", {"budget_ms": 0.005})
    own = read_config(path, {"budget_cycles": 700})
    assert (str(own.budget), dict(own.rule_parameters)) == ("700 cycles", {"budget_cycles": 700})
    path.write_text(BUDGETED + '[rule]\nname = "lagrange"\n')
    lagrange = read_config(path, {"budget_cycles": 750})
    assert dict(lagrange.rule_parameters) == {"budget_ms": TARGETS["pynq-z2"].milliseconds(750)}
    assert lagrange.identity(()) != read_config(path, {"budget_cycles": 751}).identity(())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("budget_ms = 0", "25: latency.budget_ms: is 0; give more than 0"),
        ("budget_ms = nan", "25: latency.budget_ms: is nan; give more than 0"),
        (
            "budget_ms = 1\nbudget_cycles = 1",
            "26: latency.budget_cycles: stands beside `budget_ms`",
        ),
        (
            'budget_ms = 1\n[rule]\nname = "mnas"\nbudget_ms = 1',
            "28: rule.budget_ms: stands beside a",
        ),
    ],
)
def test_a_budget_in_the_file_that_makes_no_sense_is_told_by_its_line(
    keys: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "search.toml"
    path.write_text(BUDGETED.rstrip("\n") + f"\n{keys}\n")
    with pytest.raises(FormatError, match=re.escape(told)):
        read_config(path)


def test_metric_and_loss_of_the_command_stand_in_for_the_configurations(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(BUDGETED.replace("held_out = 50", 'held_out = 50\nmetric = "top5"'))
    config = read_config(path, {"metric": "top1", "loss": "mse"})
    assert (config.search.metric, config.training.loss, config.search.held_out) == ("top1", "mse", 50)
    assert SearchRequest(config=config, out=Path("out")).command.endswith("--metric top1 --loss mse")


def test_a_metric_that_is_not_known_is_refused_by_its_option(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(BUDGETED)
    outcome = run("search", path, "--out", tmp_path / "out", "--metric", "top9")
    assert outcome.status == 2 and "metric" in outcome.stderr and "top1, top5" in outcome.stderr
