"""Who gets the next page of the log, and who waits."""

from __future__ import annotations

import pytest
import trio

from trio_chat.core.effects import Read, Search
from trio_chat.server.outbox import Buffered, Frame, Outbox
from trio_chat.server.reads import COMMANDS, IN_FLIGHT, Reads

from .harness import OneWay


class Stuck(OneWay):
    """Takes nothing; what is written goes through the writer."""

    def try_send(self, data: bytes | memoryview) -> int:
        return 0


def outbox() -> Outbox:
    send, _receive = trio.open_memory_channel[memoryview](1)
    return Outbox(Stuck(), send, max_frames=16, max_bytes=32_768, buffered=Buffered(1 << 30))


def replay(conn: int, room: str = "general") -> Read:
    return Read(room, "x", conn, 200, 262_144, after=0)


def history(conn: int, number: int = 0) -> Read:
    return Read("general", "x", conn, 50, 1_000_000, history=True, answer_to=number)


def search(conn: int) -> Search:
    return Search((), ("word",), 50, 1_000_000, conn)


class Bell:
    """Counts how often it was rung."""

    rung = 0

    def __call__(self) -> None:
        self.rung += 1


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def reads(bell: Bell) -> Reads:
    return Reads(bell)


def test_a_connection_has_one_page_on_its_way(reads: Reads) -> None:
    """However many it asks for; they come in the order in which it asked."""
    box = outbox()
    for number in range(3):
        assert reads.ask(history(1, number), box)
    found = []
    while reads:
        (request,) = reads.take()
        assert reads.take() == []
        found.append(request.answer_to)
        reads.answered(request)
    assert found == [0, 1, 2]


def test_all_together_have_few_pages_on_their_way(reads: Reads) -> None:
    for conn in range(IN_FLIGHT + 2):
        reads.ask(history(conn), outbox())
    assert [request.conn for request in reads.take()] == list(range(IN_FLIGHT))
    assert not reads.more
    reads.answered(history(3))
    assert reads.more
    assert [request.conn for request in reads.take()] == [IN_FLIGHT]


def test_who_asks_for_much_stands_behind_who_asks_for_little(reads: Reads) -> None:
    boxes = {conn: outbox() for conn in range(IN_FLIGHT + 1)}
    for conn in range(IN_FLIGHT):
        for _ in range(9):
            reads.ask(history(conn), boxes[conn])
    reads.take()
    reads.ask(history(IN_FLIGHT), boxes[IN_FLIGHT])
    reads.answered(history(0))
    assert [request.conn for request in reads.take()] == [IN_FLIGHT]


def test_nothing_is_read_for_an_outbox_that_is_half_full(reads: Reads, bell: Bell) -> None:
    """It comes back, and rings, when it has room."""
    box = outbox()
    box.put(Frame(bytes(20_000)))
    box.flush()
    reads.ask(replay(1), box)
    assert reads.take() == []
    assert not reads.more
    assert bell.rung == 0
    reads.ask(history(1), box)
    assert not reads.more, "still the same outbox"
    box.wrote(20_000)
    assert bell.rung == 1
    assert reads.more
    assert [request.conn for request in reads.take()] == [1]


def test_a_page_of_a_replay_is_no_larger_than_there_is_room_for(reads: Reads) -> None:
    """And a history as large as was asked for: an outbox holds four messages of any size."""
    reads.ask(replay(1), outbox())
    reads.ask(history(2), outbox())
    one, other = reads.take()
    assert isinstance(one, Read)
    assert isinstance(other, Read)
    assert (one.limit, one.max_bytes) == (4, 8192)
    assert (other.limit, other.max_bytes) == (50, 1_000_000)


def test_histories_that_wait_are_bounded(reads: Reads) -> None:
    """Replays need not be: there is one for each room at most."""
    box = outbox()
    for number in range(2 * COMMANDS):
        assert reads.ask(replay(1, f"room {number}"), box)
    for number in range(COMMANDS):
        assert reads.ask(history(1, number), box)
    assert not reads.ask(history(1), box)
    assert reads.ask(replay(1), box)
    assert reads.ask(history(2), outbox()), "another's line"
    for _ in range(2 * COMMANDS + 2):
        for request in reads.take():
            reads.answered(request)
    assert reads.ask(history(1), box), "one was answered"


def test_who_is_gone_is_forgotten(reads: Reads, bell: Bell) -> None:
    """The page that is on its way counts until it is there."""
    waiting, stuck = outbox(), outbox()
    stuck.put(Frame(bytes(20_000)))
    stuck.flush()
    reads.ask(history(1), waiting)
    reads.ask(history(1), waiting)
    reads.ask(history(2), stuck)
    reads.take()
    reads.forget(1)
    reads.forget(2)
    reads.forget(3)
    assert not reads
    stuck.wrote(20_000)
    assert bell.rung == 0
    for conn in range(10, 10 + IN_FLIGHT):
        reads.ask(history(conn), outbox())
    assert len(reads.take()) == IN_FLIGHT - 1
    reads.answered(history(1))
    assert len(reads.take()) == 1


def test_a_search_waits_as_a_page_does_and_takes_no_page_s_place(reads: Reads) -> None:
    """A search may take seconds: those who only read must not wait for that."""
    box = outbox()
    reads.ask(search(1), box)
    reads.ask(history(1), box)
    for conn in range(2, IN_FLIGHT + 2):
        reads.ask(search(conn), outbox())
    assert len(reads.take()) == IN_FLIGHT + 1
    reads.ask(history(99), outbox())
    assert [request.conn for request in reads.take()] == [99]
    reads.answered(search(1))
    assert [type(request) for request in reads.take()] == [Read]
    for number in range(COMMANDS):
        assert reads.ask(search(1) if number % 2 else history(1), box)
    assert not reads.ask(search(1), box)


def test_who_ends_gets_what_it_asked_for_and_no_replay(reads: Reads) -> None:
    both, only_replays, asked = outbox(), outbox(), outbox()
    for request, box in ((replay(1), both), (history(1), both), (replay(2), only_replays), (history(3), asked)):
        reads.ask(request, box)
    (first, *_) = reads.take()
    for conn in (1, 2, 3, 4):
        reads.keep_commands(conn)
    assert [reads.waits(conn) for conn in (1, 2, 3, 4)] == [True, True, True, False]
    reads.answered(first)
    (last,) = reads.take()
    assert last == history(1)
    reads.ask(replay(5), outbox())
    reads.keep_commands(5)
    assert not reads.waits(5)
    for request in (last, replay(2), history(3)):
        reads.answered(request)
    assert not reads
