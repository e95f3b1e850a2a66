"""The one task that owns the chat: in which order it takes its inboxes, and what a turn costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_chat.config import Config
from trio_chat.core.codec import encode
from trio_chat.core.codec import frame as text_frame
from trio_chat.core.effects import (
    Admit,
    Admitted,
    Answer,
    Disconnected,
    Drain,
    Effect,
    Ending,
    Failed,
    Input,
    Now,
    Page,
    Read,
    Received,
    Request,
)
from trio_chat.core.effects import Refused as Refusal
from trio_chat.core.errors import Close
from trio_chat.core.events import Event
from trio_chat.core.messages import Connect, Message, Ping, Position, Resume
from trio_chat.log.memory import MemoryLog
from trio_chat.server import broker as module
from trio_chat.server.broker import ADMISSIONS, ADMISSIONS_A_TURN, COMMANDS_A_TURN, INBOX, Broker
from trio_chat.server.knocking import Knock
from trio_chat.server.outbox import Frame, Outbox
from trio_chat.server.transport import MESSAGES_AT_ONCE

from .harness import PING, House, OneWay, Peer, command, frame, fresh_state, house, stop_turns, took, upgrade


@attrs.define(eq=False)
class Wire(OneWay):
    """Takes all, or nothing."""

    takes: bool = True
    writes: list[bytes] = attrs.field(factory=list)

    def try_send(self, data: bytes | memoryview) -> int:
        if not self.takes:
            return 0
        self.writes.append(bytes(data))
        return len(data)


@attrs.define(eq=False)
class FakePeer:
    """A connection as the broker knows it."""

    id: int
    wire: Wire
    outbox: Outbox
    chunks: trio.MemoryReceiveChannel[memoryview]
    cuts: list[Close] = attrs.field(factory=list)
    unfinished: int = 0
    settled: bool = False
    dropped: bool = False

    @property
    def held(self) -> int:
        return self.outbox.waiting + self.unfinished

    def cut(self, code: Close) -> None:
        self.cuts.append(code)
        self.outbox.drop()

    def settle(self) -> None:
        self.settled = True

    def drop(self) -> None:
        self.dropped = True

    def probe(self, alive: Callable[[], None]) -> None:
        alive()


@attrs.define
class Desk:
    """A broker whose turns are taken by hand."""

    broker: Broker
    config: Config
    inputs: list[Input]
    now: Now = attrs.field(factory=lambda: Now(0.0, 1e9))

    def turn(self) -> bool:
        return self.broker._turn(self.now)

    def stranger(self, number: int) -> FakePeer:
        limits, wire = self.config.limits, Wire()
        send, receive = trio.open_memory_channel[memoryview](1)
        outbox = Outbox(
            wire, send, max_frames=limits.outbox_frames, max_bytes=limits.outbox_bytes, buffered=self.broker.buffered
        )
        return FakePeer(number, wire, outbox, receive)

    def peer(self, number: int, name: str | None = None) -> FakePeer:
        """Let a connection in; `name`: connect it, too."""
        peer = self.stranger(number)
        knock = Knock(Admit(number, "192.0.2.1"), peer)
        self.broker._knocks_in.send_nowait(knock)
        self.turn()
        assert isinstance(knock.verdict, Admitted)
        if name is not None:
            self.send(number, Connect(username=name), fresh=name)
            self.turn()
            peer.wire.writes.clear()
        return peer

    def send(self, number: int, *commands: object, fresh: str = "") -> None:
        for at in range(0, len(commands), 2):
            self.broker.commands.send_nowait([Received(number, one, fresh) for one in commands[at : at + 2]])  # type: ignore[arg-type]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return make_desk(monkeypatch)


def make_desk(monkeypatch: pytest.MonkeyPatch, **options: object) -> Desk:
    config = Config.of(**{"max_attempts": 1_000_000, "messages_burst": 1_000_000, **options})
    state = fresh_state(config)
    broker = Broker(state, MemoryLog(config.history), config.limits)
    inputs: list[Input] = []
    apply = state.apply

    def noted(given: Input, now: Now) -> list[Effect]:
        inputs.append(given)
        return apply(given, now)

    monkeypatch.setattr(state, "apply", noted)
    return Desk(broker, config, inputs)


# --- Order -----------------------------------------------------------------------------------------------------------


async def test_commands_come_before_the_end_of_their_connection(desk: Desk) -> None:
    """Also where there are more of them than a turn takes; what others send behind it does not hold it up."""
    desk.peer(1, "alice")
    desk.peer(2, "bob")
    desk.inputs.clear()
    desk.send(2, Ping())
    desk.send(1, *[Ping(id=number) for number in range(COMMANDS_A_TURN + 4)])
    desk.broker.ended(Disconnected(1))
    desk.send(2, *[Ping()] * 5)
    assert desk.turn()
    assert not any(isinstance(given, Disconnected) for given in desk.inputs)
    assert not desk.turn()
    kinds = [(type(given), getattr(given, "conn", None)) for given in desk.inputs]
    assert kinds.index((Disconnected, 1)) > max(at for at, kind in enumerate(kinds) if kind == (Received, 1))
    assert len(desk.inputs) == COMMANDS_A_TURN + 4 + 1 + 1 + 5


async def test_admissions_have_a_budget_and_leave_the_chat_its_time(desk: Desk) -> None:
    desk.peer(1, "alice")
    desk.inputs.clear()
    async with trio.open_nursery() as nursery:
        for number in range(100, 100 + ADMISSIONS):
            nursery.start_soon(desk.broker.knock, Admit(number, "192.0.2.1"), desk.stranger(number))
        await wait_all_tasks_blocked()
        verdict = await desk.broker.knock(Admit(99, "192.0.2.1"), desk.stranger(99))
        assert isinstance(verdict, Refusal)
        assert (verdict.status, verdict.retry_after) == (503, 5)
        desk.send(1, Ping())
        assert desk.turn(), "there is more"
        assert Counter(type(given) for given in desk.inputs) == {Admit: ADMISSIONS_A_TURN, Received: 1}
        while desk.turn():
            pass
    assert Counter(type(given) for given in desk.inputs) == {Admit: ADMISSIONS, Received: 1}


async def test_what_is_urgent_waits_for_no_inbox(desk: Desk) -> None:
    desk.peer(1, "alice")
    desk.inputs.clear()
    desk.send(1, *[Ping()] * INBOX)
    desk.broker.drain(1)
    desk.broker.attempted("192.0.2.9", trusted=False)
    desk.turn()
    assert [type(given).__name__ for given in desk.inputs[:2]] == ["Drain", "Attempted"]
    assert isinstance(desk.inputs[0], Drain)


async def test_a_busy_connection_does_not_starve_the_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20,000 commands that are there a segment is handed over at a time; the others wait for few of those."""
    async with house(messages_burst=1_000_000, frames_per_second=1_000_000, ping_interval=1000) as server:
        busy = await server.join("busy")
        taken: list[int] = []
        apply = server.state.apply

        def counted(given: Input, now: Now) -> list[Effect]:
            if isinstance(given, Received):
                taken.append(given.conn)
            return apply(given, now)

        monkeypatch.setattr(server.state, "apply", counted)
        others = [await server.join(f"user {number}") for number in range(20)]
        await busy.send(command("ping") * 20_000)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        begun = len(taken)
        for other in others:
            await other.send(command("ping") * 20)
        for other in others:
            for _ in range(20):
                await other.event("pong")
        since = taken[begun:]
        between = since[: max(at for at, conn in enumerate(since) if conn != 1)]
        assert between.count(1) <= 3 * len(others) * MESSAGES_AT_ONCE


# --- What a turn costs -----------------------------------------------------------------------------------------------


async def test_an_event_is_encoded_once_and_a_turn_is_one_write_a_member(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [desk.peer(number, f"user {number}") for number in range(1, 21)]
    encoded: list[Event] = []
    framed: list[bytes] = []

    def encode_once(event: Event) -> bytes:
        encoded.append(event)
        return encode(event)

    def frame_once(payload: bytes) -> bytes:
        framed.append(payload)
        return text_frame(payload)

    monkeypatch.setattr("trio_chat.server.peers.encode", encode_once)
    monkeypatch.setattr("trio_chat.server.peers.frame", frame_once)
    for member in members:
        member.wire.writes.clear()
    desk.send(1, *[Message(content=f"{number}") for number in range(10)])
    desk.turn()
    assert (len(encoded), len(framed)) == (10, 10)
    for member in members:
        assert len(member.wire.writes) == 1
        assert member.wire.writes[0].count(b'"type":"message"') == 10
    assert len({member.wire.writes[0] for member in members}) == 1


async def test_all_members_share_the_bytes(desk: Desk) -> None:
    members = [desk.peer(number, f"user {number}") for number in range(1, 5)]
    for member in members:
        member.wire.takes = False
        member.outbox.put(Frame(b"x"))
        member.outbox.flush()
    desk.send(1, Message(content="x"))
    desk.turn()
    assert len({id(member.outbox._queue[-1].data) for member in members}) == 1


# --- Backpressure ----------------------------------------------------------------------------------------------------


async def test_a_full_inbox_pauses_the_readers_and_their_silence_is_not_the_peers(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INBOX", 4)
    async with house(messages_burst=1_000_000, frames_per_second=1_000_000) as server:
        peers = [await server.join("alice"), await server.join("bob")]
        stop_turns(monkeypatch, server)
        for peer in peers:
            await peer.send(*[command("ping", id=number) for number in range(200)])
        await wait_all_tasks_blocked()
        assert server.broker.commands.statistics().current_buffer_used == 4
        assert server.broker.commands.statistics().tasks_waiting_send == 2
        await trio.sleep(500)
        monkeypatch.undo()
        server.broker.ring()
        for peer in peers:
            assert [(await peer.event("pong"))["id"] for _ in range(200)] == list(range(200))
        with trio.move_on_after(29.9) as scope:
            await peers[0].closed()
        assert scope.cancelled_caught, "it has its time again from when it was read"


async def test_a_pause_of_one_task_does_not_end_that_of_another(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader waits for the broker while trio-websocket's task waits for the budget: both are pauses."""
    odd = frame(1, b'{"type": "pi', fin=False) + frame(0, b'ng"}')
    async with house(messages_burst=1_000_000, frames_per_second=2) as server:
        peer = await server.join("alice")
        filler = [Received(999, Ping())]
        stop_turns(monkeypatch, server)
        while server.broker.commands.statistics().current_buffer_used < INBOX:
            server.broker.commands.send_nowait(filler)
        await peer.send(odd * 4)
        await trio.sleep(200)
        monkeypatch.undo()
        server.broker.ring()
        for _ in range(4):
            await peer.event("pong")


async def test_a_replay_is_pulled_page_by_page(autojump_clock: MockClock) -> None:
    """A session that catches up is never too slow, however long it was away (promise 3)."""
    async with house(messages_burst=1_000_000, outbox_bytes=262_144, max_message_bytes=65_536) as server:
        alice = await server.join("alice")
        gone = server.knock()
        session = (await gone.connect("bob"))["session"]
        await gone.drop()
        await wait_all_tasks_blocked()  # else the first may be written to who is gone
        for number in range(100):
            await alice.say("message", content=f"{number} ".ljust(20_000, "x"), id=number)
            await alice.event("ack")
        slow = await server.plug(8192)
        assert (await slow.connect("", resume={"session": session}))["resumed"]
        for _ in range(20):
            await wait_all_tasks_blocked()
            assert server.broker.buffered.bytes < 131_072 + 300_000, "half an outbox, and a page"
        assert server.broker._reads
        for number in range(100):
            event = await slow.event("message")
            assert (event["seq"], event["content"].split()[0]) == (number + 1, str(number))
        await wait_all_tasks_blocked()
        assert not server.broker._reads
        await slow.drop()


async def test_reads_of_a_connection_that_is_gone_are_forgotten(desk: Desk) -> None:
    peer = desk.peer(1, "alice")
    peer.wire.takes = False
    peer.outbox.put(Frame(bytes(desk.config.limits.outbox_bytes // 2)))
    desk.broker._read(Read("general", "x", 77, 10, 100, after=0))
    assert not desk.broker._reads
    desk.broker._read(Read("general", "x", 1, 10, 100, after=0))
    assert desk.broker._reads
    desk.broker.ended(Disconnected(1))
    desk.turn()
    assert not desk.broker._reads
    assert not desk.broker._peers


async def test_all_together_hold_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over it the fullest is cut, and only as many as it takes; also in the turns in which its bytes are still here."""
    desk = make_desk(monkeypatch, max_buffered_bytes=1024 * 1024)
    peers = [desk.peer(number, f"user {number}") for number in range(1, 6)]
    for peer in peers:
        peer.wire.takes = False
    for number, peer in enumerate(peers[1:], 1):
        peer.outbox.put(Frame(b"x" * 100_000 * number))
        peer.outbox.flush()
    assert not desk.broker.buffered.over
    desk.turn()
    assert not any(peer.cuts for peer in peers)
    peers[1].outbox.put(Frame(b"x" * 100_000))
    peers[1].outbox.flush()
    for _ in range(5):
        desk.turn()
    assert [peer.cuts for peer in peers] == [[], [], [], [], [Close.TOO_SLOW]]
    assert desk.broker.buffered.bytes == 700_000


async def test_unfinished_messages_count_too(autojump_clock: MockClock) -> None:
    """Nobody fills the memory by beginning what they never end."""
    async with house(max_buffered_bytes=1024 * 1024, max_message_bytes=1024 * 1024) as server:
        hogs = [await server.join(f"hog {number}") for number in range(3)]
        mouse = await server.join("mouse")
        await mouse.send(command("message", content="x" * 1000)[:900])
        for number, hog in enumerate(hogs):
            await hog.send(command("message", content="x" * 800_000)[: 380_000 + number])
            await wait_all_tasks_blocked()
        assert await hogs[1].closed() == 4003, "it was the fullest when the third went over"
        assert server.broker.buffered.bytes == 900 + 380_000 + 380_002
        await mouse.send(command("message", content="x" * 1000)[900:])
        await mouse.event("message")


async def test_too_slow_is_told_to_the_core_at_once(desk: Desk) -> None:
    """So that the session can be resumed; and who does so is told first what of each room did not go out."""
    alice, bob = desk.peer(1, "alice"), desk.peer(2, "bob")
    bob.wire.takes = False
    content = "x" * 1_000_000
    for _ in range(5):
        desk.send(1, Message(content=content))
        desk.turn()
    assert (alice.cuts, bob.cuts) == ([], [Close.TOO_SLOW])
    (ends,) = [given for given in desk.inputs if isinstance(given, Ending)]
    assert (ends.conn, ends.cut, bob.dropped) == (2, Close.TOO_SLOW, False)
    desk.broker.too_slow(2)  # it comes too late, and is none
    desk.turn()
    assert bob.cuts == [Close.TOO_SLOW]
    desk.peer(3)
    desk.send(3, Connect(username="bob", resume=Resume(session="bob")))
    desk.turn()
    *_, gone, resumes = [given for given in desk.inputs if isinstance(given, Disconnected | Received)]
    assert isinstance(gone, Disconnected)
    assert (gone.conn, dict(gone.unsent), bob.dropped) == (2, {"test-1": 1}, True)
    assert isinstance(resumes, Received)
    assert list(desk.broker._peers._peers) == [1, 3]
    desk.broker.ended(Disconnected(2, cut=Close.TOO_SLOW))
    desk.turn()
    assert list(desk.broker._peers._peers) == [1, 3]


async def test_who_ends_is_told_when_nothing_more_can_come(desk: Desk) -> None:
    """Behind the answers to all that it sent; whoever comes back before the socket is gone misses nothing."""
    alice, bob = desk.peer(1, "alice"), desk.peer(2, "bob")
    desk.send(2, *[Ping(id=number) for number in range(COMMANDS_A_TURN + 4)])
    desk.broker.ended(Ending(2, 1001))
    desk.send(1, Message(content="heard"))
    desk.turn()
    assert not bob.settled
    desk.turn()
    assert bob.settled
    told = b"".join(bob.wire.writes)
    assert told.count(b'"pong"') == COMMANDS_A_TURN + 4
    back = desk.peer(3)
    desk.send(3, Connect(resume=Resume(session="bob")))
    desk.turn()
    assert told.count(b'"heard"') + b"".join(back.wire.writes).count(b'"heard"') == 1
    assert alice.cuts == []


# --- A log that answers later --------------------------------------------------------------------------------------


def answers_that_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Let the log answer nothing at once; what it would have said gathers here."""
    waiting: list[Answer] = []
    submit = desk.broker._entries.submit

    def later(request: Request, now: Now) -> None:
        answer = submit(request, now)
        assert answer is not None
        waiting.append(answer)

    monkeypatch.setattr(desk.broker._entries, "submit", later)
    return waiting


async def test_a_log_may_answer_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = desk.peer(1, "alice")
    waiting = answers_that_wait(desk, monkeypatch)
    desk.send(1, Message(content="x", id=1))
    desk.turn()
    assert not b"".join(alice.wire.writes).count(b'"ack"')
    desk.broker.answered(waiting.pop())
    desk.turn()
    assert b"".join(alice.wire.writes).count(b'"ack"') == 1


async def test_an_end_is_settled_when_the_log_has_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever posts and closes in one go is acked first."""
    alice = desk.peer(1, "alice")
    waiting = answers_that_wait(desk, monkeypatch)
    desk.send(1, Message(content="x", id=1), Message(content="y", id=2))
    desk.broker.ended(Ending(1, 1000))
    desk.turn()
    for answer in waiting:
        assert not alice.settled
        desk.broker.answered(answer)
        desk.turn()
    assert alice.settled
    assert b"".join(alice.wire.writes).count(b'"ack"') == 2
    desk.broker.ended(Disconnected(1, 1000))
    desk.turn()
    assert not any([desk.broker._owed, desk.broker._partings, desk.broker._reads, desk.broker._peers])


async def test_a_log_that_cannot_is_a_refusal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = desk.peer(1, "alice")
    monkeypatch.setattr(desk.broker._entries, "submit", lambda request, now: Failed(request, 2.0))
    desk.send(1, Message(content="x", id=1))
    desk.turn()
    assert b"".join(alice.wire.writes).count(b'"unavailable"') == 1


async def test_a_log_with_a_bug_costs_one_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = desk.peer(1, "alice"), desk.peer(2, "bob")

    def submit(request: object, now: Now) -> Page:
        raise OSError("disk")

    monkeypatch.setattr(desk.broker._entries, "submit", submit)
    desk.send(1, Message(content="x", id=1))
    desk.send(2, Ping())
    desk.turn()
    assert (alice.cuts, bob.cuts) == ([Close.INTERNAL], [])
    assert b"".join(bob.wire.writes).count(b'"pong"') == 1


# --- Probes, resumes, rooms ------------------------------------------------------------------------------------------


async def test_a_live_holder_of_a_name_is_probed_and_any_byte_keeps_it(autojump_clock: MockClock) -> None:
    async with house() as server:
        holder, other = await server.join("alice"), server.knock()
        await other.open()
        await other.say("connect", username="alice")
        while (await holder.frame())[0] != PING:
            pass
        await holder.send(b"\x8a")
        assert (await other.event("error"))["code"] == "username_taken"
        assert await other.closed() == 4502


async def test_a_silent_holder_loses_the_name_after_two_seconds(autojump_clock: MockClock) -> None:
    async with house() as server:
        holder, other = await server.join("alice"), server.knock()
        elapsed, _ = await took(lambda: other.connect("alice"))
        assert elapsed == pytest.approx(2)
        assert await holder.closed() == 4004


async def test_a_probe_of_a_connection_that_has_just_gone_is_none(desk: Desk) -> None:
    desk.peer(1, "alice")
    desk.peer(2)
    desk.broker._peers.remove(1)
    desk.send(2, Connect(username="alice"))
    desk.turn()
    assert not desk.broker._urgent


async def test_a_resume_replaces_the_live_connection(autojump_clock: MockClock) -> None:
    async with house() as server:
        first, second = server.knock(), server.knock()
        session = (await first.connect("alice"))["session"]
        assert (await second.connect("", resume={"session": session}))["resumed"]
        assert await first.closed() == 4506
        assert Resume(session=session).rooms == {}
        assert Position(epoch="x", seq=0).seq == 0


async def test_a_room_that_closes_is_forgotten_by_the_log(autojump_clock: MockClock) -> None:
    async with house(history_limit=1) as server:
        alice, bob = await server.join("alice"), await server.join("bob")
        await alice.say("private", to="bob", content="x")
        await bob.event("private")
        log = server.broker._entries
        assert isinstance(log, MemoryLog)
        assert log.bytes > 0
        for peer in (alice, bob):
            await peer.send(frame(8, b"\x03\xe8"))
            await peer.closed()
            await peer.drop()
        await server.empty()
        assert log.bytes == 0


# --- Bans ------------------------------------------------------------------------------------------------------------


async def test_the_listener_reads_which_addresses_are_banned(autojump_clock: MockClock) -> None:
    async with house(max_attempts=1, ban_seconds=30) as server:
        assert await knocked(server) == 101
        assert await knocked(server) == 429
        assert server.broker.banned == {"127.0.0.1": pytest.approx(30)}
        assert await knocked(server) == 403
        await trio.sleep(30)
        await wait_all_tasks_blocked()
        assert server.broker.banned == {}
        assert await knocked(server) == 101


async def knocked(server: House) -> int:
    peer: Peer = server.knock()
    await peer.send(upgrade())
    status = (await peer.response()).status
    await peer.drop()
    return status


async def test_empty_is_when_all_are_gone(autojump_clock: MockClock) -> None:
    async with house() as server:
        with trio.fail_after(0.1):
            await server.broker.empty()
        peer = await server.join("alice")
        with trio.move_on_after(5) as scope:
            await server.broker.empty()
        assert scope.cancelled_caught
        await peer.drop()
        with trio.fail_after(0.1):
            await server.broker.empty()
            server.broker.drain(5)
            await server.broker.empty()
