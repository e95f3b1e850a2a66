"""Any sequence of requests: each kind against the model, and the kinds side by side."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.log.kinds import DAY, NOW, Kind, MemoryKind, SqliteKind, draft, later
from tests.log.model import OPTIONS, Model
from trio_chat.core.effects import Answer, Append, Discard, Forget, Keep, Page, Read, Request, Search, Stale
from trio_chat.core.records import UserRecord

ROOMS = st.sampled_from(["lobby", "lobby", "lobby", "@talk"])  # much happens in one
AUTHORS = st.sampled_from(["ann", "ann", "bob"])
CONTENTS = st.sampled_from(["a", "b", "A b", "東京", "!"])
KEYS = st.none() | st.sampled_from("kl")
BACK = st.integers(0, 6)  # from the newest entry to the one that is meant; some are not held


class LogMachine(RuleBasedStateMachine):
    """`log` and `oracle` are asked the same and must answer the same."""

    kind: ClassVar[type[Kind]]
    oracle_kind: ClassVar[type[Model | Kind]] = Model

    @initialize()
    def begin(self) -> None:
        self.log, self.oracle = self.kind(**OPTIONS), self.oracle_kind(**OPTIONS)
        self.now, self.epochs = NOW, 0
        self.epoch = {"lobby": "epoch of lobby", "@talk": "epoch of @talk"}
        self.last = {"lobby": 0, "@talk": 0}
        self.kept: dict[str, UserRecord] = {}
        for author, content in (("ann", "a"), ("bob", "b"), ("ann", "a b")):
            self.append("lobby", author, content, None, "message")
        self.react("lobby", "bob", "+", remove=False, back=-1)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            self.oracle.close()

    def ask(self, request: Request) -> Answer:
        answer = self.log.submit(request, self.now)
        assert answer == self.oracle.submit(request, self.now)
        return answer

    @rule(name=ROOMS, author=AUTHORS, content=CONTENTS, key=KEYS, kind=st.sampled_from(["message", "private", "topic"]))
    def append(self, name: str, author: str, content: str, key: str | None, kind: str) -> None:
        made = draft(content, at=self.now.wall, author=author, kind=kind)
        self.ask(Append(name, self.epoch[name], made, 1, None, key))

    @rule(name=ROOMS, author=AUTHORS, content=CONTENTS, key=KEYS, back=BACK, moderator=st.booleans())
    def edit(self, name: str, author: str, content: str, key: str | None, back: int, moderator: bool) -> None:
        made = draft(content, at=self.now.wall, author=author, kind="edit", of=self.last[name] - back)
        self.ask(Append(name, self.epoch[name], made, 1, None, key, moderator))

    @rule(name=ROOMS, author=AUTHORS, key=KEYS, back=BACK, moderator=st.booleans())
    def delete(self, name: str, author: str, key: str | None, back: int, moderator: bool) -> None:
        made = draft("", at=self.now.wall, author=author, kind="delete", of=self.last[name] - back)
        self.ask(Append(name, self.epoch[name], made, 1, None, key, moderator))

    @rule(name=ROOMS, author=AUTHORS, emoji=st.sampled_from("+-"), remove=st.booleans(), back=BACK)
    def react(self, name: str, author: str, emoji: str, remove: bool, back: int) -> None:
        of = self.last[name] - back
        made = draft("", at=self.now.wall, author=author, kind="react", of=of, emoji=emoji, remove=remove)
        self.ask(Append(name, self.epoch[name], made, 1))

    @rule(
        name=ROOMS,
        side=st.sampled_from(["after", "before", ""]),
        back=st.integers(-2, 9),
        limit=st.integers(1, 7),
        max_bytes=st.sampled_from([1, 203, 404, 2500, 5000, 10**6]),
    )
    def read(self, name: str, side: str, back: int, limit: int, max_bytes: int) -> None:
        where = {side: max(1, self.last[name] - back)} if side else {}
        self.ask(Read(name, self.epoch[name], 1, limit, max_bytes, **where))  # type: ignore[arg-type]

    @rule(
        words=st.sampled_from([("a",), ("b",), ("a", "b"), ("東",)]),
        limit=st.integers(1, 7),
        max_bytes=st.sampled_from([1, 203, 404, 2500, 5000, 10**6]),
        before=st.none() | st.tuples(st.sampled_from([-300, -1, 0]), st.integers(1, 2), BACK),
        numbers=st.permutations([1, 2]),
    )
    def search(
        self,
        words: tuple[str, ...],
        limit: int,
        max_bytes: int,
        before: tuple[int, int, int] | None,
        numbers: list[int],
    ) -> None:
        rooms = tuple((number, name, self.epoch[name]) for number, name in zip(numbers, self.epoch, strict=True))
        place = None if before is None else (self.now.wall + before[0], before[1], before[2])
        self.ask(Search(rooms, words, limit, max_bytes, 1, place))

    @rule(name=ROOMS)
    def forget(self, name: str) -> None:
        if self.last[name] < 3:  # else hardly anything would ever grow old
            return
        for log in (self.log, self.oracle):
            log.forget(Forget(name, self.epoch[name]))
        self.epochs += 1
        self.epoch[name] = f"epoch {self.epochs}"

    @rule(name=ROOMS)
    def stale(self, name: str) -> None:
        if self.last[name]:
            request = Append(name, "an epoch of old", draft(), 1, keep=(Keep(UserRecord(key="x", number=0, name="x")),))
            assert self.ask(request) == Stale(request)

    @rule(key=st.sampled_from("abc"), number=st.integers(0, 3), name=st.none() | ROOMS)
    def keep(self, key: str, number: int, name: str | None) -> None:
        """By itself, or with an entry."""
        record = UserRecord(key=key, number=number, name=key)
        if name is not None:
            self.ask(Append(name, self.epoch[name], draft(at=self.now.wall), 1, keep=(Keep(record),)))
        else:
            for log in (self.log, self.oracle):
                log.keep(Keep(record))
        self.kept[key] = record

    @rule(key=st.sampled_from("abc"))
    def discard(self, key: str) -> None:
        for log in (self.log, self.oracle):
            log.keep(Discard("user", key))
        self.kept.pop(key, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 300.0, 300.0, 600.0, 3600.0, DAY / 2]))
    def wait(self, seconds: float) -> None:
        self.now = later(seconds, self.now)

    @rule()
    def tidy(self) -> None:
        self.log.tidy(self.now)

    @precondition(lambda self: self.log.survives and isinstance(self.oracle, Model))
    @rule()
    def reopen(self) -> None:
        self.log.reopen(self.now)
        restored = self.log.restored
        assert restored.trusted
        assert {record.key: record for record in restored.records} == self.kept
        assert len(restored.records) == len(self.kept)
        assert isinstance(self.oracle, Model)
        self.oracle.reopen()
        assert restored.spans == self.oracle.spans(self.now)

    @invariant()
    def rooms_are_held_without_gaps(self) -> None:
        for name, epoch in getattr(self, "epoch", {}).items():
            page = self.ask(Read(name, epoch, 1, 200, 10**6, after=0))
            assert isinstance(page, Page)
            assert [entry.seq for entry in page.entries] == list(range(page.first, page.last + 1))
            self.last[name] = page.last


class MemoryMachine(LogMachine):
    """The kind `memory`."""

    kind = MemoryKind


class SqliteMachine(LogMachine):
    """The kind `sqlite`."""

    kind = SqliteKind


class AgreeMachine(LogMachine):
    """`sqlite` as `memory` has it."""

    kind = SqliteKind
    oracle_kind = MemoryKind


MemoryMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, derandomize=True)
for machine in (SqliteMachine, AgreeMachine):
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, derandomize=True)
TestMemory = MemoryMachine.TestCase
TestSqlite = SqliteMachine.TestCase
TestAgree = AgreeMachine.TestCase
