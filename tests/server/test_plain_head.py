"""The head that nearly everybody sends is not given to the parser, which would say the same of it."""

from __future__ import annotations

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from trio_chat.server.http import MAX_HEAD, Head, _head_of, plain_head

from .harness import house, request, upgrade

LINES = st.sampled_from(
    (
        "Host: x", "host: [::1]:80", "Upgrade: websocket", "Connection: keep-alive, Upgrade", "Origin: https://a.b",
        "Sec-WebSocket-Version: 13", "User-Agent: Mozilla/5.0 (X11; Linux)", "Cookie: a=b; c=d", "X:  two", "X:none",
        "X: ", "X : y", "X: y ", "X: a  b", "X: \t", " folded", "X: \x7f", "X: \xe9", "X\xe9: y", "X: \x00", "x_y: z",
        "", "Content-Length: 0", "Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue", "no colon",
    )
)  # fmt: skip
FIRST = st.sampled_from(
    (
        "GET /ws HTTP/1.1", "GET /ws?ticket=a HTTP/1.1", "GET /ws? HTTP/1.1", "GET /ws?a?b#c HTTP/1.1",
        "GET / HTTP/1.1", "GET /wss HTTP/1.1", "get /ws HTTP/1.1", "GET /ws HTTP/1.0", "GET  /ws HTTP/1.1",
        "GET /ws?\xe9 HTTP/1.1",
    )
)  # fmt: skip
BREAKS = st.sampled_from(("\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n"))


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = [draw(FIRST), "Host: here", *draw(st.lists(LINES, max_size=4))]
    text = "".join(line + draw(BREAKS) for line in lines) + "\r\n"
    return text.encode("latin-1") + draw(st.binary(max_size=4))


def by_the_parser(data: bytes) -> tuple[Head, bytes]:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    parser.receive_data(data)
    event = parser.next_event()
    assert isinstance(event, h11.Request)
    return _head_of(event), parser.trailing_data[0]


@given(st.one_of(heads(), st.lists(LINES, min_size=1, max_size=3).map(lambda them: upgrade() + "".join(them).encode())))
@example(upgrade())
@example(upgrade(subprotocol=""))
@example(upgrade("/ws?ticket=x%20y") + b"\x81\x80abcd")
def test_of_a_plain_head_the_parser_says_the_same(data: bytes) -> None:
    """Any bytes that are taken for a plain head are, for h11, that same head with the same bytes behind it."""
    found = plain_head(data)
    if found is not None:
        head, length = found
        assert (head, data[length:]) == by_the_parser(data)


def test_what_clients_send_is_plain() -> None:
    browser = upgrade(
        "/ws?ticket=abc",
        origin="https://chat.example",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        sec_websocket_extensions="permessage-deflate; client_max_window_bits",
        accept_language="en-US,en;q=0.5",
        cookie="theme=dark; lang=de",
    )
    for data in (upgrade(), upgrade(subprotocol=None), browser):
        assert plain_head(data) is not None
    for data in (upgrade()[:-1], request("GET", "/"), upgrade(host=None), upgrade(content_length="0")):
        assert plain_head(data) is None


def test_a_head_that_is_nearly_plain_takes_linear_time() -> None:
    """Nothing is tried twice: this would take minutes."""
    for value in (" " * 8000, "a " * 4000, "a" * 8000):
        for data in (upgrade(x=value + "\x7f"), upgrade(**{f"x{n}": value[:80] for n in range(90)}, y="\x7f")):
            assert plain_head(data) is None


async def test_a_plain_head_that_is_refused_is_answered_and_what_is_behind_it_is_nothing() -> None:
    """The parser, which writes the answer, is told of the head then."""
    async with house(allowed_origins=("https://chat.example",)) as server:
        for data, status in ((upgrade(origin="https://evil.example"), 403), (request("GET", "/ws"), 426)):
            peer = server.knock()
            await peer.send(data + request("GET", "/healthz"))
            response = await peer.response()
            assert (response.status, response.headers["connection"]) == (status, "close")
            await peer.ended()
