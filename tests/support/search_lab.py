"""A small lab for tests of the search: LeNet-5 on digits, from the package's own weights."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bitlathe.model.compress import Method, MethodData, MethodKind, State, ZooArchitecture
from bitlathe.model.compress.methods import Train
from bitlathe.model.graph.files.account import Account
from bitlathe.model.graph.graph import Graph
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import (
    Checkpoint,
    EachEpochTheBest,
    Executor,
    Judge,
    Lab,
    LabSpec,
    Ladder,
    Latency,
    LatencyBudget,
    Listener,
    Rule,
    Search,
    SearchSettings,
    Sequential,
    Strategy,
    find_rule,
)
from bitlathe.model.train import TrainConfig
from bitlathe.model.zoo import checkpoint_path

EPOCHS = 2
SETTINGS = TrainConfig(epochs=EPOCHS, batch_size=256, lr=0.02, threads=1)
SPEC = LabSpec(
    architecture=ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8),
    weights=checkpoint_path("lenet5", "digits"),
    dataset="digits",
    data_root=None,
    settings=SETTINGS,
    held_out=300,
    judge=Judge.HELD_OUT,
    deployment=QuantizeConfig(calibration_images=32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MacsRung:
    """A cycle for each so many multiply-accumulates."""

    name: str = "macs"
    macs_a_cycle: int = 100

    def cost(self, graph: Graph) -> Latency:
        """The same cycles, as if the array were never idle."""
        cycles = Account.of(graph).macs // self.macs_a_cycle
        return Latency(cycles=cycles, milliseconds=cycles / 150_000)


LADDER = Ladder(rungs=(MacsRung(name="rough", macs_a_cycle=90), MacsRung()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shake:
    """A method that moves every weight by a share of itself; larger shares do more harm."""

    strength: float
    kind: MethodKind = MethodKind.WEIGHTS
    lasting: bool = True

    @property
    def name(self) -> str:
        """Its strength."""
        return f"shake {self.strength:g}"

    def applicable(self, state: State) -> bool:
        """Always."""
        return True

    def owed(self, state: State) -> int:
        """None."""
        return 0

    @torch.no_grad()
    def apply(self, state: State, data: MethodData) -> State:
        """Weights of the state shaken."""
        generator = torch.Generator().manual_seed(state.epoch)
        for parameter in state.model.parameters():
            parameter.mul_(1 + self.strength * torch.randn(parameter.shape, generator=generator))
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class DieOnce:
    """Trains on, but kills the first process that tries, after its first step."""

    marker: Path
    name: str = "die once"
    kind: MethodKind = MethodKind.TRAIN
    lasting: bool = True

    def applicable(self, state: State) -> bool:
        """Always."""
        return True

    def owed(self, state: State) -> int:
        """None."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state, if the marker says that somebody died already."""
        if not self.marker.exists():
            state.optimizer.register_step_post_hook(lambda *_: self._die())
        return state

    def _die(self) -> None:
        self.marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


METHODS: tuple[Method, ...] = (Train(), Shake(strength=0.4))


def make_search(
    folder: Path,
    *,
    methods: tuple[Method, ...] = METHODS,
    strategy: Strategy | None = None,
    spec: LabSpec = SPEC,
    executor: Executor | None = None,
    rule: Rule | None = None,
    listeners: tuple[Listener, ...] = (),
    identity: Mapping[str, Any] | None = None,
    budget: LatencyBudget | None = None,
    is_held: bool = False,
    **settings: Any,
) -> Search:
    """A search of the small lab."""
    lab = Lab(spec)
    return Search(
        lab=lab,
        strategy=strategy or EachEpochTheBest(methods=methods),
        rule=rule or find_rule("accuracy", {}),
        ladder=LADDER,
        executor=executor or Sequential(lab),
        settings=SearchSettings(**settings),
        folder=folder,
        identity=identity or {"epochs": spec.settings.epochs},
        budget=budget,
        is_held=is_held,
        listeners=listeners,
    )


def choices(checkpoint: Checkpoint) -> list[str]:
    """The map Z."""
    return [record.choice for record in checkpoint.records]


def scores(checkpoint: Checkpoint) -> list[tuple[str, str, float | None]]:
    """Everything that was scored, without times."""
    return [(c.method, c.stage.value, c.score) for record in checkpoint.records for c in record.candidates]


def lasting(spec: LabSpec, **changes: Any) -> LabSpec:
    """The lab with other training settings."""
    return replace(spec, settings=replace(spec.settings, **changes))


if __name__ == "__main__":  # a search in a process of its own, for tests that kill it
    make_search(Path(sys.argv[1]), probe=0.5).run(resume=True)
