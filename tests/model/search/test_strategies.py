"""Targets are met in time: methods that owe epochs are forced, what has paid leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bitlathe.model.compress import MethodData, MethodKind, State
from bitlathe.model.compress.methods import (
    PruneChannels,
    PruneOnce,
    PruneWeights,
    Quantize,
    ShareWeights,
    Train,
)
from bitlathe.model.compress.state import Quantization, fresh_state
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import Baselines, EachEpochTheBest, Measures, MethodScript, UntilFast, baselines
from bitlathe.model.search.strategies import check_names, check_targets
from bitlathe.model.train import TrainConfig

NOW = Measures(merit=0.9, cycles=1000, latency_ms=1.0, macs=100, size_bytes=400, channels=10)
P = PruneChannels(channels=50, target=134)
Q8, Q4 = (Quantize(config=QuantizeConfig(weight_bits=bits)) for bits in (8, 4))


def state(removed: int = 0, quantized: bool = False, epoch: int = 0) -> State:
    made = fresh_state(nn.Linear(2, 2), TrainConfig())
    made.removed_channels, made.epoch = removed, epoch
    made.quantization = Quantization(config=QuantizeConfig()) if quantized else None
    return made


def names(strategy: EachEpochTheBest | MethodScript | UntilFast, at: State, remaining: int) -> list[str]:
    return [method.name for method in strategy.candidates(at, NOW, remaining)]


def test_every_method_is_tried_while_there_is_time() -> None:
    assert names(EachEpochTheBest(methods=(P, Q8, Q4, Train())), state(), 10) == [
        "P",
        "Q(8,8)",
        "Q(4,8)",
        "T",
    ]


def test_what_would_train_on_alike_is_tried_once() -> None:
    every = EachEpochTheBest(methods=(P, Q8, Q4, Train()))
    assert names(every, state(quantized=True), 10) == ["P", "Q(8,8)", "Q(4,8)"]  # under Q(8,8) T is Q(8,8)


def test_a_met_target_leaves_the_choice() -> None:
    assert names(EachEpochTheBest(methods=(P, Q8)), state(removed=134, quantized=True), 5) == ["Q(8,8)"]


def test_an_epoch_in_which_no_method_does_anything_trains_on() -> None:
    pruned = state(removed=134, epoch=2)
    assert names(EachEpochTheBest(methods=(P,)), pruned, 5) == ["T"]
    assert names(EachEpochTheBest(methods=(replace(P, required=False),)), pruned, 1) == ["T"]
    weights = PruneWeights(sparsity=0.5, rounds=1)
    assert names(EachEpochTheBest(methods=(weights,)), replace(state(epoch=1), history=("W",)), 1) == ["T"]
    assert names(EachEpochTheBest(methods=(ShareWeights(),)), state(), 2) == ["T"]


def test_methods_that_owe_are_forced_when_time_is_short() -> None:
    both = EachEpochTheBest(methods=(P, Q8, Q4, Train()))
    assert names(both, state(), 4) == ["P", "Q(8,8)", "Q(4,8)"]  # three epochs of P and one of either Q
    assert names(both, state(quantized=True), 3) == ["P"]
    assert names(both, state(quantized=True, removed=100), 1) == ["P"]


def test_what_does_not_last_has_the_last_epoch() -> None:
    literal = EachEpochTheBest(methods=(P, replace(Q8, lasting=False)))
    assert names(literal, state(removed=134), 1) == ["Q(8,8)"]
    assert names(literal, state(), 4) == ["P"]
    assert names(literal, state(), 5) == ["P", "Q(8,8)"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A method that must be chosen some times; its count is the state's number of removed channels."""

    times: int
    name: str = "counted"
    kind: MethodKind = MethodKind.PRUNE
    lasting: bool = True

    def applicable(self, at: State) -> bool:
        return self.owed(at) > 0

    def owed(self, at: State) -> int:
        return self.times - at.removed_channels

    def apply(self, at: State, data: MethodData) -> State:
        return at


@settings(max_examples=50)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**12))
def test_targets_are_met_whatever_the_rule_prefers(times: int, spare: int, preferences: int) -> None:
    epochs, at = times + spare + 1, state()
    strategy = EachEpochTheBest(methods=(Counted(times=times), Q8, Train()))
    for epoch in range(epochs):
        tried = strategy.candidates(at, NOW, epochs - epoch)
        chosen = tried[(preferences >> epoch) % len(tried)]
        at.removed_channels += chosen.name == "counted"
        if chosen.name == "Q(8,8)":
            at.quantization = Quantization(config=Q8.config)
    assert at.removed_channels == times
    assert at.quantization is not None


def test_the_ordinary_pipeline_prunes_then_trains_then_quantizes() -> None:
    made = Baselines(
        prune=P,
        groups=ChannelGroups(groups=(), refused={}),
        quantizers=(Q8,),
        last=Q8,
        epochs=7,
        quantized_epochs=2,
        latency_share=0.5,
        lanes=8,
    )
    script = made.ordinary()
    found = [names(script, state(epoch=epoch), 7 - epoch) for epoch in range(7)]
    assert found == [["P"], ["P"], ["P"], ["T"], ["T"], ["Q(8,8)"], ["Q(8,8)"]]
    with pytest.raises(BitlatheError, match="3 epochs of P and 2 of Q"):
        replace(made, epochs=4).ordinary()


@pytest.mark.parametrize(("lanes", "removed"), [(8, [8, 16, 24]), (16, [16])])
def test_the_knapsack_weighs_widths_that_the_engine_computes_at_once(
    lanes: int, removed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Baselines(
        prune=replace(P, floor=2),
        groups=ChannelGroups(groups=(ChannelGroup(name="conv", width=32, members=()),), refused={}),
        quantizers=(Q8,),
        last=Q8,
        epochs=3,
        quantized_epochs=2,
        latency_share=0.5,
        lanes=lanes,
    )
    tried: list[int] = []

    def cost(lab: object, rung: object, quantizer: object, prune: PruneOnce | None) -> tuple[float, float]:
        gone = 0 if prune is None else prune.settings.budget.amounts["conv"]
        tried.extend([gone] if gone else [])
        return 32.0 - gone, float(gone)

    monkeypatch.setattr(baselines, "_cost", cost)
    script = made.knapsack(None, None, 16.0, lambda done: None)
    assert tried == removed
    assert script.script[0].settings.budget.amounts == {"conv": 16}


def test_the_greedy_loop_proposes_until_it_is_fast() -> None:
    proposals = tuple(PruneChannels(channels=1, target=9, layer=name, required=False) for name in ("0", "1"))
    greedy = UntilFast(first=Q8, proposals=proposals, after=Train(), target_ms=0.5)
    made = fresh_state(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), TrainConfig())
    assert names(greedy, made, 5) == ["Q(8,8)"]
    made.epoch = 1
    assert names(greedy, made, 4) == ["P[0]"]  # layer 1 has a single channel
    fast = replace(NOW, latency_ms=0.4)
    assert [m.name for m in greedy.candidates(made, fast, 4)] == ["T"]


def test_targets_that_cannot_be_met_are_refused_at_the_start() -> None:
    with pytest.raises(
        BitlatheError, match=r"targets take 4 epochs \(P 3, Q\(8,8\) 1\), the search has 3; give"
    ):
        check_targets((P, Q8), state(), 3)


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(BitlatheError, match=r"the methods are T, T; give at least one and each name once"):
        check_names((Train(), Train()))


def test_a_method_s_state_can_be_thrown_away() -> None:
    made = state()
    copied = made.copy()
    Q4.apply(copied, data=None)  # type: ignore[arg-type]
    assert made.quantization is None
    assert torch.equal(made.model.state_dict()["weight"], copied.model.state_dict()["weight"])
