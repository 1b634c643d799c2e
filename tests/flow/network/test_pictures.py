"""What a network finds is drawn over its test images: masks, boxes, what a metric of the user's own draws."""

from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import other_tasks
import pytest
from command_line import run
from other_tasks import FILE, segmenter, squares
from PIL import Image

import bitlathe
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.search.report import About, ReportView, render

SVG = "{http://www.w3.org/2000/svg}"
IMAGE = np.arange(48, dtype=np.uint8).reshape(6, 8, 1)


@pytest.fixture(scope="module")
def quantized() -> IntegerNetwork:
    return bitlathe.quantize(bitlathe.load_network(segmenter(), bitlathe.load_dataset(squares())))


def embedded(picture: str) -> list[np.ndarray]:
    """Pixels of the images within a picture."""
    found = ElementTree.fromstring(picture).iter(f"{SVG}image")
    data = [str(each.get("href")).removeprefix("data:image/png;base64,") for each in found]
    return [np.array(Image.open(BytesIO(base64.b64decode(text)))) for text in data]


def test_masks_colour_what_is_no_background_and_counts() -> None:
    mask = np.zeros((6, 8), np.int64)
    mask[1, 2], mask[3, 4], mask[5, 5], mask[5, 6] = 1, 2, 255, -1
    image, found, again, wanted = embedded(bitlathe.draw_masks(IMAGE, mask, np.zeros((6, 8), np.uint8)))
    assert (image == IMAGE[..., 0]).all() and (again == image).all()
    assert sorted(map(tuple, np.argwhere(found[..., 3]))) == [(1, 2), (3, 4)]
    assert (found[1, 2] != found[3, 4]).any() and not wanted[..., 3].any()


def test_boxes_stand_where_they_were_found_and_broken_where_they_are() -> None:
    found = bitlathe.Detections(
        boxes=np.array([[1.0, 2.0, 5.0, 6.0]]), scores=np.array([0.9]), classes=np.array([1])
    )
    wanted = np.array([[0, 3, 1, 7, 4], [-1, 0, 0, 0, 0]], np.float32)
    drawn = ElementTree.fromstring(bitlathe.draw_boxes(IMAGE, found, wanted, ("a", "<b>")))
    boxes = list(drawn.iter(f"{SVG}rect"))
    frames = [[float(str(box.get(side))) for side in ("x", "y", "width", "height")] for box in boxes]
    assert frames == [[3, 1, 4, 3], [1, 2, 4, 4]]
    assert ["stroke-dasharray" in box.attrib for box in boxes] == [True, False]
    assert [text.text for text in drawn.iter(f"{SVG}text")] == ["<b> 90 %"]


def test_the_pictures_of_a_network_are_of_its_integers(quantized: IntegerNetwork, tmp_path: Path) -> None:
    gallery = quantized.pictures(3)
    assert len(gallery.draw()) == 3 and str(gallery).endswith(": 3 pictures")
    codes = quantized.outputs(quantized.dataset.test_images[:3])
    for picture, code in zip(gallery.draw(), codes, strict=True):
        assert ((code.argmax(axis=0) > 0) == (embedded(picture)[1][..., 3] > 0)).all()
    gallery.save(tmp_path / "found.html")
    page = (tmp_path / "found.html").read_text()
    assert all(picture in page for picture in gallery.draw()) and 'href="http' not in page


def test_a_page_of_what_the_hardware_found_is_written_by_command(tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    words = ("--network", f"{FILE}:segmenter", "--dataset", f"{FILE}:squares", "--calibration", "8")
    outcome = run("simulate", *words, "--images", "2", "--pictures", page)
    assert outcome.status == 0 and page.read_text().count("<svg") == 2
    refused = run("simulate", "--network", "lenet5", "--pictures", page)
    assert refused.status == 2 and "metric top1 does not draw; give --metric miou, or a" in refused.stderr


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda images, outputs, labels: "<svg/>", r"something else than 2 pictures; return a list"),
        (lambda images, outputs, labels: None, r"something else than 2 pictures; return a list"),
        (lambda images, outputs, labels: ["<svg/>"], r"something else than 2 pictures; return a list"),
        (lambda images, outputs, labels: ["<p>"] * len(images), r"something else than 2 pictures"),
        (lambda images, outputs, labels: images[99], r"test_pictures.py:\d+: IndexError: .*; mend it there"),
    ],
)
def test_a_metric_that_draws_otherwise_is_told_in_a_line(draw: Any, message: str) -> None:
    def metric(outputs: Any, labels: Any) -> float:
        return 0.0

    metric.draw = draw  # type: ignore[attr-defined]
    network = bitlathe.load_network(segmenter(), bitlathe.load_dataset(squares()), metric=metric)
    with pytest.raises(bitlathe.UsageError, match=message) as told:
        bitlathe.quantize(network).pictures(2).draw()
    assert "\n" not in str(told.value)


def test_a_report_shows_pictures_as_they_are() -> None:
    view = ReportView(
        title="found",
        summary="",
        about=About(facts=(), configuration=""),
        tables=(),
        charts=(),
        pictures=("<svg id='one'></svg>",),
    )
    assert "<svg id='one'></svg>" in render(view)
    assert "Test images" not in render(replace(view, pictures=()))


def test_a_search_reports_what_its_network_finds(tmp_path: Path) -> None:
    found = bitlathe.search(
        other_tasks.segmenter(),
        tmp_path / "out",
        dataset=bitlathe.load_dataset(squares(), name="squares"),
        methods=[bitlathe.Train()],
        epochs=1,
        rungs=["cycle-model"],
        held_out=10,
    )
    section = found.report.read_text().partition('<section id="pictures">')[2].partition("</section>")[0]
    assert section.count("<svg xmlns") == section.count("</svg>") == 8
