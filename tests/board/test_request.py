"""A request's head is read whole or refused with a status that says the client erred."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitlathe.board.request import MOST_HEADERS, Refusal, parse_head

TARGETS = {
    b"/status": ("/status", ""),
    b"/jobs/7?wait=20": ("/jobs/7", "wait=20"),
    b"/a%00b/..?": ("/a%00b/..", ""),
    b"//x?a?b": ("//x", "a?b"),
    b"http://127.0.0.1:8377/status?x=1": ("/status", "x=1"),
    b"http://[::1]/status": ("/status", ""),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_taken_apart_and_nothing_in_it_decoded(target: bytes) -> None:
    request = parse_head([b"GET " + target + b" HTTP/1.1"])
    assert (request.method, request.path, request.query) == ("GET", *TARGETS[target])
    assert (request.authorization, request.length) == ("", None)


def test_headers_are_found_whatever_their_letters() -> None:
    request = parse_head(
        [b"PUT /x HTTP/1.0", b"AUTHORIZATION:Bearer x y \t", b"content-LENGTH: 0012", b"X: \xff", b"Y:"]
    )
    assert (request.authorization, request.length) == ("Bearer x y", 12)


FIRST_LINES = [
    b"",
    b"GET",
    b"GET /",
    b"GET  / HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b" GET / HTTP/1.1",
    b"get / HTTP/1.1",
    b"GET / HTTP/0.9",
    b"GET / HTTP/2.0",
    b"GET / HTTP/11",
    b"GET / http/1.1",
    b"PRI * HTTP/2.0",
    b"OPTIONS * HTTP/1.1",
    b"GET http://[ HTTP/1.1",
    b"GET http://[x HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET status HTTP/1.1",
    b"GET /a#b HTTP/1.1",
    b"GET /\x00 HTTP/1.1",
    b"GET /\xc3\xa9 HTTP/1.1",
    b"GET /\xed\xa0\x80 HTTP/1.1",
    b"GET /a\tb HTTP/1.1",
    b"GET /\x0d HTTP/1.1",
    b"CONNECT x:1 HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"A" * 10_000 + b" / HTTP/1.1",
]


@pytest.mark.parametrize("line", FIRST_LINES)
def test_a_first_line_of_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_head([line])
    assert caught.value.status == HTTPStatus.BAD_REQUEST
    assert str(caught.value).isascii() and str(caught.value).isprintable() and len(str(caught.value)) < 300


LENGTHS = [
    b"",
    b"-1",
    b"+1",
    b"1_000",
    b"1.0",
    b"1e3",
    b"0x10",
    b"1,1",
    b"1 1",
    b"\xb2",
    b"9" * 19,
    b"9" * 5000,
]
LENGTHS += [b"\xd9\xa1", b"NaN", b"1;", b"\x0b1"]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_that_is_no_plain_number_is_refused(length: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_head([b"PUT /x HTTP/1.1", b"Content-Length: " + length])
    assert caught.value.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Content-Length: 1", b"Content-Length: 1"], 400),
        ([b"Content-Length: 1", b"content-length: 2"], 400),
        ([b"Authorization: a", b"Authorization: b"], 400),
        ([b"Transfer-Encoding: chunked"], 411),
        ([b"Transfer-Encoding: identity", b"Content-Length: 1"], 411),
        ([b"Transfer-Encoding : chunked"], 400),
        ([b"X: 1", b" folded"], 400),
        ([b"X: 1", b"\tfolded"], 400),
        ([b"no colon"], 400),
        ([b": no name"], 400),
        ([b"X\x00: 1"], 400),
        ([b"X: \x00"], 400),
        ([b"X: a\rContent-Length: 1"], 400),
        ([b"X: \x7f"], 400),
        ([b"\xff: 1"], 400),
        ([b"X: 1"] * (MOST_HEADERS + 1), 431),
    ],
)
def test_headers_of_another_form_are_refused(lines: list[bytes], status: int) -> None:
    with pytest.raises(Refusal) as caught:
        parse_head([b"PUT /x HTTP/1.1", *lines])
    assert caught.value.status == status


def test_spaces_without_end_are_read_in_no_time() -> None:
    line = b"X: a" + b" " * 16_000 + b"b" + b"\t " * 8_000
    assert parse_head([b"GET / HTTP/1.1", line] + [b"Y:" + b" " * 16_000] * 8).path == "/"


PIECES = [
    b"GET",
    b"PUT",
    b" ",
    b"/",
    b"?",
    b"HTTP/1.1",
    b"http://",
    b"[",
    b"]",
    b":",
    b"%00",
    b"..",
    b"\r",
    b"\0",
]
PIECES += [b"Content-Length", b"Transfer-Encoding", b"Authorization", b"1", b"-", b"_", b",", b"\t", b"\xff"]
lines = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=8).map(b"".join)


@given(st.lists(lines, min_size=1, max_size=5))
@example([b"GET http://[ HTTP/1.1"])
@example([b"PUT / HTTP/1.1", b"Content-Length:" + b"1" * 5000])
def test_any_bytes_are_a_request_or_a_clients_error(given_lines: list[bytes]) -> None:
    try:
        request = parse_head(given_lines)
    except Refusal as refusal:
        assert 400 <= refusal.status < 500
        assert str(refusal).isprintable() and len(str(refusal)) < 300
    else:
        assert request.path.startswith("/") and request.path.isprintable()
        assert request.length is None or 0 <= request.length < 10**18
