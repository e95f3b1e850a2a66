"""A client at the hostile server: what is no request and no frame is told, and closes are as they must be."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from trio_chat.fuzz.visit import ClientError, Visit
from trio_chat.fuzz.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Parser, closing, encode

HEAD = "GET /ws HTTP/1.1\r\nHost: there\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


async def begun(after: bytes = b"", headers: str = "") -> tuple[Visit, trio.abc.Stream]:
    """A visit by whoever sends a request and then `after`, and the client's end of it."""
    ours, theirs = memory_stream_pair()
    await theirs.send_all(f"{HEAD}{headers}\r\n".encode() + after)
    visit = Visit(ours, 0.0)
    await visit.upgrade()
    return visit, theirs


async def heard(theirs: trio.abc.Stream) -> list[Frame]:
    """What the client got behind the answer to its request, up to the end."""
    data = b"".join([bytes(part) async for part in theirs])
    return Parser(masks=False).feed(data.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (b"", "it sent no whole request head"),
        (HEAD.encode(), "it sent no whole request head"),
        (b"GET /ws HTTP/1.1\r\nHost: there\r\n\r\n", "it asked for no upgrade, but 'GET /ws HTTP/1.1'"),
        (HEAD.replace("GET", "POST").encode() + b"\r\n", "it asked for no upgrade, but 'POST /ws HTTP/1.1'"),
    ],
)
async def test_what_is_no_request_is_told(request_: bytes, complaint: str) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(request_)
    await theirs.aclose()
    with pytest.raises(ClientError, match=complaint):
        await Visit(ours, 0.0).upgrade()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (encode(TEXT, b"nonsense"), "it sent no JSON: b'nonsense'"),
        (encode(TEXT, b"[]"), r"it sent no object with a type: b'\[\]'"),
        (encode(TEXT, b'{"type": 1}'), "it sent no object with a type"),
        (encode(BINARY, b"{}"), "it sent a frame of opcode 2"),
        (encode(TEXT, b"{}", fin=False), "it sent a frame of opcode 1"),
        (encode(TEXT, b"{}", mask=False), "its frames are wrong: "),
    ],
)
async def test_what_is_no_frame_is_told(data: bytes, complaint: str) -> None:
    with pytest.raises(ClientError, match=complaint):
        await begun(data)


@pytest.mark.parametrize(
    ("headers", "page"),
    [("", False), ("Origin: http://there\r\n", True), ("Sec-Fetch-Mode: websocket\r\n", True)],
)
async def test_a_page_is_told_from_a_program(headers: str, page: bool) -> None:
    visit, _ = await begun(headers=headers)
    assert visit.page is page


async def test_a_ping_and_a_close_are_answered() -> None:
    visit, theirs = await begun(encode(PING, b"here?") + encode(CLOSE, closing(1000)))
    assert (visit.over, visit.code) == (True, 1000)
    await visit.cut()
    assert [(frame.opcode, frame.payload) for frame in await heard(theirs)] == [
        (PONG, b"here?"),
        (CLOSE, closing(1000)),
    ]


async def test_a_close_that_answers_ours_is_not_answered() -> None:
    """Chromium takes a second close for a broken connection: it came back after a final code, which it never saw."""
    visit, theirs = await begun()
    await theirs.send_all(encode(CLOSE, closing(4500)))
    await visit.close(4500)
    assert [(frame.opcode, frame.payload) for frame in await heard(theirs)] == [(CLOSE, closing(4500))]


async def test_who_is_gone_is_written_to_in_vain() -> None:
    visit, theirs = await begun()
    await theirs.aclose()
    await visit.send("pong", id=1)
    assert visit.over
    assert await visit.next() is None
