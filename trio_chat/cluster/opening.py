"""Taking over a log on a Redis server: whose it is, whether it is what the last process left, and all a start needs."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec
import trio
from coredis.exceptions import RedisError

from trio_chat.cluster import scripts
from trio_chat.cluster.link import BrokenError, Call, Link, Reply, UnreachableError, script, why
from trio_chat.cluster.lua import ANSWERS, KEPT, LEASE, OWNER, ROOMS, base
from trio_chat.config import History
from trio_chat.core.records import RECORDS, Record, Restored, Span
from trio_chat.log import LogError

log = logging.getLogger(__name__)
DAY = 86_400.0
LEASE_SECONDS: Final = 10.0  # after which a process that says nothing has the log no longer
AT_ONCE = 500  # rooms or records that are asked for in one go
_DECODERS = {record.kind: msgspec.json.Decoder(record) for record in RECORDS}


@attrs.frozen
class Claim:
    """A log that is ours. `fence`: what each script must say; `who`: what others are told."""

    fence: str
    who: str
    run: str  # of the server: another after each of its starts
    vouched: bool  # whether the log has noted that run
    restored: Restored
    unswept: tuple[str, ...] = ()  # rooms with something to do

    def held(self) -> Call:
        """Say that we live."""
        return script(scripts.RENEW, (OWNER, LEASE), self.fence, self.who, round(LEASE_SECONDS * 1000))


def oldest(history: History, wall: float) -> str:
    """From what time on an entry is held."""
    return repr(wall - history.history_days * DAY)


async def claim(link: Link, *, history: History, boot: str, wall: float, patience: float = LEASE_SECONDS) -> Claim:
    """Take the log over. A lease that a dead process left is waited for; see `Store.open`. Cancelled: it may be ours.

    Raises:
        LogError: another process has it, it is damaged or of a newer version, or the server cannot be reached.
    """
    who = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"
    try:
        fence, secret, known = await _own(link, who, patience)
        run = run_of((await _all(link, [ABOUT]))[0])
        rooms = sorted(await _members(link, ROOMS, b"SSCAN"))
        doubt = bool(known) and known != run
        if doubt:
            log.warning("log: the Redis was started anew since, and may have lost its end; all rooms get a new epoch")
            await _all(link, [script(scripts.EPOCH, (OWNER, base(room)), fence, f"{boot}-r{number}")
                              for number, room in enumerate(rooms, 1)])  # fmt: skip
        fresh: dict[str, str | bytes] = {}
        if not secret:
            secret = fresh["secret"] = secrets.token_bytes(32)
        if not doubt:
            fresh["run"] = run
        if fresh:
            fields = (part for pair in fresh.items() for part in pair)
            await _all(link, [script(scripts.NOTE, (OWNER,), fence, *fields)])
        spans, unswept = await _spans(link, fence, rooms, history, wall)
        records = await _records(link)
        restored = Restored(records=records, spans=spans, secret=secret, trusted=not doubt)
        return Claim(fence, who, run, not doubt, restored, tuple(unswept))
    except UnreachableError as error:
        raise LogError(f"the server cannot be reached: {error}") from None
    except BrokenError as error:
        raise LogError(f"the server does not answer: {error}") from None
    except RedisError as error:
        raise LogError(f"the server refuses: {why(error)}") from None


async def _all(link: Link, calls: Sequence[Call]) -> list[Reply]:
    """What the server says to each; its first error is raised, and that another has the log by now."""
    replies: list[Reply] = []
    for start in range(0, len(calls), AT_ONCE):
        replies += await link.call(calls[start : start + AT_ONCE])
    for one in replies:
        if isinstance(one, RedisError):
            raise one
        if isinstance(one, list) and one and one[0] == b"fenced":
            raise LogError("another process took it meanwhile")
    return replies


async def _own(link: Link, who: str, patience: float) -> tuple[str, bytes, str]:
    """Wait until nobody has it: that is what a process that was killed leaves, for as long as its lease lasts.

    One that lives says so long before: then the lease gets longer.
    """
    taking = script(scripts.CLAIM, (OWNER, LEASE, ANSWERS), who, round(LEASE_SECONDS * 1000), secrets.token_hex(8))
    deadline = trio.current_time() + patience + 1
    last, told = float("inf"), False
    while True:
        ((word, *said),) = await _all(link, [taking])
        if word == b"ok":
            fence, secret, run = said
            return fence.decode(), secret, run.decode()
        if word == b"version":
            raise LogError(f"it was written by a newer trio_chat: it has version {said[0].decode()}, known is 1")
        holder, left = said[0].decode(errors="replace"), said[1] / 1000
        if left > last or trio.current_time() > deadline:
            raise LogError(f"{holder} has it")
        if not told:
            log.info("log: %s had it last; if it is dead, its lease ends in %.0f s", holder, left)
            told = True
        last = left
        await trio.sleep(min(0.25, left))


ABOUT: Final[Call] = (b"INFO", b"server")


def run_of(about: Reply) -> str:
    """What the answer to `ABOUT` says of the run of the server."""
    text = about if isinstance(about, bytes) else str(about).encode()
    fields = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    return fields.get(b"run_id", b"").decode()


async def _members(link: Link, key: str, command: bytes) -> list[str]:
    cursor, found = b"0", dict[str, None]()
    while True:
        ((cursor, some),) = await _all(link, [(command, key.encode(), cursor, b"COUNT", b"%d" % AT_ONCE)])
        found |= dict.fromkeys(one.decode() for one in some)
        if cursor == b"0":
            return list(found)


async def _spans(
    link: Link, fence: str, rooms: Sequence[str], history: History, wall: float
) -> tuple[dict[str, Span], list[str]]:
    asked = (history.history_limit, oldest(history, wall))
    spans, unswept = {}, []
    for room, (word, *said) in zip(
        rooms,
        await _all(link, [script(scripts.SPANS, (OWNER, base(room)), fence, *asked) for room in rooms]),
        strict=True,
    ):
        if word != b"ok":
            raise LogError(f"it is damaged: the room {room!r} is not there")
        epoch, first, last, swept, _ = said
        spans[room] = Span(epoch=epoch.decode(), first=first, last=last)
        if swept < first:
            unswept.append(room)
    return spans, unswept


async def _records(link: Link) -> tuple[Record, ...]:
    """All that is kept, those of a kind together."""
    cursor, found = b"0", dict[bytes, bytes]()
    while True:
        ((cursor, some),) = await _all(link, [(b"HSCAN", KEPT.encode(), cursor, b"COUNT", b"%d" % AT_ONCE)])
        found.update(zip(some[::2], some[1::2], strict=True))
        if cursor == b"0":
            break
    records: dict[str, list[Record]] = {kind: [] for kind in _DECODERS}
    try:
        for field, value in sorted(found.items()):
            kind = field.split(b"\n", 1)[0].decode()
            records[kind].append(_DECODERS[kind].decode(value))
    except (msgspec.MsgspecError, ValueError, KeyError):
        raise LogError("it is damaged: a record in it is not what it should be") from None
    return tuple(record for of in records.values() for record in of)
