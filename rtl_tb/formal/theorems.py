"""What is claimed of a block, on which sizes, by which engine, and the fault that each claim must notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Configuration = Mapping[str, int]  # parameters of the top module; with F_ before, macros of properties


class Engine(Enum):
    """Who decides: induction by an SMT solver, or property directed reachability."""

    YICES = "yices"
    Z3 = "z3"
    PDR = "abc pdr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A one-line fault: `old`, which stands once in the module's file, becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Theorem:
    """A label of assertions in a block's property file, and the fault that breaks it from reset on."""

    label: str
    says: str
    mutant: Mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Theorems that are proved together, on one top module with the properties put into it.

    Assertions named `inv_...` are invariants that carry the induction; they are proved like the rest.
    """

    name: str  # of the row: the block
    top: str  # module of the library, or of properties/
    properties: tuple[str, ...]  # modules that get their property file, the top's among them
    theorems: tuple[Theorem, ...]
    reached: tuple[str, ...]  # labels of cover statements
    configurations: tuple[Configuration, ...] = ({},)
    engine: Engine = Engine.YICES
    induction: int = 2  # steps assumed: one in which properties may still be off, and one of theirs
    bounded: str = ""  # why a bound on the steps is all there is
    bound: int = 20  # steps in which mutants fail and covers are reached
    cut: tuple[str, ...] = ()  # modules whose instances give any values
    probes: Mapping[str, str] = field(
        default_factory=dict
    )  # wire of the top module: signal within an instance


def theorems_of(module: str, *rows: tuple[str, str, str, str]) -> tuple[Theorem, ...]:
    """Theorems whose mutants are all of one module; rows are label, claim, text replaced, its replacement."""
    return tuple(
        Theorem(label=label, says=says, mutant=Mutant(module=module, old=old, new=new))
        for label, says, old, new in rows
    )
