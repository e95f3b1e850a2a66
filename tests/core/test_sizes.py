"""No frame is larger than `max_message_bytes`: the driver looks at the size of every frame that is sent."""

from __future__ import annotations

import pytest

from tests.core.driver import Client, Driver
from trio_chat.core.codec import encode
from trio_chat.core.effects import Append
from trio_chat.core.events import Error, HistoryPage, RoomList, SearchResult
from trio_chat.core.messages import Edit, Find, GetHistory, Join, ListRooms, Message, Private, React, SetTopic

NAME, OTHER = "𐐀" * 32, "𐐁" * 31 + "x"
ROOM, ID = "𐐂" * 32, "\x00" * 64


def pages(client: Client, room: str, last: int) -> list[int]:
    """All `seq` of a room up to `last`, page by page."""
    seen = [0]
    while seen[-1] < last:
        page = client.send(GetHistory(room=room, after=seen[-1], limit=200, id=ID))[-1]
        assert isinstance(page, HistoryPage)
        seen += [entry.seq for entry in page.entries]  # type: ignore[attr-defined]  # each entry has one
    return seen[1:]


def found(client: Client, query: str, limit: int = 200) -> list[tuple[str, int]]:
    """All that is found, page by page."""
    seen, cursor = list[tuple[str, int]](), None
    while True:
        result = client.send(Find(query=query, limit=limit, cursor=cursor, id=ID))[-1]
        assert isinstance(result, SearchResult)
        seen += [(hit.room, hit.entry.seq) for hit in result.hits]  # type: ignore[attr-defined]
        cursor = result.cursor
        if cursor is None:
            return seen


@pytest.mark.parametrize("content", ["word " + "x" * 4089, "word" + "\x00" * 681, "word " + "😀" * 1022])
def test_largest_content_edited_and_reacted(content: str) -> None:
    driver = Driver(max_message_bytes=8192, messages_burst=1000)
    one, other = driver.connect(NAME), driver.connect(OTHER)
    one.send(Message(content="x", room=ROOM))
    one.send(Private(to=OTHER, content="x"))
    other.send(Join(room=ROOM))
    for room, back in ((ROOM, ROOM), ("@" + OTHER, "@" + NAME)):
        one.send(Edit(room=room, seq=1, content=content, id=ID))
        other.send(React(room=back, seq=1, emoji="😀" * 16, id=ID))
        assert pages(one, room, 3) == pages(other, back, 3) == [1, 2, 3]
    assert sorted(found(one, "word")) == [("@" + OTHER, 1), (ROOM, 1)]
    assert sorted(found(other, "word", 1)) == [("@" + NAME, 1), (ROOM, 1)]
    assert not one.of(Error)
    assert not other.of(Error)


def test_page_full_of_what_was_edited_and_reacted_to() -> None:
    driver = Driver(max_message_bytes=32_768, messages_burst=10_000)
    clients = [driver.connect(f"{number}" + "𐐀" * 31) for number in range(10)]
    for client in clients:
        client.send(Join(room=ROOM))
    for number in range(1, 31):
        clients[0].send(Message(content="word", room=ROOM))
        clients[0].send(Message(content="x", room=ROOM))
        clients[0].send(Edit(room=ROOM, seq=3 * number - 2, content="word two"))
    for number in range(1, 31):
        for emoji in "😀😁😂":
            for client in clients:
                client.send(React(room=ROOM, seq=3 * number - 2, emoji=emoji * 16))
    assert pages(clients[0], ROOM, 990) == list(range(1, 991))
    assert found(clients[0], "word") == [(ROOM, 3 * number - 2) for number in range(30, 0, -1)]


@pytest.mark.parametrize("size", [8192, 65_536])
def test_page_full_of_all_the_reactions_there_may_be(size: int) -> None:
    """Twenty different ones of 64 bytes, by ten users each; and the largest content, where one message is a page."""
    driver = Driver(max_message_bytes=size, messages_burst=100_000)
    author = driver.connect(NAME)
    others = [driver.connect(chr(0x20000 + number)) for number in range(10)]
    count = 40 if size > 8192 else 1
    content = "x" * (1 if count > 1 else 4094)
    for seq in range(1, count + 1):
        author.send(Message(content=content, room=ROOM, reply_to=1 if seq > 1 else None))
    author.send(Edit(room=ROOM, seq=1, content=content))
    for other in others:
        other.send(Join(room=ROOM))
    for seq in range(1, count + 1):
        for emoji in range(20):
            for other in others:
                other.send(React(room=ROOM, seq=seq, emoji=chr(0x1F600 + emoji) * 16))
    assert pages(author, ROOM, count)[:count] == list(range(1, count + 1))


def test_topics() -> None:
    """Of an entry the log counts what it was told, and a topic's frame says the topic twice."""
    driver = Driver(max_message_bytes=65_536, messages_burst=1000)
    alice = driver.connect(NAME)
    alice.send(Join(room=ROOM))
    for number in range(1, 100):
        alice.send(SetTopic(room=ROOM, topic=f"{number:02}" + "😀" * 248))
    sizes = [effect.draft.size for effect in driver.effects if isinstance(effect, Append)]
    told = [len(encode(event)) for event in alice.events("topic")]
    assert all(real <= counted for real, counted in zip(told, sizes, strict=True))
    assert pages(alice, ROOM, 99) == list(range(1, 100))


@pytest.mark.parametrize("mine", [True, False])
def test_rooms_with_topics(mine: bool) -> None:
    driver = Driver(max_message_bytes=8192, messages_burst=1000, rooms_created_per_hour=100)
    alice = driver.connect(NAME)
    for number in range(30):
        room = f"{number:02}" + "𐐂" * 30
        alice.send(Join(room=room))
        alice.send(SetTopic(room=room, topic="😀" * 250 if number % 2 else '"' * 250))
    seen, cursor = list[str](), None
    while True:
        listed = alice.send(ListRooms(mine=mine, limit=200, cursor=cursor, id=ID))[-1]
        assert isinstance(listed, RoomList)
        seen += [room["room"] for room in listed.rooms]
        cursor = listed.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 31
