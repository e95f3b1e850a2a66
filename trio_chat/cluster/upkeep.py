"""The upkeep of a log on a Redis server, in slices, none of which keeps the server busy for long.

What is gone for the readers is deleted; whoever is to be forgotten is; and what was erased is erased from the files
that the server writes, too.
"""

from __future__ import annotations

import logging
import math

import attrs
import msgspec
from coredis.exceptions import RedisError

from trio_chat.cluster import scripts
from trio_chat.cluster.heads import decode, draft_of
from trio_chat.cluster.link import BrokenError, Call, Reply, UnreachableError, script, why
from trio_chat.cluster.lua import KEPT, OWNER, base
from trio_chat.cluster.opening import oldest
from trio_chat.cluster.store import Store
from trio_chat.core.anonymous import anonymous, is_by
from trio_chat.core.codec import json_size
from trio_chat.core.effects import Now
from trio_chat.core.posting import ENTRY_HEAD
from trio_chat.core.records import ForgetRecord

log = logging.getLogger(__name__)
ROOMS = 64  # that are looked at in one slice
HEADS = 512  # entries, likewise
PATROL_EVERY = 60.0  # seconds, at least, between two rounds for what became too old
ERASE_EVERY = 20.0  # seconds, at least, between two rewritings of the server's files
RETRY = 30.0  # seconds from an upkeep that failed to the next
ERASED_BYTES = json_size("") + ENTRY_HEAD
_decode = msgspec.json.Decoder(ForgetRecord).decode


@attrs.define(eq=False)
class _Forgetting:
    """Who is being forgotten, and how far that is: in which rooms it is to be done, and in the first from where."""

    value: bytes  # the record, as it is kept
    record: ForgetRecord
    rooms: list[str]
    seq: int = 0
    authors: dict[str, None] = attrs.field(factory=dict)  # ids, in this room
    changed: int = 0


class Upkeep:
    """Jobs that are done while nothing else is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._patrol_at = self._erase_at = self._at = -1e9  # monotonic
        self._patrol: list[str] = []  # rooms that this round has not looked at yet
        self._forgetting: _Forgetting | None = None

    @property
    def due(self) -> float:
        """When there is more, after a `slice` that found nothing; monotonic seconds."""
        return max(self._at, min(self._patrol_at, self._erase_at if self._store.erased else math.inf))

    async def slice(self, now: Now) -> bool:
        """Do the next thing there is to do. Returns whether there may be more. Cancelled: it may be done, or not.

        Raises:
            LostError: see there.
        """
        if self._store.trouble is not None or now.mono < self._at:
            return False
        try:
            return await self._sweep(now) or await self._forget() or await self._look(now) or await self._erase(now)
        except (UnreachableError, BrokenError) as error:
            self._store.failed(f"the server does not answer: {error}", now)
            return False
        except RedisError as error:
            self._at = now.mono + RETRY
            log.warning("log: upkeep failed, and waits %d s: %s", RETRY, why(error))
            return False

    # --- What is too old, or too much --------------------------------------------------------------------------------

    async def _sweep(self, now: Now) -> bool:
        rooms = list(self._store.unswept)[:ROOMS]
        await self._tidy(rooms, now)
        return bool(rooms)

    async def _look(self, now: Now) -> bool:
        """Look at all rooms, some at a time, for what nobody asks for any longer and is too old."""
        if not self._patrol:
            if now.mono < self._patrol_at:
                return False
            self._patrol_at = now.mono + PATROL_EVERY
            self._patrol = list(self._store.rooms)
        rooms, self._patrol = self._patrol[:ROOMS], self._patrol[ROOMS:]
        await self._tidy(rooms, now)
        return bool(self._patrol) or bool(self._store.unswept)

    async def _tidy(self, rooms: list[str], now: Now) -> None:
        store = self._store
        if not rooms:
            return
        asked = (store.claimed.fence, store.history.history_limit, oldest(store.history, now.wall), repr(now.wall))
        replies = await store.ask([script(scripts.TIDY, (OWNER, base(room)), *asked) for room in rooms])
        for room, (word, *more) in zip(rooms, replies, strict=True):
            store.unswept.pop(room, None)
            if word == b"ok" and more[0]:
                store.unswept[room] = None  # behind the others

    # --- Forgetting --------------------------------------------------------------------------------------------------

    async def _forget(self) -> bool:
        """Forget whoever is to be forgotten, a slice of a room at a time. A process that dies leaves it to the next."""
        if self._forgetting is None:
            if not self._store.forgetting:
                return False
            self._store.forgetting = False
            self._forgetting = await self._whom()
            return self._forgetting is not None
        one = self._forgetting
        if one.rooms:
            await self._forget_in(one, one.rooms[0])
            return True
        (reply,) = await self._store.ask(
            [script(scripts.DONE, (OWNER, KEPT), self._fence, _field(one.record), one.value)]
        )
        self._forgetting = None
        self._store.forgetting = self._store.erased = True  # there may be others
        if reply[1]:
            log.info("log: a user is forgotten; entries changed: %d; the last traces go within a minute", one.changed)
        return True

    @property
    def _fence(self) -> str:
        return self._store.claimed.fence

    async def _whom(self) -> _Forgetting | None:
        """Whoever is first. What is not settled is not ours yet."""
        cursor, found = b"0", dict[bytes, bytes]()
        while True:
            match = f"{ForgetRecord.kind}\n*".encode()
            ((cursor, some),) = await self._store.ask(
                [(b"HSCAN", KEPT.encode(), cursor, b"MATCH", match, b"COUNT", b"500")]
            )
            found.update(zip(some[::2], some[1::2], strict=True))
            if cursor == b"0":
                break
        for _, value in sorted(found.items()):
            record = _decode(value)
            if record.settled:
                return _Forgetting(value, record, list(self._store.rooms))
        return None

    async def _forget_in(self, one: _Forgetting, room: str) -> None:
        store, record = self._store, one.record
        spans = script(scripts.SPANS, (OWNER, base(room)), self._fence, store.history.history_limit, "-1")
        ((word, *said),) = await store.ask([spans])
        last, swept = (said[2], said[3]) if word == b"ok" else (0, 1)
        low = max(one.seq, swept)
        high = min(low + HEADS - 1, last)
        if low <= high:
            ((_, rows),) = await store.ask([script(scripts.HEADS, (OWNER, base(room)), self._fence, low, high)])
            calls = [
                (self._fence, ERASED_BYTES, seq, *change)
                for seq, head in rows
                if (change := _change(one, record, head)) is not None
            ]
            if calls:
                one.changed += len(calls)
                await store.ask([script(scripts.ANONYMOUS, (OWNER, base(room)), *call) for call in calls])
        if high < last:
            one.seq = high + 1
            return
        await store.ask([script(scripts.UNKEY, (OWNER, base(room)), self._fence, record.key, *one.authors)])
        one.seq = 0
        one.authors.clear()
        one.rooms.pop(0)

    # --- Erasing -----------------------------------------------------------------------------------------------------

    async def _erase(self, now: Now) -> bool:
        """What was deleted must not stay in the files of the server, if it has any: it writes them anew."""
        if not self._store.erased or now.mono < self._erase_at:
            return False
        self._erase_at = now.mono + ERASE_EVERY
        (about, saves) = await self._store.link.call([(b"INFO", b"persistence"), (b"CONFIG GET", b"save")])
        calls: list[Call] = []
        if isinstance(about, RedisError) or b"aof_enabled:1" in _text(about):
            calls.append((b"BGREWRITEAOF",))
        if isinstance(saves, RedisError) or b"" not in _values(saves):
            calls.append((b"BGSAVE", b"SCHEDULE"))
        self._store.erased = False
        for call, reply in zip(calls, await self._store.link.call(calls) if calls else (), strict=True):
            if isinstance(reply, RedisError):
                self._store.erased = True
                log.warning(
                    "log: deleted messages may still be in the server's files: %s: %s", call[0].decode(), why(reply)
                )
        return False


def _text(reply: Reply) -> bytes:
    return reply if isinstance(reply, bytes) else str(reply).encode()


def _values(reply: Reply) -> list[bytes]:
    return list(reply.values()) if isinstance(reply, dict) else list(reply[1::2])


def _field(record: ForgetRecord) -> str:
    return f"{record.kind}\n{record.key}"


def _change(one: _Forgetting, record: ForgetRecord, head: bytes) -> tuple[str | int, ...] | None:
    """What is to become of an entry; None: it has nothing to do with that."""
    old = draft_of(decode(head), " ")  # not empty, to see whether it is taken away
    new = anonymous(old, record)
    if new is old:
        return None
    own = is_by(old, record)
    if own:
        one.authors[old.author] = None
    return new.author, new.sender, new.to, new.emoji, int(new.remove), int(not new.content), int(own)
