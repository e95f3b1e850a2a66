"""The events that wait for whoever iterates: bounded, and never waited for by an answer."""

from __future__ import annotations

from collections import deque

import attrs
import trio

from trio_chat.client.events import ConnectionEnded, Disconnected, Event, Welcomed


class Inbox:
    """At most `limit` events, and what one frame brings more.

    A full inbox takes news of the connection only as far as it must: a `Welcomed` that is no resume.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._events: deque[Event] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._error: ConnectionEnded | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._events)

    @property
    def full(self) -> bool:
        """Whether reading on has to wait."""
        return len(self._events) >= self.limit

    def put(self, event: Event) -> None:
        """Let an event wait. Never blocks."""
        if self.full and (isinstance(event, Disconnected) or (isinstance(event, Welcomed) and event.resumed)):
            return
        last = self._events[-1] if self._events else None
        if self.full and isinstance(event, Welcomed) and isinstance(last, Welcomed):
            event = attrs.evolve(event, lost=event.lost | last.lost)  # what it had first is where the user stands
            self._events.pop()
        self._events.append(event)
        self.stir()

    def close(self, error: ConnectionEnded | None) -> None:
        """Nothing comes any more: after what waits, `error` is raised, or the iteration ends where it is None."""
        self._closed, self._error = True, error
        self.stir()

    def stir(self) -> None:
        """Wake all who wait, to look again. Never blocks."""
        self._lot.unpark_all()

    async def changed(self) -> None:
        """Wait for the next change. Cancelled: nothing is lost."""
        await self._lot.park()

    async def get(self) -> Event:
        """The next event. Cancelled: nothing is lost.

        Raises:
            ConnectionEnded: nothing will come, as `close` said.
            trio.EndOfChannel: the same, and there was no error.
        """
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._error is not None:
                raise self._error.again()
            if self._closed:
                raise trio.EndOfChannel
            await self._lot.park()
        event = self._events.popleft()
        self.stir()
        return event
