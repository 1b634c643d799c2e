"""A real Ray with two workers chooses as this process does, and survives the death of one in mid-epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from search_lab import SPEC, DieOnce, Shake, choices, lasting, make_search, scores

from bitlathe.model.search.ray_executor import RayExecutor

needs.package("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of its own future defaults


@pytest.fixture
def executor() -> Iterator[RayExecutor]:
    started = RayExecutor(lasting(SPEC, epochs=1), workers=2)
    yield started
    started.close()


def test_ray_finds_what_one_process_does_though_a_worker_is_killed(
    executor: RayExecutor, tmp_path: Path
) -> None:
    methods = (Shake(strength=0.1), DieOnce(marker=tmp_path / "died"))
    spec = lasting(SPEC, epochs=1)
    parallel = make_search(tmp_path / "ray", methods=methods, spec=spec, executor=executor).run()
    assert (tmp_path / "died").exists()
    alone = make_search(tmp_path / "alone", methods=methods, spec=spec).run()
    assert choices(parallel) == choices(alone)
    assert scores(parallel) == scores(alone)
    for name, tensor in parallel.state.model.state_dict().items():
        assert tensor.equal(alone.state.model.state_dict()[name])
