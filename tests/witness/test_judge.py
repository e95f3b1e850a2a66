"""The checker finds what is wrong: each transcript here is right, or broken by hand in one way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from trio_chat.witness.judge import Log, Report, check
from trio_chat.witness.transcript import Connection, End, Frame

STAMP = "2026-01-31T12:00:00.000Z"


class World:
    """Some users on one clock, in `general` of the epoch `e` unless said otherwise."""

    def __init__(self) -> None:
        self._clock = itertools.count(1)
        self.talks: list[Talk] = []
        self.logs: dict[str, Log] = {}

    def comes(self, name: str, process: int = 1, **welcome: Any) -> Talk:
        """A connection of `name`, welcomed. `resume`: the rooms it gives; `last`: of general."""
        talk = Talk(Connection(name, process), self._clock)
        self.talks.append(talk)
        resume, last, epoch = welcome.pop("resume", None), welcome.pop("last", 0), welcome.pop("epoch", "e")
        asked: Frame = {"username": name, "id": 0}
        if resume is not None:
            asked["resume"] = {"session": f"s-{name}", "rooms": resume}
        rooms = [{"room": "general", "epoch": epoch, "last": last, "read": welcome.pop("read", 0)}]
        rooms += [{"room": room, "epoch": "e", "last": end} for room, end in welcome.pop("rooms", {}).items()]
        talk.says("connect", **asked)
        frame = {"event": "welcome", "id": 0, "user": name, "session": f"s-{name}", "resumed": resume is not None}
        talk.hears("system", **{**frame, "rooms": rooms, **welcome})
        return talk

    def ends(self, *contents: str, first: int = 1, epoch: str = "e", room: str = "general") -> World:
        """What the log of a room holds in the end."""
        entries = [message(first + n, content) for n, content in enumerate(contents)]
        self.logs[room] = Log(epoch, first, first + len(contents) - 1, tuple(entries))
        return self

    def report(self) -> Report:
        """What the checker says."""
        return check([talk.connection for talk in self.talks], self.logs)

    def wrong(self) -> set[str]:
        """The kinds of what it finds."""
        return {finding.kind for finding in self.report().findings}


class Talk:
    """Lines of one connection."""

    def __init__(self, connection: Connection, clock: itertools.count[int]) -> None:
        self.connection, self._clock = connection, clock

    def says(self, type: str, **fields: Any) -> Talk:
        """A command of ours."""
        self.connection.sent(float(next(self._clock)), type, **fields)
        return self

    def hears(self, type: str, **fields: Any) -> Talk:
        """A frame of the server's."""
        self.connection.got(float(next(self._clock)), {"type": type, **fields})
        return self

    def posts(self, number: int, content: str, *, acked: int | None = None, own: bool = True, **fields: Any) -> Talk:
        """A message with its ack as `acked`, and our own copy."""
        self.says("message", id=number, room="general", content=content, **fields)
        if acked is not None:
            self.hears("ack", id=number, room="general", epoch="e", seq=acked)
        if acked is not None and own:
            self.gets((acked, content))
        return self

    def gets(self, *entries: tuple[int, str]) -> Talk:
        """Messages of the others in general."""
        for seq, content in entries:
            self.hears(**message(seq, content))
        return self

    def lagged(self, first: int, last: int, epoch: str = "e") -> Talk:
        """`lagged`, of general."""
        return self.hears("system", event="lagged", room="general", epoch=epoch, first=first, last=last)

    def ends(self, end: End = End.LOST, *, patient: bool = False, settled: bool = False) -> Talk:
        """It is over."""
        self.connection.end, self.connection.patient, self.connection.settled = end, patient, settled
        self.connection.ended_at = float(next(self._clock))
        return self


def message(seq: int, content: str, **fields: Any) -> Frame:
    """A message's frame; its sender is what its content begins with."""
    frame = {"type": "message", "sender": content.split("-")[0], "room": "general", "timestamp": STAMP}
    return {**frame, "content": content, "seq": seq, **fields}


def exchange() -> World:
    """Ann and ben talk; the server dies; they come back, ann sends again, and all is as it must be."""
    world = World()
    ann, ben = world.comes("ann"), world.comes("ben")
    ann.posts(1, "ann-1", acked=1, key="k1")
    ben.gets((1, "ann-1")).posts(1, "ben-1", acked=2, key="k1")
    ann.gets((2, "ben-1")).posts(2, "ann-2", key="k2").ends()
    ben.ends()
    back = world.comes("ben", 2, resume={"general": {"epoch": "e", "seq": 2}}, last=3)
    back.gets((3, "ann-2")).ends(patient=True)
    again = world.comes("ann", 2, resume={"general": {"epoch": "e", "seq": 1}}, last=3)
    again.gets((2, "ben-1"), (3, "ann-2")).posts(1, "ann-2", acked=3, own=False, key="k2").ends(patient=True)
    return world.ends("ann-1", "ben-1", "ann-2")


def test_what_is_right_passes() -> None:
    """No finding, and the figures are those of the transcript."""
    report = exchange().report()

    assert report.findings == []
    assert (report.acked, report.lost, report.duplicated, report.unanswered, report.resumed) == (3, 0, 0, 0, 2)


def test_an_unacked_post_may_be_gone_or_there() -> None:
    """Either is right; the figures tell them apart."""
    world = World()
    world.comes("ann").posts(1, "ann-1").posts(2, "ann-2").ends()

    report = world.ends("ann-2").report()

    assert (report.findings, report.unanswered, report.committed) == ([], 2, 1)


def test_an_acked_entry_that_is_gone_is_lost() -> None:
    """The log is shorter than what was acked."""
    report = exchange().ends("ann-1", "ben-1").report()

    assert report.lost == 1
    assert {finding.kind for finding in report.findings} == {"lost"}


def test_an_acked_entry_whose_room_is_gone_is_lost() -> None:
    """There is no such log any more."""
    world = exchange()
    del world.logs["general"]

    assert world.report().lost == 3


def test_another_content_at_an_acked_place_is_a_loss() -> None:
    """The same epoch and seq are the same entry for ever."""
    report = exchange().ends("ann-1", "ben-1", "eve-3").report()

    assert report.lost == 1
    assert {finding.kind for finding in report.findings} == {"lost", "changed"}  # and nobody sent that


def test_another_content_at_a_place_that_was_only_shown() -> None:
    """What was delivered was committed."""
    world = World()
    world.comes("ben").posts(1, "ben-1", own=False).posts(2, "ben-2", own=False).gets((1, "ben-1")).ends()
    report = world.ends("ben-2").report()

    assert [finding.kind for finding in report.findings] == ["changed"]
    assert report.lost == 0


def test_one_post_in_the_log_twice() -> None:
    """Sent twice with one key: at most once in the log."""
    report = exchange().ends("ann-1", "ben-1", "ann-2", "ann-2").report()

    assert report.duplicated == 1


def test_a_post_without_a_key_that_was_sent_twice_may_be_there_twice() -> None:
    """The server cannot know."""
    world = World()
    world.comes("ann").posts(1, "ann-1", acked=1).posts(2, "ann-1", acked=2).ends()

    assert world.ends("ann-1", "ann-1").wrong() == set()


def test_a_key_that_is_acked_with_another_seq() -> None:
    """The same key and content again is acked with the first `seq`."""
    world = World()
    world.comes("ann").posts(1, "ann-1", acked=1, key="k").posts(2, "ann-1", acked=2, key="k").ends()

    assert world.ends("ann-1", "ann-1").wrong() == {"key", "twice"}


@pytest.mark.parametrize(
    ("gets", "kind"),
    [
        ([(1, "ben-1"), (3, "ben-3")], "gap"),
        ([(1, "ben-1"), (1, "ben-1"), (2, "ben-2"), (3, "ben-3")], "double"),
        ([(1, "ben-1"), (2, "ben-2"), (3, "ben-3"), (2, "ben-2")], "order"),
        ([(2, "ben-2"), (3, "ben-3")], "gap"),
    ],
)
def test_gaps_doubles_and_order(gets: list[tuple[int, str]], kind: str) -> None:
    """Of what comes live."""
    world = World()
    ann, ben = world.comes("ann"), world.comes("ben")
    ann.gets(*gets).ends()
    for n in (1, 2, 3):
        ben.posts(n, f"ben-{n}", acked=n)

    assert world.ends("ben-1", "ben-2", "ben-3").wrong() == {kind}


def test_a_finding_reads_well() -> None:
    """The promise, who and where, and the lines that show it."""
    world = World()
    world.comes("ann").posts(1, "ann-1", acked=1).posts(2, "ann-2", acked=2, own=False).posts(3, "ann-3", acked=3)
    (finding,) = world.ends("ann-1", "ann-2", "ann-3").report().findings

    assert str(finding).splitlines()[0] == "[1, no gaps] ann, process 1, line 9: general: 3 after 1"
    assert '"content": "ann-3"' in str(finding).splitlines()[-1]


def test_a_newer_entry_before_what_was_missed() -> None:
    """A resume gives what was missed first."""
    world = exchange()
    late = world.comes("ben", 2, resume={"general": {"epoch": "e", "seq": 1}}, last=3)
    late.gets((3, "ann-2"), (2, "ben-1")).ends()

    assert world.wrong() == {"gap", "order"}


def test_a_replay_that_stops_short() -> None:
    """Whoever waits until all has come, has all that the server says there is."""
    world = exchange()
    late = world.comes("ben", 2, resume={"general": {"epoch": "e", "seq": 1}}, last=3).gets((2, "ben-1"))
    late.says("rooms", id=1).hears("room_list", id=1, rooms=[{"room": "general", "last": 3}]).ends(settled=True)

    assert world.wrong() == {"gap"}


@pytest.mark.parametrize(
    ("end", "process", "found"), [(End.AWAY, 1, {"gap"}), (End.LOST, 1, set()), (End.LOST, 2, set())]
)
def test_a_position_left_out_is_where_the_server_stood(end: End, process: int, found: set[str]) -> None:
    """Known exactly where we read all that it sent; else what was on its way may be lost."""
    world = World()
    ann = world.comes("ann")
    world.comes("ben").posts(1, "ben-1", acked=1).ends(end)
    for n in (1, 2, 3):
        ann.says("message", content=f"ann-{n}")
    world.comes("ben", process, resume={}, last=4).gets((3, "ann-2"), (4, "ann-3")).ends()

    assert world.ends("ben-1", "ann-1", "ann-2", "ann-3").wrong() == found


def test_lagged_is_missing() -> None:
    """The epoch changed, and entries come as if nothing had happened."""
    world = exchange()
    world.comes("ben", 3, resume={"general": {"epoch": "f", "seq": 3}}, last=3).gets((1, "ann-1")).ends()

    assert world.wrong() == {"lagged"}


def test_lagged_is_missing_beyond_the_last() -> None:
    """A position that the log never reached is none."""
    world = exchange()
    world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 9}}, last=3).gets((1, "ann-1")).ends()

    assert world.wrong() == {"lagged"}


def test_lagged_before_a_gap_is_right_and_without_one_is_wrong() -> None:
    """It is said where something is missing, and only there."""
    world = exchange()
    back = world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 1}}, last=3)
    back.lagged(3, 3).gets((3, "ann-2")).ends()
    assert world.wrong() == set()

    world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 3}}, last=3).lagged(2, 3).ends()
    assert world.wrong() == {"lagged"}


def test_two_answers_and_none() -> None:
    """Exactly one answer per `id`, of its kind."""
    world = exchange()
    talk = world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 3}}, last=3)
    talk.says("ping", id=1).hears("pong", id=1).ends(patient=True)
    assert world.wrong() == set()

    talk.hears("pong", id=1)
    assert world.wrong() == {"answer"}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda talk: talk.says("ping", id=1),
        lambda talk: talk.hears("pong", id=1),
        lambda talk: talk.says("ping", id=1).hears("ack", id=1),
    ],
    ids=["none", "to nothing", "of the wrong kind"],
)
def test_wrong_answers(break_it: Callable[[Talk], Talk]) -> None:
    """Of a connection whose answers were all awaited."""
    world = exchange()
    break_it(world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 3}}, last=3)).ends(patient=True)

    assert world.wrong() == {"answer"}


def test_an_epoch_that_changed_silently() -> None:
    """A crash of the process is no power cut."""
    world = exchange()
    world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 3}}, last=3, epoch="f").lagged(1, 3, "f").ends()

    assert world.wrong() == {"epoch"}


def test_a_log_that_went_back() -> None:
    """Whoever comes later is told no shorter log."""
    world = exchange()
    world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 2}}, last=2).ends()

    assert world.wrong() == {"tail"}


def test_own_copy_before_its_ack() -> None:
    """An ack precedes the sender's own copy."""
    world = World()
    world.comes("ann").says("message", id=1, content="ann-1").gets((1, "ann-1")).hears(
        "ack", id=1, room="general", epoch="e", seq=1
    ).ends()

    assert world.ends("ann-1").wrong() == {"order"}


@pytest.mark.parametrize("what", ["before", "after"])
def test_nothing_of_a_room_before_joining_or_after_leaving(what: str) -> None:
    """And all of it in between."""
    world = exchange()
    talk = world.comes("ben", 3, resume={"general": {"epoch": "e", "seq": 3}}, last=3)
    red = message(1, "ann-red", room="red")
    if what == "before":
        talk.hears(**red)
    talk.says("join", id=1, room="red").hears("ack", id=1, room="red", epoch="r", last=0)
    if what == "after":
        talk.hears(**red)
        talk.says("leave", id=2, room="red").hears("ack", id=2, room="red")
        talk.hears("system", event="left", room="red", users=["ann"])
    talk.ends()
    world.comes("ann", 3, last=3).says("message", room="red", content="ann-red")
    world.logs["red"] = Log("r", 1, 1, (red,))

    assert world.wrong() == {"outside"}
