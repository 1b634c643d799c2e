"""A search on disk: one file that says all, written whole after every epoch, and what is derived from it.

checkpoint.pt is the truth. choices.json and candidates.jsonl are made from it and made anew on resuming, so
a kill between two writes leaves nothing that disagrees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitlathe.model.compress.state import State, check_identity, restore
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.search.lab import LabSpec
from bitlathe.model.search.records import EpochRecord, Measures
from bitlathe.model.train.files import read_tensors, write_tensors

CHECKPOINT, CHOICES, CANDIDATES = "checkpoint.pt", "choices.json", "candidates.jsonl"
FORMAT = "bitlathe-search-2"  # 1 had other names of settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A search between two epochs."""

    state: State
    now: Measures  # of that state
    reference: Measures  # of the network before the search
    records: tuple[EpochRecord, ...] = ()


def save_checkpoint(folder: Path, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
    """Write the checkpoint and what is derived from it; `identity` is what must be equal to go on."""
    notes = {
        "identity": identity,
        "now": checkpoint.now.to_json(),
        "reference": checkpoint.reference.to_json(),
        "records": [record.to_json() for record in checkpoint.records],
    }
    content = {"format": FORMAT, "state": checkpoint.state.content(), "notes": json.dumps(notes)}
    write_tensors(folder / CHECKPOINT, content)
    write_derived(folder, checkpoint)


def load_checkpoint(folder: Path, spec: LabSpec, identity: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of a folder; DataError if there is none, or it is of a search with another identity."""
    path = folder / CHECKPOINT
    content = read_tensors(path)
    try:
        if content["format"] != FORMAT:
            raise DataError(f"{path}: is a {content['format']}, not a {FORMAT}; start anew in another folder")
        notes = json.loads(content["notes"])
        remedy = "give the same configuration or start anew in another folder"
        check_identity(path, notes["identity"], identity, remedy)
        return Checkpoint(
            state=restore(content["state"], spec.architecture, spec.settings, str(path)),
            now=Measures(**notes["now"]),
            reference=Measures(**notes["reference"]),
            records=tuple(map(EpochRecord.from_json, notes["records"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: no checkpoint of a search ({error}); start anew in another folder"
        ) from error


def write_derived(folder: Path, checkpoint: Checkpoint) -> None:
    """choices.json, the map Z, and candidates.jsonl, one line a candidate."""
    choices = {
        "choices": {str(record.epoch): record.choice for record in checkpoint.records},
        "reference": checkpoint.reference.to_json(),
        "now": checkpoint.now.to_json(),
    }
    write_whole(folder / CHOICES, (json.dumps(choices, indent=1) + "\n").encode())
    lines = [json.dumps(c.to_json()) + "\n" for record in checkpoint.records for c in record.candidates]
    write_whole(folder / CANDIDATES, "".join(lines).encode())
