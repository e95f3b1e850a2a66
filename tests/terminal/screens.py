"""Screens for tests: the app under Textual's own pilot, with a real client to a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
from textual.pilot import Pilot

from tests.e2e.process import Server
from trio_chat.terminal.app import ChatApp
from trio_chat.terminal.login import Login
from trio_chat.terminal.room import Room

from .conftest import SECONDS


@attrs.frozen
class Screen:
    """One person at a terminal."""

    app: ChatApp
    pilot: Pilot[str]

    @property
    def room(self) -> Room:
        """What is looked at."""
        return self.app.model.current

    @property
    def text(self) -> str:
        """What is shown of it."""
        return self.app.talk.text

    @property
    def status(self) -> str:
        """The connection in words."""
        return str(self.app.status.render())

    @property
    def typing(self) -> str:
        """Who types."""
        return str(self.app.typing.render())

    @property
    def members(self) -> str:
        """Who is there."""
        return str(self.app.members.render())

    @property
    def listed(self) -> list[str]:
        """The list of rooms."""
        return [str(option.prompt).strip("▸ ") for option in self.app.rooms.options]

    async def until(self, good: Callable[[], object]) -> None:
        """Wait until `good()`."""
        try:
            async with asyncio.timeout(SECONDS):
                while not good():
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"it never came: {self.status}\n{self.listed}\n{self.text}") from None

    async def enter(self, typed: str) -> None:
        """Type a line."""
        self.app.line.value = typed
        await self.pilot.press("enter")

    async def shows(self, *words: str) -> None:
        """Wait until all of this is shown."""
        await self.until(lambda: all(word in self.text for word in words))


@asynccontextmanager
async def screen(
    server: Server, name: str, room: str = "general", size: tuple[int, int] = (100, 30)
) -> AsyncIterator[Screen]:
    """Somebody who came in and sees the room."""
    app = ChatApp(Login(url=server.url, name=name), room)
    async with app.run_test(size=size) as pilot:
        one = Screen(app, pilot)
        await one.until(lambda: one.room.loaded)
        yield one
