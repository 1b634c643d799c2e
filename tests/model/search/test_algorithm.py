"""Algorithm 1 on a small network: the best candidate of each epoch is the next state, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
import search_lab
import torch
from search_lab import METHODS, SPEC, DieOnce, Shake, choices, lasting, make_search, scores

from bitlathe.model.compress.methods import PruneChannels, Quantize, Train
from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import (
    CandidateRecord,
    Checkpoint,
    EpochRecord,
    Lab,
    LocalProcesses,
    Sequential,
    TrialJob,
    TrialOutcome,
    TrialStage,
    find_rule,
)
from bitlathe.model.search.checkpoint import CANDIDATES, CHECKPOINT, CHOICES, load_checkpoint
from bitlathe.model.search.executors import Done
from bitlathe.model.search.records import Measures
from bitlathe.model.search.rules import Context
from bitlathe.model.train.files import read_tensors, write_tensors


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """A finished search with probes."""
    folder = tmp_path_factory.mktemp("search")
    return folder, make_search(folder, probe=0.5).run()


def test_a_checkpoint_of_an_earlier_version_is_refused_in_one_line(
    searched: tuple[Path, Checkpoint], tmp_path: Path
) -> None:
    content = read_tensors(searched[0] / CHECKPOINT)
    write_tensors(tmp_path / CHECKPOINT, content | {"format": "bitlathe-search-1"})
    with pytest.raises(DataError) as caught:
        load_checkpoint(tmp_path, SPEC, {"epochs": search_lab.EPOCHS})
    told = "checkpoint.pt: is a bitlathe-search-1, not a bitlathe-search-2; start over in another folder"
    assert str(caught.value) == f"{tmp_path}/{told}"


def test_a_penalty_acts_in_a_probe_and_in_what_goes_on_from_it() -> None:
    lab, free, pulled = Lab(SPEC), Train(), Train(group_lasso=3.0)

    def tried(method: Train, state: bytes, until: float, is_begun: bool = False) -> bytes:
        job = TrialJob(label="T", state=state, method=method, until=until, is_begun=is_begun)
        return lab.run(job).state

    first = lab.first_state().to_bytes()
    whole = lab.read(tried(pulled, first, 1.0)).model.state_dict()
    parts = tried(pulled, tried(pulled, first, 0.5), 1.0, is_begun=True)
    resumed, plain = (lab.read(s).model.state_dict() for s in (parts, tried(free, first, 1.0)))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert whole["conv2.weight"].norm() < 0.9 * plain["conv2.weight"].norm()


def test_every_epoch_keeps_its_best_candidate(searched: tuple[Path, Checkpoint]) -> None:
    _, done = searched
    assert done.state.epoch == len(done.records) == search_lab.EPOCHS
    assert done.state.history == tuple(choices(done))
    for record in done.records:
        final = [c for c in record.candidates if c.stage is TrialStage.EPOCH]
        best = max(final, key=lambda candidate: candidate.score or 0)
        assert (record.choice, record.measures) == (best.method, best.measures)


def test_probes_are_compared_with_whole_epochs_first_and_trusted_then(
    searched: tuple[Path, Checkpoint],
) -> None:
    _, done = searched
    first, *later = done.records
    assert len([c for c in first.candidates if c.stage is TrialStage.EPOCH]) == len(METHODS)
    assert first.agreement == 1, "a network that is shaken is worse after half an epoch and after a whole one"
    assert [[c.stage for c in record.candidates].count(TrialStage.EPOCH) for record in later] == [1]


def test_probes_that_ranked_badly_are_given_up(tmp_path: Path) -> None:
    turns = chain([1, 1, -1, -1], repeat(1))  # what two probes say, two whole epochs deny

    def fickle(candidate: Measures, context: Context) -> float:
        return next(turns) * candidate.accuracy

    first, second = make_search(tmp_path, probe=0.5, rule=fickle).run().records
    assert first.agreement == -1
    assert [c.stage for c in second.candidates] == [TrialStage.EPOCH] * len(METHODS)


def test_the_winner_does_not_train_its_probe_twice(searched: tuple[Path, Checkpoint]) -> None:
    _, done = searched
    steps = -(-(1437 - 300) // 256)
    for record in done.records:
        taken = [c.steps for c in record.candidates if c.method == record.choice]
        assert sum(taken) == steps


def test_lower_rungs_are_audited_each_epoch(searched: tuple[Path, Checkpoint]) -> None:
    _, done = searched
    for record in done.records:
        (audit,) = record.audits
        assert audit.rung == "rough"
        assert audit.error == audit.cycles / record.measures.cycles - 1


def test_the_files_say_what_the_checkpoint_does(searched: tuple[Path, Checkpoint]) -> None:
    folder, done = searched
    read = load_checkpoint(folder, SPEC, {"epochs": search_lab.EPOCHS})
    assert read.records == done.records
    assert (read.now, read.reference) == (done.now, done.reference)
    found = json.loads((folder / CHOICES).read_text())["choices"]
    assert found == {str(record.epoch): record.choice for record in done.records}
    lines = (folder / CANDIDATES).read_text().splitlines()
    records = [CandidateRecord.from_json(json.loads(line)) for line in lines]
    assert records == [c for record in done.records for c in record.candidates]
    assert EpochRecord.from_json(json.loads(json.dumps(done.records[0].to_json()))) == done.records[0]


def test_a_search_killed_at_any_moment_makes_the_same_choices(
    searched: tuple[Path, Checkpoint], tmp_path: Path
) -> None:
    _, whole = searched
    process = subprocess.Popen([sys.executable, search_lab.__file__, tmp_path])
    wanted = tmp_path / "epochs" / "2"  # a candidate of the second epoch is on disk
    while not wanted.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = load_checkpoint(tmp_path, SPEC, {"epochs": search_lab.EPOCHS})
    assert killed.state.epoch < search_lab.EPOCHS
    resumed = make_search(tmp_path, probe=0.5).run(resume=True)
    assert choices(resumed) == choices(whole)
    assert scores(resumed) == scores(whole)


@pytest.mark.slow
def test_local_processes_find_the_same_and_survive_a_dead_worker(tmp_path: Path) -> None:
    methods = (Train(), DieOnce(marker=tmp_path / "died"))
    spec = lasting(SPEC, epochs=1)
    executor = LocalProcesses(spec, workers=2)
    try:
        parallel = make_search(tmp_path / "2", methods=methods, spec=spec, executor=executor).run()
    finally:
        executor.close()
    assert (tmp_path / "died").exists()
    alone = make_search(tmp_path / "1", methods=methods, spec=spec).run()
    assert scores(parallel) == scores(alone)


def test_a_candidate_that_diverges_loses(tmp_path: Path) -> None:
    spec = lasting(SPEC, epochs=1)
    done = make_search(tmp_path, methods=(Shake(strength=1e30), Train()), spec=spec).run()
    (record,) = done.records
    assert record.choice == "T"
    assert "NaN or infinite" in (record.candidates[0].failure or "") or "the loss" in (
        record.candidates[0].failure or ""
    )


def test_an_epoch_without_a_survivor_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(BitlatheError, match=r"every candidate of epoch 1 failed: shake 1e\+30: "):
        make_search(tmp_path, methods=(Shake(strength=1e30),), spec=lasting(SPEC, epochs=1)).run()
    assert (tmp_path / CHECKPOINT).exists()


def test_another_search_s_checkpoint_is_refused(searched: tuple[Path, Checkpoint]) -> None:
    folder, _ = searched
    with pytest.raises(DataError, match="was made with epochs = 2, now it is 4"):
        make_search(folder, identity={"epochs": 4}).run(resume=True)
    with pytest.raises(DataError, match="was made with board = None, now it is a"):
        make_search(folder, identity={"epochs": 2, "board": "a"}).run(resume=True)
    with pytest.raises(DataError, match="was made with epochs = 2, now it is None"):
        make_search(folder, identity={"x": None}).run(resume=True)


def test_a_search_goes_on_when_all_its_targets_are_met(tmp_path: Path) -> None:
    done = make_search(tmp_path, methods=(PruneChannels(channels=20, target=20),)).run()
    assert choices(done) == ["P", "T"]


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        (
            PruneChannels(channels=226, target=226),
            "P must remove 226 channels, the layers in scope can give 222",
        ),
        (PruneChannels(channels=96, target=192, lanes=8, floor=9), "P/8 must remove 192 channels, "),
        (PruneChannels(channels=20, target=20, stage="conv2"), "in scope can give 15; lower share, floor or"),
    ],
)
def test_more_channels_than_floors_and_blocks_allow_are_refused_at_the_start(
    pruner: PruneChannels, told: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=re.escape(told)):
        make_search(tmp_path, methods=(pruner, Train())).run()
    assert not (tmp_path / CHECKPOINT).exists()


def test_stages_pay_for_a_target_together(tmp_path: Path) -> None:
    stages = tuple(PruneChannels(channels=4, target=8, stage=stage) for stage in ("conv1", "conv2"))
    done = make_search(tmp_path, methods=stages).run()
    assert done.state.removed_channels == 8


def test_literal_mode_runs_the_paper_s_small_example(tmp_path: Path) -> None:
    """C = {P, Q(8,8)}: some channels of the network an epoch until 30 % are gone, rule top-1 on the test set.

    Each epoch is judged as it trained, a Q ends with its epoch, and the last one is a Q.
    """
    spec = replace(lasting(SPEC, epochs=4), as_trained=True, judge=search_lab.Judge.TEST)
    prune = PruneChannels(channels=34, target=68)  # of 226
    quantize = Quantize(config=QuantizeConfig(calibration_images=32), lasting=False)
    lab, quantizers = Lab(spec), []

    class Watching(Sequential):
        def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
            outcomes = super().run(jobs, done)
            quantizers.extend(
                (job.label, lab.read(o.state).quantization) for job, o in zip(jobs, outcomes, strict=True)
            )
            return outcomes

    methods = (prune, quantize)
    rule, executor = find_rule("accuracy", {}), Watching(lab)
    done = make_search(tmp_path, methods=methods, spec=spec, rule=rule, executor=executor).run()
    tried = [{c.method for c in record.candidates} for record in done.records]
    assert tried[0] == {"P", "Q(8,8)"}
    assert sorted(choices(done)[:3]) == ["P", "P", "Q(8,8)"], "the target leaves room for one Q before"
    assert choices(done)[3] == "Q(8,8)"
    assert done.state.removed_channels == 68
    for record in done.records:
        scored = {c.method: c.score for c in record.candidates}
        assert scored[record.choice] == max(score for score in scored.values() if score is not None)
    assert "P" in choices(done)[choices(done).index("Q(8,8)") :], "a P follows a Q"
    assert all((quantizer is None) == (label == "P") for label, quantizer in quantizers)
