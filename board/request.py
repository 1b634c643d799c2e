"""The head of an HTTP request: few forms are known, each read whole or refused with a status and a reason.

Source: RFC 9110 and 9112, without what this server has no use for: folded lines, several lengths, chunks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from bitlathe.board.errors import AgentError, BoardError
from bitlathe.board.text import shown

MOST_HEADERS = 64
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) ([!-~]+) HTTP/1\.[0-9]")
_TARGET = re.compile(r"(?:https?://[^/?#]*)?(/[^?#]*)(?:\?([^#]*))?")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Refusal(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, status: HTTPStatus, error: BoardError | str) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = AgentError(error) if isinstance(error, str) else error


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The contents of a request's head."""

    method: str
    path: str  # as it was sent: nothing in it is decoded
    query: str
    authorization: str
    length: int | None  # bytes of the body, where that is said


def parse_head(lines: Sequence[bytes]) -> Request:
    """The request in a head's lines, without their ends; Refusal where they are not one.

    >>> parse_head([b"GET /jobs/7?wait=20 HTTP/1.1", b"Authorization: Bearer x"]).query
    'wait=20'
    """
    first, *rest = (line.decode("latin-1") for line in lines)
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise _bad(f"the request begins with {shown(first)}, needed METHOD /PATH HTTP/1.1")
    target = _TARGET.fullmatch(found[2])
    if target is None:
        raise _bad(f"the request asks for {shown(found[2])}, needed a path that begins with '/'")
    headers = _headers(rest)
    return Request(
        method=found[1],
        path=target[1],
        query=target[2] or "",
        authorization=_only(headers, "authorization") or "",
        length=_length(headers),
    )


def _headers(lines: Sequence[str]) -> dict[str, list[str]]:
    """Values of each header, its name in small letters."""
    if len(lines) > MOST_HEADERS:
        raise Refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the request has {len(lines)} headers; send {MOST_HEADERS} at most",
        )
    headers: dict[str, list[str]] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise _bad(f"the request has the line {shown(line)}, needed NAME: VALUE")
        headers.setdefault(found[1].lower(), []).append(found[2].strip(" \t"))
    return headers


def _only(headers: dict[str, list[str]], name: str) -> str | None:
    """The value of a header that occurs once, None where it is absent."""
    values = headers.get(name, [])
    if len(values) > 1:
        raise _bad(f"the request has {len(values)} headers {name}; send one")
    return values[0] if values else None


def _length(headers: dict[str, list[str]]) -> int | None:
    if "transfer-encoding" in headers:
        raise Refusal(
            HTTPStatus.LENGTH_REQUIRED,
            "a body with Transfer-Encoding is not read; send it with Content-Length",
        )
    text = _only(headers, "content-length")
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise _bad(f"the request has Content-Length {shown(text)}, needed a number of bytes")
    return int(text)


def _bad(message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, message)
