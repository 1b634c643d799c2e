"""Options of a simulated board on the command line of the launcher, the worker and the agent."""

from __future__ import annotations

import argparse

from bitlathe.board.sim.settings import Faults, MemoryChannel, SimulationSettings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them; the overlay decides whatever is not given."""
    defaults = SimulationSettings()
    group = parser.add_argument_group("simulated board")
    group.add_argument("--latency", type=int, help="cycles from a read's address to its first beat")
    group.add_argument("--stall-percent", type=int, help="chance that memory pauses in a cycle")
    group.add_argument("--seed", type=int, default=0, help="of those pauses")
    group.add_argument("--memory-mib", type=int, help="for buffers; else the board's")
    group.add_argument(
        "--access-cycles", type=int, default=defaults.access_cycles, help="a register access takes"
    )
    group.add_argument("--hang", metavar="CHANNEL:COUNT", help="memory falls silent after COUNT handshakes")
    group.add_argument("--hang-loads", type=int, default=Faults().hang_loads, help="overlays that hang")


def settings_of(arguments: argparse.Namespace) -> SimulationSettings:
    """Settings from the options."""
    return SimulationSettings(
        memory_changes=_memory_changes(arguments),
        memory_bytes=None if arguments.memory_mib is None else arguments.memory_mib << 20,
        access_cycles=arguments.access_cycles,
        faults=Faults(hang=_hang(arguments.hang), hang_loads=arguments.hang_loads),
    )


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The same settings as options, for a child process."""
    given = {
        "--latency": arguments.latency,
        "--stall-percent": arguments.stall_percent,
        "--seed": arguments.seed,
        "--memory-mib": arguments.memory_mib,
        "--access-cycles": arguments.access_cycles,
        "--hang": arguments.hang,
        "--hang-loads": arguments.hang_loads,
    }
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]


def _memory_changes(arguments: argparse.Namespace) -> dict[str, int]:
    """What is given of the memory's timing; the rest stays the overlay's."""
    given = {"latency": arguments.latency, "stall_percent": arguments.stall_percent, "seed": arguments.seed}
    return {name: value for name, value in given.items() if value is not None}


def _hang(text: str | None) -> tuple[MemoryChannel, int] | None:
    if text is None:
        return None
    name, _, count = text.partition(":")
    if name not in MemoryChannel.__members__ or not count.isdigit():
        raise SystemExit(
            f"--hang {text}: give CHANNEL:COUNT with one of {', '.join(MemoryChannel.__members__)}"
        )
    return MemoryChannel[name], int(count)
