"""A search on disk: one complete file, written whole after every epoch, and files derived from it.

checkpoint.pt is authoritative. choices.json and candidates.jsonl are derived from it and rewritten on
resuming, so a kill between two writes leaves no contradiction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bitlathe.model.compress.state import State, check_identity, restore
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.search.lab import LabSpec
from bitlathe.model.search.records import EpochRecord, Measures
from bitlathe.model.train.files import read_tensors, write_tensors

CHECKPOINT, CHOICES, CANDIDATES = "checkpoint.pt", "choices.json", "candidates.jsonl"
FORMAT = "bitlathe-search-2"  # version 1 had other names of settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenState:
    """A state that a search has judged, whether or not its epoch chose it."""

    state: State
    measures: Measures
    epoch: int  # that made it; 0: the network before the search
    method: str | None  # that made it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A search between two epochs."""

    state: State
    now: Measures  # of that state
    reference: Measures  # of the network before the search
    records: tuple[EpochRecord, ...] = ()
    kept: SeenState | None = None  # the best that met the budget, if there is one

    @property
    def last(self) -> SeenState:
        """The state that the last epoch left."""
        method = self.records[-1].choice if self.records else None
        return SeenState(state=self.state, measures=self.now, epoch=len(self.records), method=method)


def save_checkpoint(folder: Path, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
    """Write the checkpoint and the derived files; `identity` must be equal to resume."""
    notes = {
        "identity": identity,
        "now": checkpoint.now.to_json(),
        "reference": checkpoint.reference.to_json(),
        "records": [record.to_json() for record in checkpoint.records],
    }
    content = {"format": FORMAT, "state": checkpoint.state.content()}
    if (kept := checkpoint.kept) is not None:
        content["kept"] = kept.state.content()
        notes["kept"] = {"measures": kept.measures.to_json(), "epoch": kept.epoch, "method": kept.method}
    content["notes"] = json.dumps(notes)
    write_tensors(folder / CHECKPOINT, content)
    write_derived(folder, checkpoint)


def load_checkpoint(folder: Path, spec: LabSpec, identity: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of a folder; DataError if there is none or its search has another identity."""
    path = folder / CHECKPOINT
    content = read_tensors(path)
    try:
        if content["format"] != FORMAT:
            raise DataError(f"{path}: is a {content['format']}, not a {FORMAT}; start over in another folder")
        notes = json.loads(content["notes"])
        remedy = "give the same configuration or start over in another folder"
        check_identity(path, notes["identity"], identity, remedy)
        restored = partial(restore, architecture=spec.architecture, settings=spec.settings, where=str(path))
        kept = restored(content["kept"]) if "kept" in content else None
        return Checkpoint(
            state=restored(content["state"]),
            now=Measures.from_json(notes["now"]),
            reference=Measures.from_json(notes["reference"]),
            records=tuple(map(EpochRecord.from_json, notes["records"])),
            kept=None if kept is None else _seen(kept, notes["kept"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not a checkpoint of a search ({error}); start over in another folder"
        ) from error


def _seen(state: State, notes: Mapping[str, Any]) -> SeenState:
    return SeenState(state=state, **{**notes, "measures": Measures.from_json(notes["measures"])})


def write_derived(folder: Path, checkpoint: Checkpoint) -> None:
    """choices.json, the map Z, and candidates.jsonl, one line per candidate."""
    choices = {
        "choices": {str(record.epoch): record.choice for record in checkpoint.records},
        "reference": checkpoint.reference.to_json(),
        "now": checkpoint.now.to_json(),
    }
    write_whole(folder / CHOICES, (json.dumps(choices, indent=1) + "\n").encode())
    lines = [json.dumps(c.to_json()) + "\n" for record in checkpoint.records for c in record.candidates]
    write_whole(folder / CANDIDATES, "".join(lines).encode())
