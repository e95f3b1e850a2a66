"""Following one room, through lost connections and lost sessions: for programs that only want to hear it.

The client resumes by itself; but when its session is gone it is in the rooms of `Welcomed.rooms` only. A follower goes
back to its room then, and takes up what was said there since.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from trio_chat.client.events import Entry, Event, Lagged, Message, Welcomed
from trio_chat.client.positions import key_of
from trio_chat.core.messages import Position

if TYPE_CHECKING:
    from trio_chat.client.client import ChatClient

PAGE = 200  # entries: the most that the protocol gives at once


class Following:
    """What is logged in a room from now on, each entry once and in order; `Lagged` where some are no longer held.

    It joins the room first (a private conversation needs no joining), and takes all events of `client`: those of other
    rooms are passed over.
    """

    def __init__(self, client: ChatClient, room: str) -> None:
        self._client, self._room, self._key = client, room, key_of(room)
        self._private = room.startswith("@")
        self._in = self._private
        self._ready: deque[Entry | Lagged] = deque()
        self._after: int | None = None  # what was missed is still to be read, from here on
        self._read: Position | None = None  # where reading it left us: what comes live may be in it

    def __aiter__(self) -> Following:
        return self

    async def __anext__(self) -> Entry | Lagged:
        """The next entry. Cancelled: an event of another room may be lost.

        Raises:
            Refused: we may not come in, or not again.
            ConnectionEnded: the server said stop.
        """
        if not self._in:
            await self._client.join(self._room)
            self._in = True
        while not self._ready:
            if self._after is not None:
                await self._read_on(self._after)
            else:
                await self._take(await anext(self._client))
        return self._ready.popleft()

    async def _take(self, event: Event) -> None:
        if isinstance(event, Welcomed):
            lost = self._of(event.lost)
            if lost is not None and self._of(event.rooms) is not None:
                await self._look_back(lost)
            elif lost is not None and not self._private:
                await self._client.join(self._room, after=lost)
        elif isinstance(event, Entry | Lagged) and key_of(event.room) == self._key and not self._was_read(event):
            self._ready.append(event)

    async def _look_back(self, lost: Position) -> None:
        """Read what was missed, of a room that we are in: there, `join` replays nothing."""
        page = await self._client.history(self._room, after=lost.seq, limit=1)
        self._after = lost.seq
        if page.epoch != lost.epoch or page.first > lost.seq + 1:
            self._ready.append(Lagged(room=page.room, epoch=page.epoch, first=page.first, last=page.last))
            self._after = page.first - 1

    async def _read_on(self, after: int) -> None:
        page = await self._client.history(self._room, after=after, limit=PAGE)
        entries = [entry for entry in page.entries if isinstance(entry, Entry)]
        self._ready += entries
        self._after = None
        if entries:
            self._read = Position(epoch=page.epoch, seq=entries[-1].seq)
            self._after = entries[-1].seq if page.more else None

    def _was_read(self, event: Entry | Lagged) -> bool:
        read = self._read
        return isinstance(event, Entry) and read is not None and event.epoch == read.epoch and event.seq <= read.seq

    def _of(self, places: dict[str, Position]) -> Position | None:
        return next((place for room, place in places.items() if key_of(room) == self._key), None)


class Messages:
    """What others say in a room: of a `Following`, the messages that are not ours."""

    def __init__(self, client: ChatClient, room: str) -> None:
        self._client, self._following = client, Following(client, room)

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Message:
        """The next message; see `Following`."""
        while True:
            event = await anext(self._following)
            if isinstance(event, Message) and event.sender != self._client.user:
                return event
