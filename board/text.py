"""Words from outside, made fit for a message or a line of a log."""

from __future__ import annotations

MOST_SHOWN = 60  # characters of a value in a message
MOST_SAID = 1000  # of a message from elsewhere


def one_line(text: str, most: int = MOST_SAID) -> str:
    r"""A text of at most so many characters, its line ends, control characters and lone surrogates escaped.

    >>> one_line("done\nboard: all is well")
    'done\\nboard: all is well'
    """
    kept = text[:most] + "..." * (len(text) > most)
    if kept.isprintable():
        return kept
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in kept)


def shown(value: object) -> str:
    """A value in quotes, in ASCII and short; of a list or an object only what it is.

    >>> shown("../" * 40)
    "'../../../../../../../../../../../../../../../../../../../../'..."
    """
    if isinstance(value, list | tuple | dict):
        return f"a JSON {type(value).__name__} of {len(value)}"
    text = str(value)
    return ascii(text[:MOST_SHOWN]) + "..." * (len(text) > MOST_SHOWN)
