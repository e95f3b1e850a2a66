"""A model of the seed system's browser client, by its documented behaviour.

It offers no subprotocol, sends no `id` and never `join`. It takes an `error` whose content includes `Username` as
final. After any close but 1000 it waits, longer each time, and connects anew, by name: it knows of no session.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import attrs
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.frame_protocol import CloseReason

Frame: TypeAlias = dict[str, Any]
Dial: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
FIRST_DELAY, MAX_DELAY = 1.0, 30.0  # seconds before it comes back; doubled each time in vain
NO_CODE = int(CloseReason.NO_STATUS_RCVD)


@attrs.frozen
class Line:
    """One frame, sent or received, and when."""

    way: Literal["→", "←"]
    frame: Frame
    at: float


class SeedClient:
    """One user at a browser.

    Args:
        name: who it is.
        dial: opens a stream to the server.
        first_delay: seconds before it comes back for the first time.
    """

    def __init__(self, name: str, dial: Dial, *, first_delay: float = FIRST_DELAY) -> None:
        self.name = name
        self.lines: list[Line] = []
        self.closes: list[int | None] = []  # codes of its connections' ends, None where there was none
        self.rejected = False  # the name was taken: it asks its user for another
        self.connected = False
        self._dial, self._first_delay = dial, first_delay
        self._ws: WebSocketConnection | None = None
        self._hung_up: int | None = None
        self._news = trio.Event()

    async def run(self) -> None:
        """Connect, and come back, until it is rejected or done. Cancelled: the connection is lost without a close."""
        delay = self._first_delay
        while True:
            welcomed = await self._converse()
            if self.rejected or self.closes[-1] == 1000:
                return
            delay = self._first_delay if welcomed else min(2 * delay, MAX_DELAY)
            await trio.sleep(delay)

    async def _converse(self) -> bool:
        """One connection, to its end. Returns whether it was welcomed."""
        code = None
        try:
            stream = await self._dial()
            try:
                async with trio.open_nursery() as tasks:
                    code = await self._listen(tasks, stream)  # and until the server has closed the stream
            finally:
                await trio.aclose_forcefully(stream)
        except* (HandshakeError, OSError, trio.BrokenResourceError):
            pass  # refused, or not there at all
        if self._hung_up is not None:
            code, self._hung_up = self._hung_up, None
        welcomed = self.connected
        self.connected, self._ws = False, None
        self.closes.append(code)
        self._tell()
        return welcomed

    async def _listen(self, tasks: trio.Nursery, stream: trio.abc.Stream) -> int | None:
        """Open the WebSocket, and hear all there is. Returns the close code, if there is one."""
        self._ws = await wrap_client_stream(tasks, stream, "chat.example", "/ws")  # type: ignore[arg-type]
        try:
            await self.say("connect", username=self.name)
            while True:
                self._note(json.loads(await self._ws.get_message()))
        except ConnectionClosed as closed:
            return closed.reason.code if closed.reason else None

    async def say(self, type: str, **fields: Any) -> None:
        """Send one command. Cancelled: perhaps it was not sent, and the connection is broken.

        Raises:
            ConnectionClosed: it is over; what was typed stays unsent.
        """
        assert self._ws is not None, f"{self.name} is not connected"
        frame = {"type": type, **fields}
        self.lines.append(Line("→", frame, trio.current_time()))
        await self._ws.send_message(json.dumps(frame))

    async def hang_up(self, code: int = NO_CODE) -> None:
        """Close, as the browser does when its page says so: without a code by default. Cancelled: it is lost."""
        assert self._ws is not None, f"{self.name} is not connected"
        self._hung_up = code
        await self._ws.aclose(code=CloseReason.NO_STATUS_RCVD if code == NO_CODE else code)

    async def until(self, good: Callable[[], object]) -> None:
        """Wait until `good()`, which is asked at each frame and each close. Cancelled: nothing is lost."""
        while not good():
            await self._news.wait()

    def got(self, type: str, **fields: Any) -> list[Frame]:
        """The frames of `type` that came, with these `fields`."""
        wanted = {"type": type, **fields}
        return [line.frame for line in self.lines if line.way == "←" and line.frame == line.frame | wanted]

    @property
    def users(self) -> list[str]:
        """Who is there, by the last list that came."""
        users: list[str] = self.got("user_list")[-1]["users"]
        return users

    def _note(self, frame: Frame) -> None:
        self.lines.append(Line("←", frame, trio.current_time()))
        if frame["type"] == "error" and "Username" in frame["content"]:
            self.rejected = True
        if frame.get("content") == f"Welcome {self.name}!":
            self.connected = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()
