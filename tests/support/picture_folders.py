"""Pictures that a small network tells apart, drawn and saved as people keep them: a folder for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from bitlathe.model.data import Images

CLASSES = ("blue", "green", "grey", "red", "stripes")
HEIGHT, WIDTH = 48, 64


def picture(rng: np.random.Generator, name: str, height: int = HEIGHT, width: int = WIDTH) -> Images:
    """A noisy picture (H, W, 3) of a class."""
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    if name in ("red", "green", "blue"):
        image[..., ("red", "green", "blue").index(name)] += 150
    elif name == "stripes":
        image[:, ::2] += 180
    else:
        image += 90
    return image


def class_folders(
    root: Path, rng: np.random.Generator, count: int, names: tuple[str, ...] = CLASSES, suffix: str = ".png"
) -> Path:
    """A folder with so many pictures of each class."""
    for name in names:
        for number in range(count):
            save(root / name / f"{number:03}{suffix}", picture(rng, name))
    return root


def save(path: Path, image: Images, mode: str | None = None) -> Path:
    """A picture's file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(image)
    (made if mode is None else made.convert(mode)).save(path)
    return path


def content(folder: Path) -> Mapping[str, Images]:
    """Pixels of every picture below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): np.asarray(Image.open(path))
        for path in sorted(folder.rglob("*.png"))
    }
