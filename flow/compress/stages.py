"""The texts of `--method`: NAME:KEY=VALUE,KEY=VALUE as a method's parameters and its epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitlathe.flow.errors import UsageError
from bitlathe.model.compress.methods import PARAMETERS, MethodParameters
from bitlathe.model.graph.files.settings import WrongValue, read_words
from bitlathe.model.quantize.config import QuantizeConfig

_LETTERS = {"train": "T", "prune": "P", "weights": "W", "quantize": "Q", "product": "PQ"}
_USUAL = QuantizeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A method's parameters, and the epochs in which it is chosen; with 0 epochs it is only applied."""

    parameters: MethodParameters
    epochs: int


def chosen(text: str, quantization: QuantizeConfig = _USUAL) -> Chosen:
    """The method that a text asks for; UsageError says what is wrong with the text.

    What the text of a quantizer leaves open is as in `quantization`.

    >>> chosen("quantize:bits=4+8,epochs=2").epochs
    2
    """
    name, _, rest = text.partition(":")
    letter = _LETTERS.get(name, name)
    if letter not in PARAMETERS:
        raise UsageError(f"`methods={text}`: no method is called {name}; there are {', '.join(_LETTERS)}")
    words = dict(_pair(text, word) for word in rest.split(",") if word)
    try:
        epochs = _epochs(words.pop("epochs", "1"))
        if letter == "Q":
            _join_bits(words, quantization)
        parameters = read_words(PARAMETERS[letter], words, _defaults(letter, epochs, quantization))
    except WrongValue as error:
        raise UsageError(f"`methods={text}`: {error}") from error
    return Chosen(parameters=parameters, epochs=epochs)


def _pair(text: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key or not value:
        raise UsageError(f"`methods={text}`: write {word} as KEY=VALUE")
    return key, value


def _epochs(word: str) -> int:
    if not word.isdecimal():
        raise WrongValue("epochs", f"is {word}; give 0 or more")
    return int(word)


def _join_bits(words: dict[str, str], quantization: QuantizeConfig) -> None:
    """Turn `weights` and `activations`, of which either may be left open, into `bits`."""
    usual = {"weights": quantization.weight_bits, "activations": quantization.activation_bits}
    if usual.keys() & words.keys():
        pair = "+".join(str(words.pop(key, bits)) for key, bits in usual.items())
        if words.setdefault("bits", pair) != pair:
            raise WrongValue("bits", f"stands beside weights or activations; give bits={pair} alone")


def _defaults(letter: str, epochs: int, quantization: QuantizeConfig) -> dict[str, Any]:
    """Values for what a method's text may leave out, where they are not the parameters' own defaults."""
    if letter == "W":
        return {"rounds": max(1, epochs)}
    if letter == "Q":
        return {
            "bits": [quantization.weight_bits, quantization.activation_bits],
            "per_channel": quantization.per_channel,
            "calibration_images": quantization.calibration_images,
        }
    return {}
