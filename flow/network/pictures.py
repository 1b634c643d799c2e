"""Test images with what a network found in them drawn over: boxes, masks, or as a metric's own `draw` does.

Each picture is SVG that holds its image, so a page of them needs no other file.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.task import OwnFunction
from bitlathe.model.data import Images, Labels
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.train import TaskMetric
from bitlathe.model.train.losses import IGNORED
from bitlathe.model.train.metrics import OutputValues

DRAW = "draw"  # attribute of a metric's function
SHOWN = 8  # pictures, if nobody says a number
_SIDE = 240  # pixels of a drawn image's longer side, at least
_COLOURS = (
    *("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231"),
    *("#911eb4", "#42d4f4", "#f032e6", "#bfef45", "#469990"),
)  # of classes
_OPACITY = 150  # of a mask, of 255

Painter = Callable[[Images, Any, Labels], Any]  # which should be the SVG of each image


class Boxes(Protocol):
    """What was found in an image, as `Detections` has it."""

    boxes: NDArray[Any]  # (K, 4): left, top, right, bottom
    scores: NDArray[Any]  # (K,)
    classes: NDArray[Any]  # (K,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Gallery:
    """Pictures of what was found in some images; they are drawn when they are looked at."""

    title: str
    metric: TaskMetric | None
    images: Images  # (N, H, W, C)
    outputs: OutputValues | tuple[OutputValues, ...]  # real values, as the metric gets them
    labels: Labels

    @property
    def is_drawn(self) -> bool:
        """Whether the metric says how."""
        return _painter(self.metric) is not None

    def draw(self) -> tuple[str, ...]:
        """SVG of each image; UsageError where the metric does not draw, or not as it should."""
        painter = _painter(self.metric)
        if self.metric is None or painter is None:
            what = (
                "no metric was given" if self.metric is None else f"metric {self.metric.name} does not draw"
            )
            raise UsageError(
                f"{what}; give `metric` miou, or a function whose attribute `{DRAW}` is a function of "
                "images, outputs and labels that returns a picture of each as SVG"
            )
        made = painter(self.images, self.outputs, self.labels)
        is_svg = isinstance(made, list | tuple) and all(
            isinstance(each, str) and each.lstrip().startswith("<svg") for each in made
        )
        if not is_svg or len(made) != len(self.images):
            raise UsageError(
                f"{self.metric.name}.{DRAW}: returned something else than {len(self.images)} pictures; "
                "return a list with the SVG of each image, a text"
            )
        return tuple(made)

    def save(self, path: str | Path) -> None:
        """Write them as one HTML page."""
        title = escape(self.title)
        page = (
            '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
            f"<title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{self._repr_html_()}\n</body>\n</html>\n"
        )
        write_whole(Path(path), page.encode())

    def __repr__(self) -> str:
        return f"{self.title}: {len(self.images)} pictures"

    def _repr_html_(self) -> str:  # what a notebook shows
        return "\n".join(self.draw())


def _painter(metric: TaskMetric | None) -> Painter | None:
    """What draws by a metric; None where nothing does."""
    if metric is None:
        return None
    if isinstance(metric.function, OwnFunction):
        return metric.function.attribute(DRAW)
    return _masks_of if metric.name == "miou" else None


def _masks_of(images: Images, outputs: OutputValues, labels: Labels) -> list[str]:
    """Pictures of maps of classes (N, K, H, W), beside what they should be."""
    found = outputs.argmax(axis=1)
    return [draw_masks(*each) for each in zip(images, found, labels, strict=True)]


def draw_masks(image: NDArray[np.uint8], found: NDArray[Any], wanted: NDArray[Any] | None = None) -> str:
    """SVG of an image (H, W, C) under a class for each pixel (H, W); beside it what it should be, if given.

    Class 0 is background and, like those that do not count (255, negative ones), left clear.
    """
    masks = [found] if wanted is None else [found, wanted]
    height, width = image.shape[:2]
    parts = []
    for place, mask in enumerate(masks):
        parts += [_embedded(image, place * width, width, height)]
        parts += [_embedded(_coloured(np.asarray(mask)), place * width, width, height)]
    return _svg(len(masks) * width, height, parts, _zoom(width, height))


def draw_boxes(
    image: NDArray[np.uint8],
    found: Boxes,
    wanted: NDArray[Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> str:
    """SVG of an image (H, W, C) with what was found in it, `Detections`, its class and score beside each box.

    `wanted` (M, 5), class, left, top, right and bottom in pixels, is drawn broken; a negative class is none.
    """
    height, width = image.shape[:2]
    zoom = _zoom(width, height)
    parts = [_embedded(image, 0, width, height)]
    for row in () if wanted is None else np.asarray(wanted):
        if row[0] >= 0:
            parts.append(_box(row[1:], "white", f'stroke-dasharray="{3 / zoom:g}"', zoom))
    for box, score, kind in zip(found.boxes, found.scores, found.classes, strict=True):
        colour = _COLOURS[int(kind) % len(_COLOURS)]
        name = str(kind) if class_names is None else class_names[int(kind)]
        parts.append(_box(box, colour, "", zoom))
        at = f'x="{box[0]:.1f}" y="{max(box[1] - 2 / zoom, 10 / zoom):.1f}"'
        style = f'fill="{colour}" stroke="black" stroke-width="{2 / zoom:.2f}" paint-order="stroke"'
        style += f' font-size="{11 / zoom:.2f}" font-family="sans-serif"'
        parts.append(f"<text {at} {style}>{escape(name)} {100 * float(score):.0f} %</text>")
    return _svg(width, height, parts, zoom)


def _box(sides: Sequence[float], colour: str, style: str, zoom: int) -> str:
    left, top, right, bottom = map(float, sides)
    frame = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect {frame} fill="none" stroke="{colour}" stroke-width="{1.5 / zoom:.2f}" {style}/>'


def _zoom(width: int, height: int) -> int:
    return max(1, -(-_SIDE // max(width, height)))


def _svg(width: int, height: int, parts: Sequence[str], zoom: int) -> str:
    size = f'width="{width * zoom}" height="{height * zoom}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _embedded(pixels: NDArray[np.uint8], left: int, width: int, height: int) -> str:
    """An image (h, w, C) as PNG within the picture."""
    shown = pixels if pixels.shape[2] in (3, 4) else pixels[..., 0]  # of other channels the first
    png = BytesIO()
    Image.fromarray(np.ascontiguousarray(shown)).save(png, "PNG")
    data = base64.b64encode(png.getvalue()).decode()
    return (
        f'<image x="{left}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def _coloured(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours (h, w, 4) of classes (h, w)."""
    kinds = mask.astype(np.int64)
    colours = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in _COLOURS], np.uint8)
    made = np.zeros((*kinds.shape, 4), np.uint8)
    made[..., :3] = colours[(kinds - 1) % len(colours)]
    made[..., 3] = np.where((kinds > 0) & (kinds != IGNORED), _OPACITY, 0)
    return made
