"""Rooms: rolls, audiences, and news that are undone in time."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core import rooms as module
from trio_chat.core.limits import Window
from trio_chat.core.names import parse_name
from trio_chat.core.rooms import Roll, Room, Rooms, talk_key
from trio_chat.core.sessions import Mark, Session, User


@attrs.define(eq=False)
class Item:
    number: int


def user(number: int, name: str = "") -> User:
    return User(number, f"guest:boot:{number}", parse_name(name or f"user {number}"), Window(20, 3600))


def session(number: int, conn: int | None) -> Session:
    made = Session(number, f"token {number}", user(number), conn)
    made.user.sessions.append(made)
    return made


def room() -> Room:
    return Rooms("boot", 20).create(parse_name("Lobby"))


STEPS = ["attach", "detach", "behind", "caught", "say"]
ACTIONS = st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=60)


@given(actions=ACTIONS, after=st.integers(0, 31), limit=st.integers(1, 40))
def test_roll_against_a_sorted_list(actions: list[tuple[bool, int]], after: int, limit: int) -> None:
    items = {number: Item(number) for number in range(1, 31)}
    roll, model = Roll[Item](), set[int]()
    for adds, number in actions:
        assert not roll.remove(Item(number)), "another item with the same number"
        if adds:
            assert roll.add(items[number]) is (number not in model)
            model.add(number)
        else:
            assert roll.remove(items[number]) is (number in model)
            model.discard(number)
        assert len(roll) == len(model)
    expected = [number for number in sorted(model) if number > after][:limit]
    assert [item.number for item in roll.page(after, limit)] == expected


@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), max_size=40))
def test_audience_is_whoever_is_there_and_not_behind(steps: list[tuple[str, int]]) -> None:
    lobby, there, behind = room(), list[int](), dict[int, int]()
    for step, conn in steps:
        match step:
            case "attach" | "behind":
                position = None if step == "attach" else 0
                lobby.attach(session(conn, conn), position)
                there += [] if conn in there else [conn]
                behind.pop(conn, None)
                if position is not None and lobby.last:
                    behind[conn] = 0
            case "detach":
                assert lobby.detach(conn) == behind.pop(conn, lobby.last)
                there = [other for other in there if other != conn]
            case "caught" if conn in behind:
                lobby.caught_up(conn)
                del behind[conn]
            case "say":
                lobby.last += 1
        assert lobby.audience() == tuple(conn for conn in there if conn not in behind)


@given(toggles=st.lists(st.integers(1, 3), max_size=30))
def test_news_undone_in_time_are_none(toggles: list[int]) -> None:
    """Each of three users comes and goes by turns; told is who is not as it was at first."""
    lobby, users, present = room(), {number: user(number) for number in (1, 2, 3)}, dict.fromkeys((1, 2, 3), False)
    for number in toggles:
        present[number] = not present[number]
        lobby.tell(users[number], joined=present[number])
    changed = {f"user {number}": (f"user {number}", True) for number, is_there in present.items() if is_there}
    assert lobby.news == changed


def test_another_spelling_of_a_name_is_told() -> None:
    """Who takes a name over writes it in another way: lists must follow."""
    lobby = room()
    lobby.tell(user(1, "bob"), joined=False)
    lobby.tell(user(2, "BOB"), joined=True)
    assert lobby.news == {"bob": ("bob", False), "BOB": ("bob", True)}
    lobby.tell(user(2, "BOB"), joined=False)
    lobby.tell(user(3, "bob"), joined=True)
    assert lobby.news == {}


def test_empty_is_without_members_entries_and_any_on_their_way() -> None:
    lobby = room()
    assert lobby.empty()
    lobby.pending = 1
    assert not lobby.empty()
    lobby.pending, lobby.last = 0, 3
    assert not lobby.empty()
    lobby.first = 4
    assert lobby.empty()
    lobby.members["x"] = user(1)
    assert not lobby.empty()


def test_a_conversation_is_called_after_the_other() -> None:
    rooms, one, other = Rooms("boot", 20), session(1, 1), session(2, None)
    talk = rooms.talk(one.user, other.user)
    assert rooms.talk(other.user, one.user) is talk
    assert rooms.get(talk_key(other.user, one.user)) is talk
    assert talk.name_for(one.user) == "@user 2"
    assert talk.name_for(other.user) == "@user 1"
    assert talk.audience() == (1,)
    assert other.positions == {talk.key: 0}
    assert talk.presence == 1
    rooms.close(talk)
    assert rooms.get(talk.key) is None


def test_epochs_are_never_used_again() -> None:
    rooms = Rooms("boot", 20)
    first = rooms.create(parse_name("lobby"))
    rooms.close(first)
    assert rooms.create(parse_name("lobby")).epoch != first.epoch
    assert Rooms("other", 20).create(parse_name("lobby")).epoch != first.epoch


def test_who_is_enrolled_is_a_member_from_here_on() -> None:
    rooms, one, other = Rooms("boot", 20), user(1), user(2)
    lobby = rooms.create(parse_name("lobby"))
    lobby.last = 5
    rooms.enroll(one, lobby)
    assert one.rooms == {"lobby": lobby}
    assert one.talks == {}
    mark = one.marks["lobby"]
    assert (mark.number, mark.read, mark.since) == (1, 0, 5)
    before = Mark(7, read=3)
    rooms.enroll(other, lobby, before)
    assert other.marks["lobby"] is before
    assert list(lobby.members.values()) == [one, other]
    attic = rooms.create(parse_name("attic"))
    rooms.enroll(one, attic)
    assert one.marks["attic"].number == 8, "behind all that were given out, before the restart too"
    rooms.enroll(other, attic, Mark(2))
    rooms.enroll(other, rooms.create(parse_name("hall")))
    assert other.marks["hall"].number == 9, "an old number takes nothing back"


def test_enrolled_in_a_conversation_is_in_no_room() -> None:
    rooms, one, other = Rooms("boot", 20), user(1), user(2)
    talk = Room(talk_key(one, other), "", 3, "old-3", (one, other))
    rooms.restore(talk)
    rooms.enroll(one, talk)
    assert one.rooms == {}
    assert one.talks == {talk.key: talk}
    assert len(rooms.listed) == 0
    assert rooms.talk(one, other) is talk


def test_restored_room_keeps_its_epoch_and_no_other_gets_its_number() -> None:
    rooms = Rooms("boot", 20)
    young, old = Room("den", "Den", 7, "old-7"), Room("attic", "attic", 3, "")
    rooms.restore(young)
    rooms.restore(old)
    assert (young.epoch, old.epoch) == ("old-7", "boot-3")
    assert rooms.get("den") is young
    assert rooms.all() == [young, old]
    assert rooms.listed.page(0, 9) == [old, young]
    new = rooms.create(parse_name("new"))
    assert (new.number, new.epoch) == (8, "boot-8")
    rooms.close(young)
    assert rooms.listed.page(0, 9) == [old, new]


def test_creations_of_so_many_addresses_are_counted_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CREATORS", 10)
    rooms = Rooms("test", 1)
    for number in range(50):
        assert rooms.creations(f"address {number}", 0.0).hit(0.0)
        assert len(rooms._created) <= 10
    assert not rooms.creations("address 49", 0.0).hit(0.0)
    assert rooms.creations("address 0", 0.0).hit(0.0)


def test_creations_of_addresses_are_forgotten_when_they_no_longer_matter() -> None:
    rooms = Rooms("boot", 1)
    for number in range(1000):
        assert rooms.creations(f"address {number}", float(number)).hit(float(number))
    assert not rooms.creations("address 0", 1000.0).hit(1000.0)
    for number in range(1000):
        assert rooms.creations("address", 9000.0 + number) is rooms.creations("address", 9000.0 + number)
    assert list(rooms._created) == ["address"]
