"""One room as it is shown: its rows, who is there, who types, and what is not sent yet. Pure: times are arguments."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from trio_chat.client import (
    Deleted,
    Edited,
    Entry,
    Event,
    Message,
    Moderated,
    Reacted,
    TopicSet,
)

TYPING_SECONDS = 6.0  # after which somebody who said no more has stopped
MAX_ROWS = 500  # of a room; older ones are let go of, and can be read again
MAX_HEIGHT = 2000  # lines of all rows, about
MAX_CHARS, MAX_LINES = 4000, 100  # of one content that are kept: a screen that shows more of it is slow
WIDTH = 80  # of a line, about


@attrs.define
class Row:
    """An entry as it is shown now. `content` is None where it was deleted; `note`: it is told, not said."""

    seq: int
    sender: str
    timestamp: str
    content: str | None
    reply_to: int | None = None
    edited: bool = False
    note: bool = False
    reactions: dict[str, list[str]] = attrs.field(factory=dict)  # emoji → who, as far as we know
    counts: dict[str, int] = attrs.field(factory=dict)

    @property
    def height(self) -> int:
        """Lines that it takes, about."""
        return 1 if self.content is None else 1 + self.content.count("\n") + len(self.content) // WIDTH


@attrs.define
class Unsent:
    """A message of ours without a place in the log; `key` makes it harmless to send again. `trouble`: why it waits."""

    key: str
    content: str
    reply_to: int | None
    trouble: str | None = None
    seq: int | None = None  # acked; its row comes


@attrs.define
class Room:
    """A room, or the private conversation `@name`."""

    name: str
    epoch: str | None = None
    last: int = 0
    marked: int = 0  # how far we told that we have read
    unread: int = 0
    more: bool = True  # the log may hold older entries than the rows
    loaded: bool = False  # its newest entries were read
    topic: str = ""
    total: int = 0
    rows: dict[int, Row] = attrs.field(factory=dict)
    present: dict[str, None] = attrs.field(factory=dict)
    typing: dict[str, float] = attrs.field(factory=dict)  # until when
    unsent: list[Unsent] = attrs.field(factory=list)

    @property
    def private(self) -> bool:
        """Whether it is a conversation of two."""
        return self.name.startswith("@")

    @property
    def first(self) -> int | None:
        """The `seq` of the oldest row."""
        return min(self.rows, default=None)

    def listed(self) -> list[Row]:
        """The rows in order."""
        return [self.rows[seq] for seq in sorted(self.rows)]

    def newest(self, sender: str | None = None) -> Row | None:
        """The newest message that is not deleted, by `sender` if one is named."""
        return next(
            (
                row
                for row in reversed(self.listed())
                if row.content is not None and not row.note and sender in (None, row.sender)
            ),
            None,
        )

    def forget(self) -> None:
        """Nothing that was read counts any more: it is to be read anew. What is not sent stays."""
        self.rows, self.loaded, self.more = {}, False, True

    def merge(self, entries: Iterable[Event], *, more: bool, newest: bool) -> None:
        """Take a page of history: its messages are as they are now, so what changed them is passed over."""
        for entry in entries:
            if isinstance(entry, Deleted):
                if entry.seq == entry.of:
                    self.rows[entry.seq] = Row(entry.seq, entry.sender, entry.timestamp, None)
            elif isinstance(entry, Message | TopicSet | Moderated):
                self.rows[entry.seq] = row_of(entry)
            if isinstance(entry, Entry):
                self.last = max(self.last, entry.seq)
        self.more = more
        self.loaded = self.loaded or newest

    def hear(self, entry: Entry) -> None:
        """Take an entry that comes now, and change what it changes."""
        self.epoch, self.last = entry.epoch or self.epoch, max(self.last, entry.seq)
        row = self.rows.get(entry.of) if isinstance(entry, Edited | Deleted | Reacted) else None
        if isinstance(entry, Message | TopicSet | Moderated):
            self.rows[entry.seq] = row_of(entry)
            self.typing.pop(entry.sender, None)
            self.unsent = [one for one in self.unsent if one.seq != entry.seq]
        elif isinstance(entry, Deleted):
            self.rows.pop(entry.of, None)
            if row is not None or entry.seq == entry.of:
                self.rows[entry.of] = Row(entry.of, row.sender if row else entry.sender, entry.timestamp, None)
        elif row is not None and isinstance(entry, Edited):
            row.content, row.edited = None if entry.content is None else kept(entry.content), True
        elif row is not None and isinstance(entry, Reacted):
            react(row, entry)
        if isinstance(entry, TopicSet):
            self.topic = entry.topic
        self._let_go()

    def _let_go(self) -> None:
        height = sum(row.height for row in self.rows.values())
        while len(self.rows) > MAX_ROWS or height > MAX_HEIGHT:
            height -= self.rows.pop(min(self.rows)).height
            self.more = True

    def acked(self, key: str, seq: int) -> None:
        """A message of ours has its place."""
        for one in self.unsent:
            if one.key == key:
                one.seq, one.trouble = seq, None
        self.unsent = [one for one in self.unsent if one.seq not in self.rows]

    def failed(self, key: str, trouble: str) -> None:
        """A message of ours was not sent, or nobody knows."""
        for one in self.unsent:
            if one.key == key:
                one.trouble = trouble

    def types(self, sender: str, typing: bool, now: float) -> None:
        """Somebody types, or stopped."""
        self.typing.pop(sender, None)
        if typing:
            self.typing[sender] = now + TYPING_SECONDS

    def expire(self, now: float) -> bool:
        """Forget who typed long ago. Returns whether that changed anything."""
        before = len(self.typing)
        self.typing = {name: until for name, until in self.typing.items() if until > now}
        return len(self.typing) != before


def kept(content: str) -> str:
    """What is shown of a content: the beginning, and how much more there is."""
    beginning = "\n".join(content[:MAX_CHARS].split("\n")[:MAX_LINES])
    left = len(content) - len(beginning)
    return f"{beginning} … ({left:,} more characters)" if left else content


def row_of(entry: Message | TopicSet | Moderated) -> Row:
    """An entry as a row."""
    if isinstance(entry, TopicSet):
        words = f"set the topic: {entry.topic}" if entry.topic else "took the topic away"
        return Row(entry.seq, entry.sender, entry.timestamp, words, note=True)
    if isinstance(entry, Moderated):
        return Row(entry.seq, entry.sender, entry.timestamp, _verdict(entry), note=True)
    return Row(
        entry.seq,
        entry.sender,
        entry.timestamp,
        kept(entry.content),
        reply_to=entry.reply_to,
        edited=entry.edited is not None,
        reactions={emoji: list(found.users) for emoji, found in entry.reactions.items()},
        counts={emoji: found.count for emoji, found in entry.reactions.items()},
    )


def react(row: Row, entry: Reacted) -> None:
    """Count a reaction, once for each who reacts."""
    who = row.reactions.setdefault(entry.emoji, [])
    if entry.remove is (entry.sender in who):
        (who.remove if entry.remove else who.append)(entry.sender)
        row.counts[entry.emoji] = row.counts.get(entry.emoji, 0) + (-1 if entry.remove else 1)
    if row.counts.get(entry.emoji, 0) <= 0:
        row.counts.pop(entry.emoji, None)
        row.reactions.pop(entry.emoji, None)


def _verdict(entry: Moderated) -> str:
    if entry.action == "room":
        fields = {"kind": entry.kind, "slow mode": entry.slow_mode, "receipts": entry.receipts}
        return "set " + ", ".join(f"{name}: {value}" for name, value in fields.items() if value is not None)
    until = f" until {entry.until}" if entry.until else ""
    return f"{entry.action}: {entry.user}{until}{f' ({entry.reason})' if entry.reason else ''}"
