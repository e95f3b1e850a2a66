"""What events make of the screen, and what is asked for then: all without a screen, a server or a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.text import Text

from trio_chat.client import (
    Deleted,
    Disconnected,
    Edited,
    Entry,
    Event,
    HistoryPage,
    Lagged,
    Message,
    Moderated,
    Position,
    Private,
    Reacted,
    Reaction,
    Read,
    RoomInfo,
    RoomPage,
    System,
    TopicSet,
    Typing,
    Unknown,
    UserList,
    Welcomed,
)
from trio_chat.terminal import room as rooms
from trio_chat.terminal.drawing import EMPTY, draw, local, members, room_label, typing_line
from trio_chat.terminal.model import Join, ListRooms, Load, LookAround, Model, Ring
from trio_chat.terminal.room import Room, Unsent, kept

DAY = "2026-01-31T12:00:00.000Z"
NEXT_DAY = "2026-02-01T09:30:00.000Z"


def said(seq: int, content: str = "hi", sender: str = "bob", **more: Any) -> Message:
    return Message(
        **{"room": "general", "epoch": "e", "timestamp": DAY, **more}, seq=seq, sender=sender, content=content
    )


def entry(cls: type[Entry], seq: int, **fields: Any) -> Event:
    return cls(**{"room": "general", "epoch": "e", "sender": "bob", "timestamp": DAY, **fields}, seq=seq)


def page(*entries: Event, more: bool = False, epoch: str = "e") -> HistoryPage:
    return HistoryPage(room="general", epoch=epoch, entries=list(entries), first=1, last=9, more=more)


def come_in(*events: Event, room: str = "general") -> Model:
    """A model after a welcome, with the room read, and these events."""
    model = Model(room)
    model.hear(Welcomed(user="ann", resumed=False, rooms={"general": Position(epoch="e", seq=0)}), 0.0)
    model.paged(model.current, page(), newest=True)
    for event in events:
        model.hear(event, 0.0)
    return model


def lines(model: Model) -> list[str]:
    """What is shown, with times in UTC."""
    clock = lambda timestamp: datetime.fromisoformat(timestamp).astimezone(UTC)  # noqa: E731
    return [line.text.plain for line in draw(model.current, model, clock=clock)]


def test_messages_are_grouped_by_day_and_sender() -> None:
    model = come_in(said(1), said(2, "a\nb"), said(3, sender="ann"), said(4, timestamp=NEXT_DAY, sender="ann"))
    assert lines(model) == [
        "── Saturday, 31 January 2026 ──", "bob  12:00", "    1 hi", "    2 a", "      b", "ann  12:00", "    3 hi",
        "── Sunday, 1 February 2026 ──", "ann  09:30", "    4 hi",
    ]  # fmt: skip


def test_what_changes_a_message() -> None:
    model = come_in(
        said(1, "old"), said(2, "gone"), said(3, "kept", reply_to=1), entry(Edited, 4, of=1, content="new"),
        entry(Deleted, 5, of=2), entry(Reacted, 6, of=3, emoji="👍"), entry(Reacted, 7, of=3, emoji="👍"),
        entry(Reacted, 8, of=3, emoji="🎉", sender="ann"),
        entry(Reacted, 9, of=3, emoji="🎉", sender="ann", remove=True),
        entry(Reacted, 10, of=99, emoji="👍"), entry(Edited, 11, of=99, content="x"), entry(Deleted, 12, of=99),
    )  # fmt: skip
    assert lines(model)[2:] == [
        "    1 new", "      edited", "    2 deleted", "      ↪ #1 bob: new", "    3 kept", "      👍 1",
    ]  # fmt: skip
    assert model.current.last == 12


def test_what_is_told_is_no_message() -> None:
    model = come_in(
        entry(TopicSet, 1, topic="tea"), entry(TopicSet, 2, topic=""), said(3),
        entry(Moderated, 4, action="mute", user="eve", until="later", reason="loud"),
        entry(Moderated, 5, action="room", kind="private", slow_mode=5.0),
    )  # fmt: skip
    assert [line for line in lines(model) if "bob " in line] == [
        "    1 bob set the topic: tea", "    2 bob took the topic away", "bob  12:00",
        "    4 bob mute: eve until later (loud)", "    5 bob set kind: private, slow mode: 5.0",
    ]  # fmt: skip
    assert model.current.newest() == model.current.rows[3]
    assert model.current.newest("ann") is None


def test_history_is_as_it_is_now() -> None:
    """Entries that changed a message, in a page that shows it changed, change it no more."""
    model = come_in()
    reactions = {"👍": Reaction(count=300, users=["bob"])}
    model.paged(
        model.current,
        page(
            said(1, "newest", edited=DAY, reactions=reactions), entry(Deleted, 2, of=2),
            entry(Edited, 3, of=1, content="older"), entry(Reacted, 4, of=1, emoji="👍"),
            entry(Deleted, 5, of=2), Unknown(frame={}), more=True,
        ),
        newest=True,
    )  # fmt: skip
    assert lines(model)[2:] == ["    1 newest", "      edited  👍 300", "    2 deleted"]
    model.hear(entry(Reacted, 6, of=1, emoji="👍"), 0.0)  # bob's is counted already
    assert model.current.rows[1].counts == {"👍": 300}
    assert (model.current.first, model.current.last, model.current.more) == (1, 5 + 1, True)


def test_older_pages_come_before_and_another_log_replaces() -> None:
    model = come_in(said(5))
    model.paged(model.current, page(said(3), said(4), more=True), newest=False)
    assert [*model.current.rows] == [5, 3, 4]
    assert [row.seq for row in model.current.listed()] == [3, 4, 5]
    model.paged(model.current, page(said(1), epoch="f"), newest=True)
    assert [*model.current.rows] == [1]


def test_a_new_epoch_is_read_anew() -> None:
    model = come_in(said(5))
    assert model.hear(said(1, epoch="f"), 0.0) == [Load("general"), LookAround("general")]
    assert [*model.current.rows] == [1]


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_ROWS", 3)
    model = come_in(*(said(seq) for seq in range(1, 6)))
    assert [*model.current.rows] == [3, 4, 5]
    assert model.current.more


def test_unread_and_ringing() -> None:
    model = come_in()
    assert model.hear(said(1, room="den"), 0.0) == []
    assert model.hear(said(2, "Ann, come", room="den"), 0.0) == [Ring()]
    assert model.hear(said(3, "annual", room="den"), 0.0) == []
    assert model.hear(said(4, sender="ann", room="den"), 0.0) == []
    private = entry(Private, 1, room="@bob", content="psst", to="ann")
    assert model.hear(private, 0.0) == [Ring()]
    assert [room_label(room, current=False).plain.strip() for room in model.listed()] == [
        "#den 3",
        "#general",
        "@bob 1",
    ]
    assert model.hear(said(1), 0.0) == []
    assert model.current.unread == 0
    assert model.show("den") == [Load("den"), LookAround("den")]
    assert model.show("@bob") == [Load("@bob")]
    assert model.current.unread == 0


def test_read_elsewhere() -> None:
    model = come_in(said(1, room="den"), said(2, room="den"))
    read = Read(room="den", seq=1, sender="ann", timestamp=DAY)
    model.hear(read, 0.0)
    assert model.room("den").unread == 2
    model.hear(Read(room="den", seq=2, sender="bob", timestamp=DAY), 0.0)
    assert model.room("den").marked == 1
    model.hear(Read(room="den", seq=2, sender="ann", timestamp=DAY), 0.0)
    assert (model.room("den").unread, model.room("den").marked) == (0, 2)


def test_a_list_of_rooms_says_what_is_unread() -> None:
    model = come_in()
    model.listing(
        RoomPage(
            rooms=[
                RoomInfo(room="den", epoch="d", last=9, read=4, topic="tea"),
                RoomInfo(room="new", epoch="n", last=1000),
                RoomInfo(room="@bob", epoch="b", last=3),
                RoomInfo(room="general", epoch="e", last=7, read=1),
            ]
        )
    )
    unread = {room.name: room.unread for room in model.listed()}
    assert unread == {"den": 5, "general": 0, "new": 0, "@bob": 3}
    assert model.room("den").topic == "tea"


def test_who_is_there() -> None:
    model = come_in(said(1, sender="eve"), UserList(users=["Bob", "ann"], total=5))
    assert members(model.current, "ann").plain.split("\n") == ["5 here", "● ann", "● Bob", "and 3 more", "○ eve"]
    model.hear(System(event="joined", room="general", fields={"users": ["eve"], "total": 6}), 0.0)
    model.hear(System(event="left", room="general", fields={"users": ["Bob", 7]}), 0.0)
    model.hear(System(event="joined", room="nowhere", fields={"users": ["x"]}), 0.0)
    assert members(model.current, "ann").plain.split("\n") == ["2 here", "● ann", "● eve"]
    assert "with bob" in members(Room("@bob"), "ann").plain


def test_long_names_leave_room_for_what_is_unread() -> None:
    model = come_in(
        entry(Private, 1, room=f"@{'x' * 32}", content="psst", to="ann"), UserList(users=["y" * 32], total=1)
    )
    assert room_label(model.listed()[1], current=False).plain == f"  @{'x' * 14}… 1"
    assert members(model.current, "ann").plain == f"1 here\n● {'y' * 15}…"


def test_who_types() -> None:
    model = come_in()
    room = model.current
    for number, expected in enumerate(
        ["a is typing …", "a and b are typing …", "a and b and c are typing …", "4 are typing …"]
    ):
        model.hear(Typing(room="general", sender="abcd"[number], typing=True), float(number))
        assert typing_line(room) == expected
    model.hear(Typing(room="general", sender="d", typing=False), 4.0)
    model.hear(said(1, sender="c"), 4.0)
    assert room.expire(6.5)
    assert not room.expire(6.5)
    assert typing_line(room) == "b is typing …"


def test_the_connection_in_words() -> None:
    model = Model("general")
    assert model.status(0.0) == "connecting …"
    model = come_in()
    assert model.status(0.0) == "connected as ann"
    model.hear(Disconnected(code=1006, reason="lost", delay=3.0), 10.0)
    assert model.status(10.0) == "not connected (lost); trying again in 3 s"
    assert model.status(13.0) == "not connected (lost); trying again now"
    assert model.show("den") == []
    model.hear(Welcomed(user="ann", resumed=True, rooms={}), 14.0)
    assert model.status(14.0) == "connected as ann"


def test_a_session_that_is_resumed_keeps_all() -> None:
    model = come_in(said(1), UserList(users=["bob"], total=1))
    assert model.hear(Welcomed(user="ann", resumed=True, rooms={}), 1.0) == [LookAround("general")]
    assert [*model.current.rows] == [1]


def test_a_new_session_joins_and_reads_anew() -> None:
    model = come_in(said(1), said(1, room="den"), entry(Private, 1, room="@bob", content="psst", to="ann"))
    rooms = {"general": Position(epoch="f", seq=0)}
    wishes = model.hear(Welcomed(user="ann", resumed=False, rooms=rooms), 1.0)
    assert wishes == [ListRooms(), Join("den"), Load("general"), LookAround("general")]
    assert lines(model) == ["…"]


def test_the_room_one_starts_in_is_joined() -> None:
    model = Model("den")
    rooms = {"general": Position(epoch="e", seq=4)}
    assert model.hear(Welcomed(user="ann", resumed=False, rooms=rooms), 0.0) == [ListRooms(), Join("den")]
    assert model.room("general").last == 4


def test_a_gap_is_read_anew() -> None:
    model = come_in(said(1))
    lagged = Lagged(room="general", epoch="e", first=100, last=200)
    assert model.hear(lagged, 0.0) == [Load("general"), LookAround("general")]
    assert model.current.rows == {}


@pytest.mark.parametrize("action", ["kick", "ban"])
def test_sent_out(action: str) -> None:
    model = come_in(said(1, room="den"), room="den")
    model.hear(entry(Moderated, 2, room="den", action=action, user="Ann"), 0.0)
    assert [room.name for room in model.listed()] == ["general"]
    assert model.notes == [f"bob sent you out of den: {action}"]


def test_rooms_come_and_go() -> None:
    model = come_in(System(event="room_created", room="den"), System(event="announcement", content="tea"))
    assert [room.name for room in model.listed()] == ["den", "general"]
    model.hear(System(event="room_closed", room="den", content="den was closed"), 0.0)
    assert [room.name for room in model.listed()] == ["general"]
    assert model.notes == ["tea", "den was closed"]
    assert model.drop("nowhere") == []


def test_what_is_not_sent_is_kept_and_marked() -> None:
    model = come_in()
    room = model.current
    room.unsent = [Unsent("k", "one", None), Unsent("l", "two\nlines", 1)]
    assert lines(model) == ["      one", "      sending …", "      two", "      lines", "      sending …"]
    model.hear(Disconnected(code=1006, reason="lost", delay=3.0), 0.0)
    assert lines(model)[1] == "      waits for the connection"
    room.failed("k", "muted: not now")
    assert lines(model)[1] == "      not sent: muted: not now (/retry, /drop)"
    assert room_label(room, current=True).plain == "▸ #general !"
    model.drop("general")
    assert model.known("general") is room  # what is not sent is not lost
    room.acked("l", 7)
    assert len(room.unsent) == 2  # until its row is there
    model.hear(said(7, "two\nlines", sender="ann"), 0.0)
    assert [one.key for one in room.unsent] == ["k"]
    model.ended("4504: kicked")
    assert model.status(0.0) == "the connection has ended: 4504: kicked"
    room.rows[8] = room.rows[7]
    room.acked("k", 8)  # the row came first
    assert room.unsent == []


def test_an_end_marks_what_waits() -> None:
    model = come_in()
    model.current.unsent = [Unsent("k", "one", None)]
    model.ended("gone")
    assert model.current.unsent[0].trouble == "not sent"


def test_an_empty_room_says_how_to_begin() -> None:
    model = come_in()
    assert lines(model) == [EMPTY]
    model.notes.append("a note  with columns")
    assert [(line.text.plain, line.hang) for line in draw(model.current, model)][1] == ("a note  with columns", 8)


def test_times_are_local() -> None:
    assert local(DAY).tzinfo is not None
    assert local(DAY) == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_long_quote_is_cut_and_a_missing_one_is_a_number() -> None:
    model = come_in(said(1, "word " * 20), said(2, reply_to=1), said(3, reply_to=77))
    quotes = [line.strip() for line in lines(model) if "↪" in line]
    assert quotes == [f"↪ #1 bob: {('word ' * 20)[:40]}…", "↪ #77"]


def test_no_markup_and_no_controls() -> None:
    model = come_in(said(1, "[red]\x1b[31m"))
    (line,) = [line.text for line in draw(model.current, model) if "red" in line.text.plain]
    assert isinstance(line, Text)
    assert line.plain == "    1 [red]\\x1b[31m"


def test_a_stranger_who_types_is_no_conversation() -> None:
    model = come_in()
    model.hear(Typing(room="@mallory", sender="mallory", typing=True), 1.0)
    assert [room.name for room in model.listed()] == ["general"]


def test_an_invitation_is_told_once_and_many_leave_room_for_what_was_asked_for() -> None:
    model = come_in()
    model.notes.append("what was asked for")
    for number in [0, 0, *range(20)]:
        content = f"mallory invites you to lair {number}"
        model.hear(System(event="invited", content=content, room=f"lair {number}"), 1.0)
    assert model.notes == [
        "what was asked for",
        *(f"mallory invites you to lair {number}. /join lair {number} goes there." for number in range(15, 20)),
    ]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("x" * 4000, "x" * 4000),
        ("x" * 1_000_000, "x" * 4000 + " … (996,000 more characters)"),
        ("\n".join("x" * 101), "\n".join("x" * 100) + " … (2 more characters)"),
    ],
)
def test_of_a_very_long_content_the_beginning_is_shown(content: str, shown: str) -> None:
    model = come_in(said(1, content), said(2, "short"))
    assert kept(content) == shown
    model.hear(entry(Edited, 3, of=2, content=content), 0.0)
    assert [row.content for row in model.current.listed()] == [shown, shown]


def test_of_many_long_messages_fewer_are_held() -> None:
    model = come_in(*(said(seq, "\n".join("x" * 100)) for seq in range(1, 101)))
    assert [row.seq for row in model.current.listed()] == list(range(82, 101))  # about 100 lines each
    assert model.current.more


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}", "\N{MAN}\N{WOMAN}\N{GIRL}"),
        ("می\u200cخواهم", "میخواهم"),
        ("bonjour\xa0! 日本\u3000語", "bonjour\xa0! 日本\u3000語"),
        ("\u202egnp.exe \x1b[2J \u2028 \u2066", r"\u202egnp.exe \x1b[2J \u2028 \u2066"),
    ],
)
def test_other_scripts_are_readable_and_what_a_terminal_obeys_is_escaped(content: str, shown: str) -> None:
    assert lines(come_in(said(1, content)))[-1] == f"    1 {shown}"
