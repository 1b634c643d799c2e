"""Words from outside, made fit for a message or a line of a log."""

from __future__ import annotations

MOST_SHOWN = 60  # characters of a value in a message


def one_line(text: str) -> str:
    r"""A text whose line ends, control characters and lone surrogates are escaped.

    >>> one_line("done\nboard: all is well")
    'done\\nboard: all is well'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(value: object) -> str:
    """A value in quotes, in ASCII and short; of a list or an object only what it is.

    >>> shown("../" * 40)
    "'../../../../../../../../../../../../../../../../../../../../'..."
    """
    if isinstance(value, list | tuple | dict):
        return f"a JSON {type(value).__name__} of {len(value)}"
    text = str(value)
    return ascii(text[:MOST_SHOWN]) + "..." * (len(text) > MOST_SHOWN)
