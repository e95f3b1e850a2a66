"""What holds for every command: limits, malformed frames, draining; and that it is a function of its inputs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.core.driver import Driver
from tests.core.script import play
from trio_chat.core.effects import Drain, Failed, Read, Received, Refused, Stale
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import Error, Pong, Welcome
from trio_chat.core.messages import Bad, Connect, Join, Message, Ping, Resume


def bad(code: ErrorCode = ErrorCode.BAD_JSON, answer_to: int | None = None) -> Bad:
    return Bad(code=code, content=code.text, id=answer_to)


class TestRates:
    def test_burst_and_then_the_rate(self) -> None:
        driver = Driver(messages_per_second=4, messages_burst=2)
        alice = driver.connect("alice")
        assert [type(alice.send(Ping(id=n))[0]) for n in (1, 2)] == [Pong, Pong]
        refused = alice.refused(Ping(id=3))
        assert (refused.code, refused.retry_after) == ("rate_limited", 0.25)
        driver.advance(0.25)
        assert isinstance(alice.send(Ping())[0], Pong)

    @pytest.mark.parametrize("rate", [0.01, 0.3, 7, 10, 333, 4567.8, 999_999])
    def test_who_waits_as_long_as_told_is_let_through(self, rate: float) -> None:
        driver = Driver(messages_per_second=rate, messages_burst=1)
        alice = driver.connect("alice")
        alice.send(Ping())
        refused = alice.refused(Ping())
        assert refused.retry_after
        driver.advance(refused.retry_after)
        assert isinstance(alice.send(Ping())[-1], Pong)

    def test_hundredth_in_sixty_seconds_is_the_last(self) -> None:
        driver = Driver(messages_per_second=0.01, messages_burst=1)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Ping())
        for number in range(99):
            assert alice.refused(Ping(id=number)).code == "rate_limited"
        assert alice.closed is None
        assert alice.refused(Ping(id=99)).code == "rate_limited"
        assert alice.closed is Close.FLOODING
        assert isinstance(bob.send(Ping())[-1], Pong)
        alice.drop()
        assert driver.resume(alice).events("closed_before")[0].code == 4005

    def test_fewer_in_any_sixty_seconds_go_on(self) -> None:
        driver = Driver(messages_per_second=0.01, messages_burst=1)
        alice = driver.connect("alice")
        for _ in range(300):
            alice.send(Ping())
            driver.advance(0.61)
        assert alice.closed is None


class TestMalformed:
    def test_twenty_in_a_row(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        codes = [ErrorCode.BAD_JSON, ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_TYPE]
        for number in range(19):
            assert alice.refused(bad(codes[number % 3], number)).code == codes[number % 3]
        assert alice.closed is None
        alice.refused(bad())
        assert alice.closed is Close.BAD_INPUT
        alice.drop()
        back = driver.open()
        back.send(Connect(username="alice", resume=Resume(session=alice.session)))
        assert back.welcome.resumed is False  # 4508 ends a session

    def test_a_valid_one_between_begins_anew(self) -> None:
        alice = Driver(messages_burst=1).connect("alice")
        for number in range(100):
            alice.send(Ping() if number % 20 == 19 else bad())
        assert alice.closed is None

    def test_too_large_is_no_malformed_frame_and_no_valid_one(self) -> None:
        alice = Driver().connect("alice")
        for _ in range(30):
            assert alice.refused(bad(ErrorCode.TOO_LARGE, 5)).code == "too_large"
        for _ in range(19):
            alice.send(bad())
        alice.send(bad(ErrorCode.TOO_LARGE))
        assert alice.closed is None
        alice.send(bad())
        assert alice.closed is Close.BAD_INPUT

    def test_binary(self) -> None:
        alice = Driver().connect("alice")
        assert alice.refused(bad(ErrorCode.UNSUPPORTED_DATA)).code == "unsupported_data"
        assert alice.closed is Close.UNSUPPORTED_DATA

    @pytest.mark.parametrize(
        ("code", "close"),
        [
            (ErrorCode.BAD_JSON, Close.BAD_HANDSHAKE),
            (ErrorCode.BAD_MESSAGE, Close.BAD_HANDSHAKE),
            (ErrorCode.UNKNOWN_TYPE, Close.BAD_HANDSHAKE),
            (ErrorCode.TOO_LARGE, Close.TOO_LARGE),
            (ErrorCode.UNSUPPORTED_DATA, Close.UNSUPPORTED_DATA),
        ],
    )
    def test_before_welcome_each_is_an_error_and_a_close(self, code: ErrorCode, close: Close) -> None:
        client = Driver().open()
        assert client.refused(bad(code, 4)).code == code
        assert client.closed is close

    def test_behind_a_connect_that_waits(self) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        for _ in range(22):
            other.send(bad())
        alice.drop(1000)
        assert isinstance(other.all[0], Welcome)
        assert len(other.of(Error)) == 20
        assert other.closed is Close.BAD_INPUT


class TestDrain:
    def test_all_are_told_and_closed_in_batches(self) -> None:
        driver = Driver()
        clients = [driver.connect(f"user {number}") for number in range(50)]
        driver.advance(1)
        driver.apply(Drain(8))
        assert driver.state.draining
        closed = list[int]()
        for _ in range(20):
            assert all(len(client.events("draining")) == 1 for client in clients)
            driver.advance(0.4)
            closed.append(sum(client.closed is Close.DRAINING for client in clients))
        assert closed == [min(50, 3 * batch) for batch in range(1, 21)]
        assert clients[0].closed is Close.DRAINING
        (told,) = clients[0].events("draining")
        assert (told.retry_after, told.jitter) == (1.0, 1.0)

    def test_jitter_grows_with_the_crowd(self) -> None:
        driver = Driver(max_connections_per_address=10_000)
        clients = [driver.connect(f"user {number}") for number in range(1001)]
        driver.apply(Drain(8))
        (told,) = clients[0].events("draining")
        assert told.jitter == pytest.approx(2.002)

    def test_newcomers_are_refused(self) -> None:
        driver = Driver()
        driver.apply(Drain(8))
        _, verdict = driver.admit()
        assert isinstance(verdict, Refused)
        assert (verdict.status, verdict.retry_after) == (503, 1.0)
        assert driver.state.next_due() is None

    def test_who_did_not_connect_yet_is_closed_at_once(self) -> None:
        driver = Driver()
        alice, asker, silent, turned_away = (
            driver.connect("alice"),
            driver.connect("alice"),
            driver.open(),
            driver.open(),
        )
        turned_away.send(Ping())
        driver.apply(Drain(8))
        assert asker.closed is silent.closed is Close.DRAINING
        assert asker.all == silent.all == []
        assert turned_away.closed is Close.BAD_HANDSHAKE
        assert len(alice.events("draining")) == 1
        driver.advance(8)
        assert alice.closed is Close.DRAINING

    def test_once(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        driver.apply(Drain(8))
        assert driver.apply(Drain(1)) == []
        assert len(alice.events("draining")) == 1

    def test_nothing_falls_due_when_all_are_closed(self) -> None:
        driver = Driver(resume_window=1)
        clients = [driver.connect(f"user {number}") for number in range(3)]
        driver.apply(Drain(2))
        driver.advance(20)
        assert all(client.closed is Close.DRAINING for client in clients)
        assert driver.state.next_due() is None


class TestLogAway:
    """What a log that has to wait may answer; the one in memory never does."""

    @pytest.mark.parametrize("answer", [Failed, Stale])
    def test_message_is_refused(self, answer: type[Failed | Stale]) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        driver.held = True
        alice.send(Join(room="den"))
        alice.send(Message(content="a", room="den", id=5))
        driver.answer(answer)
        error = alice.all[-1]
        assert isinstance(error, Error)
        assert (error.code, error.id, error.retry_after) == ("unavailable", 5, 1.0)

    @pytest.mark.parametrize("answer", [Failed, Stale])
    def test_replay_ends_with_4006_and_can_be_resumed(self, answer: type[Failed | Stale]) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Message(content="a"))
        alice.drop(unsent=[("general", 1)])
        driver.held = True
        back = driver.resume(alice)
        driver.answer(answer)
        assert back.closed is Close.UNAVAILABLE
        back.drop()
        driver.held = False
        assert driver.resume(alice).contents == ["a"]

    def test_replay_that_nobody_waits_for(self) -> None:
        driver = Driver()
        read = Read("general", "boot-1", 77, 10, 10, after=0)
        assert driver.apply(Failed(read)) == []
        assert driver.apply(Stale(Read("gone", "boot-9", 77, 10, 10, after=0))) == []


def test_same_inputs_give_the_same_effects() -> None:
    assert play() == play()


def test_whatever_the_hash_seed() -> None:
    """No set's order, and no address in memory, decides anything."""
    code = "from tests.core.script import digest; print(digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert digests.pop().strip()


def test_who_will_carry_a_session_on() -> None:
    """The broker asks beforehand: of the last connection nothing more is written then."""
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    newcomer, wanted = driver.open(), Connect(resume=Resume(session=alice.session))
    resumed = driver.state.resumed
    assert resumed(Received(newcomer.conn, wanted), driver.now) == alice.conn
    assert resumed(Received(bob.conn, wanted), driver.now) is None  # it has one
    assert resumed(Received(newcomer.conn, Connect(username="carol")), driver.now) is None
    assert resumed(Received(newcomer.conn, Connect(resume=Resume(session="nobody's"))), driver.now) is None
    assert resumed(Received(999, wanted), driver.now) is None  # it is gone
