"""The plain values of an engine that the HLS templates print."""

from dataclasses import dataclass

from bitlathe.hls.render import render
from bitlathe.hls.target.config import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigView:
    """The sizes of one engine and the part it is for."""

    target: str
    part: str
    pi: int
    po: int
    pp: int
    banks: int
    bank_lines: int
    weight_lines: int
    identity: int

    @classmethod
    def of(cls, target: Target) -> "ConfigView":
        """View of a target's engine."""
        engine = target.engine
        return cls(
            target=target.name,
            part=target.part,
            pi=engine.pi,
            po=engine.po,
            pp=engine.pp,
            banks=engine.banks,
            bank_lines=engine.bank_lines,
            weight_lines=engine.weight_lines,
            identity=engine.identity,
        )


def config_text(target: Target) -> str:
    """Text of config.hpp."""
    return render("vitis_config.hpp.j2", v=ConfigView.of(target))
