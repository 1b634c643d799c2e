"""Several agents as one: bundles go to whichever is free, answers come back in the order of the questions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from bitlathe.board.bundle import Bundle
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError, AgentLost
from bitlathe.board.measurement import Measurement

_LOG = logging.getLogger(__name__)


class Pool:
    """Agents of equal boards. One that is lost is left out from then on, its job done by another."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        if not agents:
            raise AgentError("a pool needs an agent; give `boards`")
        self.size = len(agents)  # those that are lost included
        self._lost = 0
        self._free: SimpleQueue[Agent | None] = SimpleQueue()
        for agent in agents:
            self._free.put(agent)

    def measure(self, bundle: Bundle, images: int | None = None) -> Measurement:
        """Measure on the next free agent; raises as `Agent.measure`."""
        while True:
            agent = self._free.get()
            if agent is None:
                self._free.put(None)  # for whoever else waits
                raise AgentError("no agent of the pool can be reached any more")
            try:
                measured = agent.measure(bundle, images)
            except AgentLost as error:
                self._lose(agent, error)
                continue
            except BaseException:
                self._free.put(agent)
                raise
            self._free.put(agent)
            return measured

    def measure_all(self, bundles: Sequence[Bundle], images: int | None = None) -> list[Measurement]:
        """Measurements in the order of `bundles`, as many at a time as there are agents."""
        with ThreadPoolExecutor(self.size) as threads:
            return list(threads.map(lambda bundle: self.measure(bundle, images), bundles))

    def _lose(self, agent: Agent, error: AgentError) -> None:
        _LOG.warning("agent %s is left out: %s", agent, error)
        self._lost += 1
        if self._lost == self.size:
            self._free.put(None)
