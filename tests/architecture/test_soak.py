"""Differential runs at scale find what differs, and go on where they were broken off."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from repository import ROOT

from bitlathe.hls.target.config import TARGETS


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark on the engine that other tests have compiled; loaded, not run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import soak as loaded

    monkeypatch.setattr(loaded, "ENGINES", (TARGETS["pynq-z2"],))
    return loaded


@pytest.mark.parametrize("kind", ["network", "program"])
@pytest.mark.parametrize("seed", range(4))
def test_every_implementation_agrees(soak: ModuleType, kind: str, seed: int) -> None:
    done = soak.guarded(kind, seed)
    assert done.wrong == "" and json.loads(json.dumps(asdict(done)))["ends"] == done.ends


def test_an_integer_that_differs_is_told(soak: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = soak.ExactNetwork.output_codes
    monkeypatch.setattr(
        soak.ExactNetwork, "output_codes", lambda made, codes: [one + 1 for one in exact(made, codes)]
    )
    assert soak.guarded("network", 0).wrong == "Wrong: fake-quantized PyTorch differs from the reference"


def test_an_engine_that_takes_what_is_refused_is_told(soak: ModuleType) -> None:
    refused = soak.FormatError("conv: out_w is 0")
    output = np.zeros(4, np.uint8)
    with pytest.raises(soak.Wrong, match="RTL runs what is refused: conv"):
        soak._within("RTL", soak.ErrorCode.NONE, output, refused)
    with pytest.raises(soak.Wrong, match="RTL stops with BAD_FIELD"):
        soak._within("RTL", soak.ErrorCode.BAD_FIELD, output, output)
    with pytest.raises(soak.Wrong, match="RTL differs"):
        soak._within("RTL", soak.ErrorCode.NONE, output + 1, output)
    soak._within("RTL", soak.ErrorCode.OUT_OF_BOUNDS, output, None)


def test_a_run_goes_on_where_it_was_broken_off(
    soak: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []

    def once(kind: str, seed: int) -> object:
        ran.append((kind, seed))
        return soak.Done(kind=kind, seed=seed, engine="pynq-z2", wrong="bad" if seed == 2 else "")

    monkeypatch.setattr(soak, "guarded", once)
    monkeypatch.setattr(soak, "BENCH", tmp_path)
    words = ["--programs", "0", "--jobs", "0", "--out", str(tmp_path / "rows.json")]
    assert soak.main(["--networks", "2", *words]) == 0
    (log,) = tmp_path.glob("soak-*.jsonl")
    log.write_text(log.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    for _ in range(2):
        assert soak.main(["--networks", "3", *words]) == 1
    assert ran == [("network", seed) for seed in (0, 1, 1, 2)]
    (row,) = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert (row["count"], row["wrong"], row["kind"]) == (3, 1, "network")
