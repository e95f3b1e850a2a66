"""Conversations with a guest who was several users: each is judged, and the end of one is no loss."""

from __future__ import annotations

from typing import Any

import pytest

from trio_chat.witness.judge import Log
from trio_chat.witness.transcript import End, Frame

from .test_judge import STAMP, Talk, World


def private(seq: int, content: str, epoch: str, to: str = "ben", sender: str = "ann") -> Frame:
    """What both hear."""
    frame = {"type": "private", "from": sender, "sender": sender, "to": to, "timestamp": STAMP}
    return {**frame, "content": content, "epoch": epoch, "seq": seq}


class Two(World):
    """Ann talks with ben, who leaves for good; then with another ben, in the epochs `p` and `q`."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = 0
        self.ann, ben = self.comes("ann"), self.comes("ben")
        for number in (1, 2):
            self.tells(f"ann-{number}", number, "p")
            ben.hears(**private(number, f"ann-{number}", "p"))
        ben.ends(End.LEFT)
        self.ben = self.comes("ben")

    def tells(self, content: str, seq: int, epoch: str, **fields: Any) -> None:
        """Ann writes, and it is acked and echoed."""
        self.ids += 1
        self.ann.says("private", id=self.ids, to="ben", content=content, **fields)
        self.ann.hears("ack", id=self.ids, room="@ben", epoch=epoch, seq=seq)
        self.ann.hears(**private(seq, content, epoch))

    def goes_on(self, *seqs: int) -> None:
        """Ann writes twice more; the other ben hears these."""
        for number in (1, 2):
            self.tells(f"ann-{number + 2}", number, "q")
        for seq in seqs:
            self.ben.hears(**private(seq, f"ann-{seq + 2}", "q"))

    def settles(self, *contents: str, epoch: str = "q") -> World:
        """All has come, and the log of the conversation that is left is read."""
        for talk in (self.ann, self.ben):
            talk.ends(End.AWAY, patient=True, settled=True)
        entries = tuple(private(n, content, epoch) for n, content in enumerate(contents, 1))
        if entries:
            self.logs["@ann+ben"] = Log(epoch, 1, len(entries), entries)
        return self.ends()


def test_two_conversations_one_after_the_other_are_right() -> None:
    """The first is gone with its guest: nobody can tell whether it should be."""
    world = Two()
    world.goes_on(1, 2)
    report = world.settles("ann-3", "ann-4").report()
    assert report.findings == []
    assert (report.talks, report.parted, report.ended, report.unplaced) == (1, 1, 2, 0)


@pytest.mark.parametrize(("seqs", "kind"), [((2,), "gap"), ((1, 1), "double"), ((1, 2, 1), "order")])
def test_what_is_wrong_in_one_of_them_is_found(seqs: tuple[int, ...], kind: str) -> None:
    """Order, gaps and doubles."""
    world = Two()
    world.goes_on(*seqs)
    assert kind in world.settles("ann-3", "ann-4").wrong()


def test_what_the_last_of_both_were_seen_in_is_there_in_the_end() -> None:
    """Neither of them ended since."""
    world = Two()
    world.goes_on(1, 2)
    assert "lost" in world.settles().wrong()


def test_an_entry_that_was_another_is_found() -> None:
    """Also in a conversation that is gone."""
    world = Two()
    world.goes_on(1, 2)
    assert "lost" in world.settles("ann-3", "ann-5").wrong()

    world = Two()
    world.talks[1].connection.lines[-1].frame["content"] = "ann-9"
    world.goes_on(1, 2)
    assert "lost" in world.settles("ann-3", "ann-4").wrong()


def test_what_names_no_epoch_is_of_the_conversation_that_was_told_last() -> None:
    """An edit is, and so is a page of history of its own epoch."""
    world = Two()
    world.goes_on(1)
    edit: Frame = {"type": "edited", "room": "@ben", "of": 1, "content": "new", "sender": "ann", "timestamp": STAMP}
    world.ben.hears(**private(2, "ann-4", "q"))
    world.ann.says("edit", id=90, room="@ben", seq=1, content="new").hears("ack", id=90, room="@ben", epoch="q", seq=3)
    world.ann.hears(**edit, seq=3)
    world.ben.hears(**{**edit, "room": "@ann"}, seq=3)
    page = {"room": "@ann", "epoch": "q", "first": 1, "last": 3, "more": True, "id": 91}
    world.ben.says("history", id=91, room="@ann").hears("history", **page, entries=[private(1, "ann-3", "q")])
    assert "changed" in world.settles("ann-3", "ann-4").wrong()

    world = Two()
    world.goes_on(1, 2)
    world.ben.hears(**{**edit, "room": "@ann"}, seq=4)
    assert "gap" in world.wrong()


def test_a_position_in_a_conversation_that_ended_takes_a_lagged() -> None:
    """The client knows of no other."""
    world = Two()
    world.ann.ends()
    given = {"@ben": {"epoch": "p", "seq": 2}}
    back = Talk(world.comes("ann", resume=given).connection, world._clock)
    welcome = back.connection.lines[1].frame
    welcome["rooms"].append({"room": "@ben", "epoch": "q", "last": 1})
    world.ben.says("private", id=1, to="ann", content="ben-1")
    world.ben.hears("ack", id=1, room="@ann", epoch="q", seq=1).hears(**private(1, "ben-1", "q", "ann", "ben"))
    back.hears(**private(1, "ben-1", "q", "ann", "ben"))
    assert world.wrong() == {"lagged"}

    back.connection.lines.pop()
    back.hears("system", event="lagged", room="@ben", epoch="q", first=1, last=1)
    back.hears(**private(1, "ben-1", "q", "ann", "ben"))
    assert world.wrong() == set()


def test_a_retry_may_be_in_the_next_conversation_too() -> None:
    """The guest whom it was for ended in between, and the server's answer was lost."""
    world = Two()
    world.ann.says("private", id=8, to="ben", content="ann-3", key="k")
    world.talks[1].hears(**private(3, "ann-3", "p"))
    world.ann.ends()
    world.ann = world.comes("ann", resume={})
    world.ids = 8
    world.tells("ann-3", 1, "q", key="k")
    world.ben.hears(**private(1, "ann-3", "q"))
    assert world.settles("ann-3").wrong() == set()

    world.ben.hears(**private(2, "ann-3", "q"))
    world.logs["@ann+ben"] = Log("q", 1, 2, (private(1, "ann-3", "q"), private(2, "ann-3", "q")))
    assert "twice" in world.wrong()
