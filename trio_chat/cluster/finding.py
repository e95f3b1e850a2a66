"""Searching a log on a Redis server: it has no index, so what may hold a word is looked through, room by room.

The server leaves out what certainly does not hold the longest of the words, the newest is looked at first, and a search
that takes more than `SEARCH_SECONDS` fails.
"""

from __future__ import annotations

import heapq
import logging
from typing import Any, TypeAlias

import attrs
import trio
from coredis.exceptions import RedisError

from trio_chat.cluster import scripts
from trio_chat.cluster.heads import decode, entry_of
from trio_chat.cluster.link import BrokenError, UnreachableError, script
from trio_chat.cluster.lua import OWNER, base
from trio_chat.cluster.opening import oldest
from trio_chat.cluster.store import Store
from trio_chat.core.effects import Entry, Failed, Found, Now, Search
from trio_chat.core.words import words_of
from trio_chat.log import SHOWN_USERS
from trio_chat.log.marks import shown_size

log = logging.getLogger(__name__)
SEARCH_SECONDS = 2.0
LOOK_BYTES = 256 * 1024  # that the server looks through in one go, 100 of an entry without a word included: 2 ms

Place: TypeAlias = tuple[float, int, int]  # time, room number, seq


@attrs.define(eq=False)
class _Room:
    """A room that is looked through: hits that were found and not yet taken, and where it goes on."""

    number: int
    key: str
    epoch: str
    first: int
    next: int
    ordered: bool  # times are in the order of seq
    hits: list[tuple[Place, Entry]] = attrs.field(factory=list)

    @property
    def done(self) -> bool:
        return self.next < self.first


async def search(store: Store, request: Search, now: Now) -> Found | Failed:
    """Answer a search. Cancelled: it has no answer."""
    with trio.move_on_after(SEARCH_SECONDS):
        try:
            return await _search(store, request, now)
        except (UnreachableError, BrokenError, RedisError) as error:
            log.warning("log: a search failed: %s", error)
            return Failed(request)
    log.warning("log: a search failed: it took more than %g s", SEARCH_SECONDS)
    return Failed(request)


async def _search(store: Store, request: Search, now: Now) -> Found:
    rooms = await _rooms(store, request, now) if request.words else []
    for room in rooms:
        await _fill(store, room, request)
    heap = [(_first(room), room.number, room) for room in rooms if room.hits]
    heapq.heapify(heap)
    taken: list[tuple[str, Entry]] = []
    size = 0
    while heap:
        *_, room = heapq.heappop(heap)
        _, entry = room.hits.pop(0)
        shown = await _with_reactions(store, room, entry, now)
        if shown is not None:  # else it was deleted meanwhile
            size += shown_size(shown)
            if len(taken) == request.limit or (size > request.max_bytes and taken):
                return Found(request, tuple(taken), more=True)
            taken.append((room.key, shown))
        await _fill(store, room, request)
        if room.hits:
            heapq.heappush(heap, (_first(room), room.number, room))
    return Found(request, tuple(taken))


def _first(room: _Room) -> tuple[float, int, int]:
    at, number, seq = room.hits[0][0]
    return -at, -number, -seq  # the newest is the least


async def _rooms(store: Store, request: Search, now: Now) -> list[_Room]:
    asked = (store.claimed.fence, store.history.history_limit, oldest(store.history, now.wall))
    replies = await store.ask([script(scripts.SPANS, (OWNER, base(key)), *asked) for _, key, _ in request.rooms])
    found = []
    for (number, key, epoch), (word, *said) in zip(request.rooms, replies, strict=True):
        if word == b"ok" and said[0].decode() == epoch:
            _, first, last, _, disorder = said
            found.append(_Room(number, key, epoch, first, last, ordered=disorder < first))
    return found


async def _fill(store: Store, room: _Room, request: Search) -> None:
    """See to it that the room's next hit is known, if there is one."""
    word = max(request.words, key=len)
    while not room.done and not (room.hits and room.ordered):
        look = script(
            scripts.LOOK, (OWNER, base(room.key)), store.claimed.fence, room.next, room.first, LOOK_BYTES, word
        )
        ((_, reached, found),) = await store.ask([look])
        room.next = reached - 1
        for seq, head, content in found:
            place = decode(head).at, room.number, seq
            if (request.before is None or place < request.before) and _holds(content.decode(), request.words):
                room.hits.append((place, entry_of(seq, room.epoch, head, content, [])))
    if not room.ordered:
        room.hits.sort(key=lambda hit: hit[0], reverse=True)


def _holds(content: str, words: tuple[str, ...]) -> bool:
    return set(words).issubset(words_of(content))


async def _with_reactions(store: Store, room: _Room, entry: Entry, now: Now) -> Entry | None:
    """The entry as it is now; None: it has not what was found any longer."""
    read = script(
        scripts.READ,
        (OWNER, base(room.key)),
        *(store.claimed.fence, store.history.history_limit, oldest(store.history, now.wall)),
        *(room.epoch, "after", entry.seq - 1, 1, 1, SHOWN_USERS),
    )
    ((word, *said),) = await store.ask([read])
    rows: list[Any] = said[2] if word == b"ok" else []
    if not rows or rows[0][0] != entry.seq:
        return None
    seq, head, content, reactions = rows[0]
    found = entry_of(seq, room.epoch, head, content, reactions)
    return None if found.erased or found.draft.content != entry.draft.content else found
