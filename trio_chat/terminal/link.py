"""The client in a thread of its own, and how the screen talks with it.

Textual runs on asyncio, the client on Trio. As a guest of asyncio's loop, Trio would share its thread: a screen that is
slow to draw would hold up pings, and the shielded farewell would have to fit into Textual's end. In two threads neither
loop knows of the other, at the price of a rule:

    The Trio thread owns the client and the connection. The screen's thread owns the model and the widgets. Nothing that
    can change is ever shared: what crosses is a frozen event or answer this way, and a function of the client that way.

Events cross by `call_soon_threadsafe`, functions by the Trio token; neither waits for the other side. At most
`ON_THE_WAY` events are under way: a screen that is slow slows the reading, and the server holds the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import trio

from trio_chat.client import ChatClient, ConnectionEnded, Event
from trio_chat.terminal.login import Login

ON_THE_WAY = 100
LEAVE_SECONDS = 5.0  # a daemon: a thread that does not end holds up nobody
T = TypeVar("T")
Command = Callable[[ChatClient], Awaitable[T]]
GONE = ConnectionEnded(None, "there is no connection")


class Link:
    """Made, started, asked and stopped by the screen's thread.

    Args:
        login: where, and as whom.
        tell: is called in the screen's loop with each event, and in the end with the exception that ended it all. Each
            event is to be answered by one `taken`.
    """

    def __init__(self, login: Login, tell: Callable[[Event | Exception], object]) -> None:
        self._login, self._tell = login, tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="chat client", daemon=True)
        self._ready = threading.Event()
        self._trio: trio.lowlevel.TrioToken | None = None
        # Of the Trio thread:
        self._client: ChatClient | None = None
        self._tasks: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._room = trio.Semaphore(ON_THE_WAY)

    def start(self) -> None:
        """Begin to connect; called in the screen's loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._ready.wait()

    async def ask(self, command: Command[T]) -> T:
        """Run a function of the client in its thread, and wait for its answer. Cancelled: as that function.

        Raises:
            Exception: what the function raises; `ConnectionEnded` where there is no client.
        """
        assert self._loop is not None
        answer: asyncio.Future[T] = self._loop.create_future()
        scope = trio.CancelScope()
        self._in_trio(lambda: self._begin(command, answer, scope), lambda: answer.set_exception(GONE.again()))
        try:
            return await answer
        finally:
            self._in_trio(scope.cancel)

    def taken(self) -> None:
        """An event was taken: the next one may come."""
        self._in_trio(self._room.release)

    async def stop(self) -> None:
        """Leave: the connection is closed within 4 seconds, and the thread ends; this waits no longer than 5."""
        self._in_trio(self._scope.cancel)
        await asyncio.to_thread(self._thread.join, LEAVE_SECONDS)

    def _in_trio(self, do: Callable[[], object], otherwise: Callable[[], object] = lambda: None) -> None:
        assert self._trio is not None
        try:
            self._trio.run_sync_soon(do)
        except trio.RunFinishedError:
            otherwise()

    # --- The Trio thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            trio.run(self._talk)
        except BaseException as error:
            self._in_screen(self._tell, _first(error))

    async def _talk(self) -> None:
        self._trio = trio.lowlevel.current_trio_token()
        self._ready.set()
        with self._scope:
            async with self._login.open() as client, trio.open_nursery() as tasks:
                self._client, self._tasks = client, tasks
                async for event in client:
                    await self._room.acquire()
                    self._in_screen(self._tell, event)

    def _begin(self, command: Command[T], answer: asyncio.Future[T], scope: trio.CancelScope) -> None:
        if self._client is None or self._tasks is None:
            self._in_screen(_fail, answer, GONE.again())
            return
        try:
            self._tasks.start_soon(self._perform, command, self._client, answer, scope)
        except RuntimeError:  # it is being wound up
            self._in_screen(_fail, answer, GONE.again())

    async def _perform(
        self, command: Command[T], client: ChatClient, answer: asyncio.Future[T], scope: trio.CancelScope
    ) -> None:
        outcome = partial(_fail, answer, GONE.again())  # where it is cancelled
        try:
            with scope:
                outcome = partial(_answer, answer, await command(client))
        except Exception as error:
            outcome = partial(_fail, answer, error)
        finally:
            self._in_screen(outcome)

    def _in_screen(self, do: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the screen has gone, and its loop is closed
            self._loop.call_soon_threadsafe(do, *arguments)


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _first(error: BaseException) -> Exception:
    """The exception that a group is about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
