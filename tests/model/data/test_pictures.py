"""Pixels of pictures in files: every mode that people save, and what is no picture."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitlathe.model.data import Images
from bitlathe.model.data.pictures import headers, read_pictures
from bitlathe.model.graph.errors import DataError, first_of

SIZE = (5, 7)


@pytest.fixture
def colours(rng: np.random.Generator) -> Images:
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def pixels(path: Path, channels: int) -> Images:
    """A file's picture (H, W, C)."""
    (image,) = read_pictures([path], SIZE, channels, lambda done, total: None)
    return image


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm"])
def test_colours_are_read_as_they_are(tmp_path: Path, colours: Images, suffix: str) -> None:
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(colours))
    assert np.array_equal(pixels(path, 3), colours)
    (header,) = headers([path])
    assert (header.size, header.channels, header.has_alpha) == (SIZE, 3, False)


def test_a_jpeg_is_read_as_pillow_decodes_it(tmp_path: Path, colours: Images) -> None:
    path = saved(tmp_path / "x.jpg", Image.fromarray(colours), quality=80)
    assert np.array_equal(pixels(path, 3), np.asarray(Image.open(path)))
    cmyk = saved(tmp_path / "y.jpg", Image.fromarray(colours).convert("CMYK"))
    assert np.array_equal(pixels(cmyk, 3), np.asarray(Image.open(cmyk).convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "channels", "has_alpha"),
    [
        ("1", 1, False),
        ("L", 1, False),
        ("LA", 1, True),
        ("P", 3, False),
        ("RGB", 3, False),
        ("RGBA", 3, True),
    ],
)
def test_modes_become_one_channel_or_three(
    tmp_path: Path, colours: Images, mode: str, channels: int, has_alpha: bool
) -> None:
    made = Image.fromarray(colours).convert(mode)
    path = saved(tmp_path / "x.png", made)
    (header,) = headers([path])
    assert (header.channels, header.has_alpha) == (channels, has_alpha)
    expected = np.asarray(made.convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(pixels(path, channels)[..., 0], expected if channels == 1 else expected[..., 0])


def test_a_grey_palette_is_grey_and_transparency_hides_nothing(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    grey = rng.integers(0, 256, SIZE, dtype=np.uint8)
    made = Image.fromarray(grey).convert("P")
    path = saved(tmp_path / "x.png", made, transparency=bytes(range(256)))
    (header,) = headers([path])
    assert (header.channels, header.has_alpha) == (1, True)
    assert np.array_equal(pixels(path, 1)[..., 0], grey)


def test_grey_is_repeated_where_three_channels_are_asked_for(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    grey = rng.integers(0, 256, SIZE, dtype=np.uint8)
    path = saved(tmp_path / "x.png", Image.fromarray(grey))
    assert np.array_equal(pixels(path, 3), np.stack([grey] * 3, -1))


def test_another_size_is_reached_by_antialiased_bilinear_interpolation(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    large = Image.fromarray(rng.integers(0, 256, (50, 33, 3), dtype=np.uint8))
    path = saved(tmp_path / "x.png", large)
    expected = large.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels(path, 3), np.asarray(expected))


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        headers([path])
        pixels(path, 3)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    grey = saved(tmp_path / "g.png", Image.fromarray(np.full(SIZE, 300, np.uint16)))
    assert refused(grey) == "g.png: has more than 8 bits a channel; convert it to 8 bits"
    colour = tmp_path / "c.png"
    colour.write_bytes(png_of_16_bits(SIZE))
    assert refused(colour) == "c.png: has more than 8 bits a channel; convert it to 8 bits"


def png_of_16_bits(size: tuple[int, int]) -> bytes:
    """A black PNG of three channels of 16 bits, which Pillow can read but not write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size[1], size[0], 16, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(6 * size[1])) * size[0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("factor", [1, 3])  # Pillow warns of more than its limit, and refuses twice that
def test_a_decompression_bomb_is_refused_and_no_warning_shown(
    tmp_path: Path, colours: Images, monkeypatch: pytest.MonkeyPatch, factor: int
) -> None:
    path = saved(tmp_path / "bomb.png", Image.fromarray(colours))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 34 // factor)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refused(path) == f"bomb.png: has more than {34 // factor} pixels; shrink or remove it"


@pytest.mark.parametrize("keep", [0, 3, 20, 60, -1, -13])
def test_a_truncated_picture_is_refused_by_name(tmp_path: Path, keep: int, rng: np.random.Generator) -> None:
    for suffix in ("png", "jpg"):
        noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        path = saved(tmp_path / f"x.{suffix}", noise)
        whole = path.read_bytes()
        path.write_bytes(whole[: keep - 400 if keep < 0 else keep])
        assert re.match(
            rf"x\.{suffix}: (is not a picture|cannot be read) \(.*\); replace or remove it", refused(path)
        )


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_picture_is_read_or_refused_but_nothing_else(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for suffix in ("png", "jpg", "bmp", "ppm"):
        path = saved(
            tmp_path / f"x.{suffix}", Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        )
        data = bytearray(path.read_bytes())
        for place in rng.integers(0, len(data), 6):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            headers([path])
            pixels(path, 3)
        except DataError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_what_is_not_there_is_refused_in_words_of_the_system(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.png") == (
        "x.png: cannot be read (No such file or directory); replace or remove it"
    )
    (tmp_path / "folder.png").mkdir()
    assert refused(tmp_path / "folder.png").startswith("folder.png: cannot be read (Is a directory)")


def test_a_few_of_many_files_are_named() -> None:
    assert first_of([Path("a.png"), Path("b.png")]) == "a.png, b.png"
    assert first_of([Path(f"{n}.png") for n in range(9)]) == "0.png, 1.png, 2.png and 6 more"
