"""Quantizing a network reports what is left to the host after its outputs."""

from __future__ import annotations

import torch
from torch import nn

import bitlathe


def test_a_softmax_at_the_end_is_left_to_the_host_with_a_note() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Hardswish(), nn.Flatten(), nn.Linear(36, 10))
    notes: list[object] = []
    subjects = [bitlathe.load_network(nn.Sequential(body, *end), "digits") for end in ([], [nn.Softmax(1)])]
    plain, ending = (
        bitlathe.quantize(subject, calibration_images=16, progress=notes.append) for subject in subjects
    )
    assert [str(note) for note in notes if "host" in str(note)] == ["Sequential: left to the host: softmax"]
    images = subjects[0].dataset.test_images[:8]
    assert (plain.outputs(images) == ending.outputs(images)).all()
