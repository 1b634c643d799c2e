"""One grammar says what a network was trained to see of a pixel."""

from __future__ import annotations

import pytest

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.normalization import IMAGENET, NONE, RAW, UNIT, Normalization


def ends(normalization: Normalization) -> tuple[float, float]:
    """What the first channel makes of pixels 0 and 255."""
    mean, std = normalization.mean[0], normalization.std[0]
    return pytest.approx((0 - mean) / std), pytest.approx((1 - mean) / std)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("range=0..1", 0, 1),
        ("unit", 0, 1),
        ("0..1", 0, 1),
        ("raw", 0, 255),
        ("range=0..255", 0, 255),
        ("-1..1", -1, 1),
        ("range=-1..1", -1, 1),
        (" range=-0.5..0.5 ", -0.5, 0.5),
        ("range=-.5...5", -0.5, 0.5),
        ("range=1..0", 1, 0),
        ("range=1e-1..1e1", 0.1, 10),
        ("mean=0.5,std=0.25", -2, 2),
        ("mean=0.5,0.1,0.2,std=0.25", -2, 2),
        ("none", -1, 127 / 128),
    ],
)
def test_a_text_says_what_pixels_0_and_255_become(text: str, low: float, high: float) -> None:
    assert ends(Normalization.parse(text)) == (low, high)


def test_synonyms_are_one_normalization_and_what_is_printed_is_read_again() -> None:
    assert Normalization.parse("unit") == Normalization.parse("range=0.0..1") == UNIT
    assert Normalization.parse("range=0..255") == RAW and str(RAW) == "raw"
    for each in (NONE, UNIT, RAW, IMAGENET, *map(Normalization.parse, ("-1..1", "mean=0.1,0.2,0.3,std=2"))):
        assert Normalization.parse(str(each)) == each


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a normalization; give none, imagenet, raw, range=A..B"),
        ("mean=0.5", "is not a normalization"),
        ("range=0..1..2", "'1..2' in it is not a number"),
        ("range=a..1", "'a' in it is not a number"),
        ("mean=0.5,x,std=1", "'x' in it is not a number"),
        ("range=2..2", "goes from 2 to 2; give two numbers that differ"),
        ("range=nan..1", "goes from nan to 1; give two numbers that differ"),
        ("range=0..inf", "goes from 0 to inf; give two numbers that differ"),
        ("range=0..1e-12", "give numbers up to 1e+09"),
        ("mean=0.5,std=0", "standard deviations are 0; give numbers above 0"),
        ("mean=0.5,std=0.1,-0.2,1", "standard deviations are 0.1,-0.2,1; give numbers above 0"),
        ("mean=0.5,std=nan", "standard deviations are nan; give numbers above 0"),
        ("mean=nan,std=1", "mean nan and std 1; give numbers up to 1e+09"),
        ("mean=0.5,std=inf", "give numbers up to 1e+09"),
        ("mean=125.3,123,113.9,std=63", "means are 125.3,123,113.9, and pixel / 255 ends at 1; divide both"),
    ],
)
def test_what_is_no_normalization_is_refused_with_what_to_write(text: str, problem: str) -> None:
    with pytest.raises(FormatError) as caught:
        Normalization.parse(text)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_constants_are_one_for_all_channels_or_one_each() -> None:
    for fitting in (UNIT, IMAGENET, Normalization.of_constants([0.5], [0.1, 0.2, 0.3])):
        fitting.check_channels(3, "images have")
    for text, problem in (
        ("mean=0.1,0.2,std=1", "has 2 means, images have 3 channels; give 1 or 3"),
        ("mean=0.1,std=1,2", "has 2 standard deviations, images have 3 channels; give 1 or 3"),
    ):
        with pytest.raises(FormatError) as caught:
            Normalization.parse(text).check_channels(3, "images have")
        assert str(caught.value) == problem
    with pytest.raises(FormatError, match=r"has 3 means, images have 1 channel; give 1$"):
        IMAGENET.check_channels(1, "images have")


def test_numbers_reach_as_far_as_the_message_says() -> None:
    for mean, std in ((1e9, 1.0), (-1e9, 1.0), (0.0, 1e9), (0.0, 1e-9)):
        assert Normalization("far", (mean,), (std,)).mean == (mean,)
    for mean, std in ((1.001e9, 1.0), (0.0, 1.001e9), (0.0, 0.999e-9), (0.0, 0.0)):
        with pytest.raises(FormatError, match=r"give numbers up to 1e\+09"):
            Normalization("farther", (mean,), (std,))
