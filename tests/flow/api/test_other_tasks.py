"""Maps and numbers as outputs: trained by a loss, judged by a metric, exact in the simulated hardware."""

from __future__ import annotations

import json
from pathlib import Path

import other_tasks
import pytest
from command_line import run
from other_tasks import FILE

import bitlathe

MAPS = ("--network", f"{FILE}:segmenter", "--dataset", f"{FILE}:squares", "--calibration", "16")
NUMBERS = ("--network", f"{FILE}:locator", "--dataset", f"{FILE}:corners", "--calibration", "16")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a segmenter that `train` trained by a loss of its own."""
    out = tmp_path_factory.mktemp("trained")
    words = ("--epochs", "5", "--batch-size", "15", "--lr", "0.2", "--loss", f"{FILE}:weighted")
    told = run("train", *MAPS[:4], *words, "--metric", f"{FILE}:dice", "--out", out, "--json")
    assert told.status == 0, told.stderr
    assert told.json["metric"] == f"{FILE}:dice" and told.json["accuracy"] is None
    assert told.json["score"] > 0.9 and f"--loss {FILE}:weighted" in told.json["command"]
    return out


def test_maps_are_trained_quantized_and_simulated_by_loss_and_metric(trained: Path, tmp_path: Path) -> None:
    words = (*MAPS, "--weights", trained / "weights.pt", "--metric", f"{FILE}:dice")
    made = run("quantize", *words, "--out", tmp_path / "net.blg", "--json").json
    assert made["accuracy_float"] is made["accuracy_integer"] is None
    assert made["score_float"] > 0.9 and abs(made["score_integer"] - made["score_float"]) < 0.1
    simulated = run("simulate", tmp_path / "net.blg", *MAPS[2:4], "--images", "2", "--json").json
    assert (simulated["mismatches"], simulated["metric"]) == (0, "miou")
    assert simulated["score_float"] is None and simulated["score_integer"] > 0.8
    table = run("quantize", *words).stdout
    assert "dice, float" in table and "dice, integer" in table and "accuracy" not in table
    whole = bitlathe.load_quantized(tmp_path / "net.blg", other_tasks.squares(), metric=other_tasks.dice)
    assert whole.score == made["score_integer"] and whole.accuracy is None


def test_sensitivity_tells_how_much_of_the_metric_each_layer_holds(trained: Path) -> None:
    words = (*MAPS, "--weights", trained / "weights.pt", "--criterion", "taylor", "--images", "30")
    found = run("sensitivity", *words, "--loss", f"{FILE}:weighted", "--shares", "0.75", "--json").json
    assert found["metric"] == "miou" and "accuracy" not in found
    assert any(score < found["score"] for (score,) in found["scores"].values())
    table = run("sensitivity", *words, "--metric", f"{FILE}:dice").stdout
    assert "change of dice, from " in table


def test_numbers_are_compressed_by_their_squared_error_as_the_command_line_does(tmp_path: Path) -> None:
    methods = ("train:epochs=30", "weights:sparsity=0.3,influence=taylor", "quantize:epochs=1")
    words = [word for method in methods for word in ("--method", method)]
    words += ["--held-out", "20", "--batch-size", "15", "--lr", "0.01"]
    told = run("compress", *NUMBERS[:4], *words, "--out", tmp_path / "told", "--json").json
    subject = bitlathe.load_network(f"{FILE}:locator", other_tasks.corners())
    made = bitlathe.compress(
        subject, methods, tmp_path / "made", held_out=20, batch_size=15, lr=0.01, metric="mse", loss="mse"
    )
    assert made.to_json()["after"] == told["after"] and told["metric"] == "mse"
    assert made.score < 0.02 < 0.04 < made.before.score and made.accuracy is None  # a guess has 0.04
    assert str(made).startswith("locator on arrays, compressed: MSE ")
    result = bitlathe.simulate(bitlathe.compile(made.integer_network), images=2)
    result.check()
    assert "MSE" in str(result) and result.accuracy is None and result.score is not None


def test_a_search_holds_a_floor_of_a_metric_of_which_less_is_better(tmp_path: Path) -> None:
    subject = bitlathe.load_network(other_tasks.locator(), other_tasks.corners(), loss=other_tasks.smooth)
    found = bitlathe.search(
        subject,
        tmp_path / "out",
        methods=[bitlathe.PruneParameters(channels=2, share=0.5), bitlathe.Train()],
        epochs=8,
        metric=other_tasks.distance,
        rule="feasible",
        rule_parameters={"floor": 0.2, "cost": "macs"},
        rungs=["cycle-model"],
        held_out=20,
        batch_size=15,
        lr=0.05,
    )
    row = found.to_json()
    assert row["metric"] == "other_tasks.distance" and row["test_accuracy"] is None
    assert row["found"]["score"] > 0 and row["found"]["accuracy"] is None
    assert found.score == row["test_score"] < row["reference"]["score"]
    choices = json.loads((tmp_path / "out" / "choices.json").read_text())
    assert choices["now"]["merit"] == -row["found"]["score"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "held-out distance" in page and "accuracy" not in page.split("</script>", 1)[1].lower()
    kept = bitlathe.load_quantized(found.network, other_tasks.corners(), metric=other_tasks.distance)
    assert kept.score == found.score


def test_a_configuration_names_loss_and_metric(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text(
        f'[network]\nname = "{FILE}:segmenter"\ndataset = "{FILE}:squares"\n'
        f'[training]\nepochs = 1\nbatch_size = 15\nloss = "{FILE}:weighted"\n'
        f'[search]\nheld_out = 20\nmetric = "{FILE}:dice"\n[rule]\nname = "feasible"\ndelta = 0.5\n'
        '[methods.Q]\nbits = [[4, 8]]\n[latency]\nrungs = ["cycle-model"]\n'
    )
    words = ("search", config, "--out", tmp_path / "out")
    told = run(*words, "--json", "--executor", "local")
    assert told.status == 0, told.stderr
    assert told.json["metric"] == f"{FILE}:dice" and told.json["choices"] == ["Q(4,8)"]
    assert run(*words, "--resume", "--json").json["test_score"] == told.json["test_score"]
    config.write_text(config.read_text().replace(":dice", ":nothing"))
    assert "returned NoneType; return one finite number" in run(*words, "--resume").stderr
