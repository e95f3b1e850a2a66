"""Following a room: what is heard of it, also when the session is lost."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.client.fake import Frame, Peer
from tests.client.test_driver import playing
from tests.client.test_session import DEN, message, private, welcome
from trio_chat.client import Entry
from trio_chat.client.following import Following


@attrs.frozen
class Answer:
    """The command that must come, and the frame that answers it."""

    command: Frame
    frame: Frame


@attrs.frozen
class Part:
    """A connection: a new session that is in `rooms`, what answers its commands, and what is said then."""

    rooms: list[Frame]
    answers: list[Answer]
    said: list[Frame] = attrs.field(factory=list)

    async def __call__(self, peer: Peer) -> None:
        await peer.read()
        await peer.write(welcome(*self.rooms))
        for answer in self.answers:
            command = await peer.read()
            assert {name: command.get(name) for name in answer.command} == answer.command
            await peer.write(answer.frame | {"id": command["id"]})
        await peer.write(*self.said)
        await peer.ws.aclose(1001)


def join(last: int, after: Any = None) -> Answer:
    asked = {"type": "join", "room": "den", "after": after}
    return Answer(asked, {"type": "ack", "room": "den", "epoch": "e", "last": last})


def page(after: int, *seqs: int, **more: Any) -> Answer:
    frame = {"type": "history", "room": "den", "epoch": "e", "first": 1, "last": 9, "more": False, **more}
    return Answer({"type": "history", "after": after}, frame | {"entries": [message(seq) for seq in seqs]})


async def told(count: int, *parts: Part, room: str = "den") -> list[object]:
    """The first events of a follower: the `seq` of an entry, or the range of what is missing."""
    found: list[object] = []
    async with playing(*parts, trio.sleep_forever) as (client, _):  # type: ignore[arg-type]  # joined to objects
        async for event in Following(client, room):
            found.append(event.seq if isinstance(event, Entry) else (event.first, event.last))
            if len(found) == count:
                break
    return found


IN_DEN = Part([], [join(5)], [message(6)])


async def test_only_what_is_of_the_room(autojump_clock: MockClock) -> None:
    elsewhere = [message(1, "tea"), private(1), message(6), {"type": "typing", "from": "bob", "room": "den"}]
    assert await told(2, Part([], [join(5)], [*elsewhere, message(7)])) == [6, 7]


async def test_the_name_may_be_written_otherwise(autojump_clock: MockClock) -> None:
    answer = Answer({"type": "join", "room": "DEN"}, join(5).frame)
    assert await told(1, Part([], [answer], [message(6)]), room="DEN") == [6]


async def test_a_lost_session_joins_again(autojump_clock: MockClock) -> None:
    back = Part([], [join(8, {"epoch": "e", "seq": 6})], [message(7), message(8), message(9)])
    assert await told(4, IN_DEN, back) == [6, 7, 8, 9]


async def test_where_one_is_in_the_room_its_history_is_read(autojump_clock: MockClock) -> None:
    """All pages of it; and what came live meanwhile comes once."""
    answers = [page(6, 7), page(6, 7, 8, more=True), page(8, 9)]
    back = Part([DEN | {"last": 8}], answers, [message(9), message(10)])
    assert await told(5, IN_DEN, back) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("first", "epoch"),
    [(8, "e"), (8, "new")],
    ids=["trimmed", "another log"],
)
async def test_what_is_no_longer_held_is_told(first: int, epoch: str, autojump_clock: MockClock) -> None:
    answers = [page(6, 8, first=first, epoch=epoch), page(7, 8, 9, first=first, epoch=epoch)]
    back = Part([DEN | {"last": 9, "epoch": epoch}], answers, [message(10)])
    assert await told(5, IN_DEN, back) == [6, (8, 9), 8, 9, 10]


async def test_an_empty_page_is_the_end(autojump_clock: MockClock) -> None:
    back = Part([DEN | {"last": 6}], [page(6), page(6)], [message(7)])
    assert await told(2, IN_DEN, back) == [6, 7]


async def test_a_private_conversation_is_not_joined(autojump_clock: MockClock) -> None:
    """That with a guest is gone with the session; what is written then is heard."""
    assert await told(2, Part([], [], [private(1)]), Part([], [], [private(1, "q")]), room="@bob") == [1, 1]


async def test_messages_are_those_of_others(autojump_clock: MockClock) -> None:
    ours, topic = message(6) | {"sender": "ann"}, {"type": "system", "event": "topic", "topic": "x", "by": "bob"}
    frames = [ours, topic | {"room": "den", "seq": 7, "timestamp": "t"}, message(8)]
    async with playing(Part([], [join(5)], frames)) as (client, _):
        async for heard in client.messages("den"):
            assert (heard.seq, heard.sender) == (8, "bob")
            break
