"""`trio-chat connect --plain`: lines in, lines out, for pipes.

run                          until stdin is at its end and all is acked; with `follow`, until it is told to stop
 ├─ recall                   the last entries ─► stdout, before anything else
 ├─ say                      stdin ─► the room, one line at a time: each waits for its ack
 ├─ hear                     the room ─► stdout, a line a message
 ├─ reader gone              ends it all when nobody reads stdout any more, also where nothing is said
 └─ told                     SIGTERM ends it all

Files are read and written in threads, by number: a pipe that waits stops nobody else, and a process that ends leaves no
lock behind.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from contextlib import aclosing

import attrs
import trio

from trio_chat.cli_log import printable
from trio_chat.client import ChatClient, ConnectionEnded, Lagged, Message, OutcomeUnknown, Refused
from trio_chat.client.following import Following
from trio_chat.terminal.lines import Line, LineError, read_lines
from trio_chat.terminal.login import Login
from trio_chat.terminal.words import harmless

CHUNK = 65_536  # bytes
FAILED, TERMINATED = 1, 128 + signal.SIGTERM  # exit codes


class OutputGoneError(Exception):
    """Nobody reads stdout any more."""


@attrs.frozen(kw_only=True)
class Plain:
    """What is asked for.

    Args:
        login: where, and as whom.
        room: where lines go and come from; `@name` for a private conversation.
        follow: go on when stdin is at its end.
        json: an object a message, for programs.
        last: so many entries of the past are shown first, 0-200.
        timeout: seconds that a line waits for its ack.
    """

    login: Login
    room: str = "general"
    follow: bool = False
    json: bool = False
    last: int = 0
    timeout: float = 60.0


def run(plain: Plain) -> int:
    """Talk, and return the exit code: 0 when all lines were acked. What is wrong is one line on stderr."""
    return trio.run(talk, plain)


async def talk(plain: Plain) -> int:
    """See `run`. Cancelled: lines that were not acked may be posted or not."""
    failure: BaseException | None = None
    code = 0
    try:
        async with plain.login.open() as client, trio.open_nursery() as tasks:
            told = Talk(plain, client)
            tasks.start_soon(told.until_reader_gone)
            tasks.start_soon(told.until_terminated, tasks.cancel_scope)
            await told.recall()
            tasks.start_soon(told.hear)
            await told.say()
            if not plain.follow:
                tasks.cancel_scope.cancel()
        code = told.code
    except* (LineError, OutputGoneError, Refused, OutcomeUnknown, ConnectionEnded, OSError) as group:
        failure = _first(group)
    if failure is None:
        return code
    if not isinstance(failure, OutputGoneError):
        complain(_words(failure, plain))
    return FAILED


class Talk:
    """One run, over one client."""

    def __init__(self, plain: Plain, client: ChatClient) -> None:
        self.code = 0
        self._plain, self._client = plain, client
        self._sending = trio.Lock()  # held until a line's place is known, so that our own copy is known, too
        self._posted: set[int] = set()
        self._shown = 0  # the last entry of the past that was printed

    async def say(self) -> None:
        """Send what stdin says. Cancelled: the line that waits for its ack may be posted or not.

        Raises:
            LineError: a line was not acked.
        """
        empty = 0
        async with aclosing(read_lines(_read_stdin)) as lines:
            async for line in lines:
                if line.data:
                    await self._post(line)
                else:
                    empty += 1
        if empty:
            complain(f"{empty} empty {'line was' if empty == 1 else 'lines were'} left out")

    async def _post(self, line: Line) -> None:
        text, room = line.text, self._plain.room
        while True:
            try:
                async with self._sending:
                    with trio.fail_after(self._plain.timeout):
                        if room.startswith("@"):
                            posted = await self._client.send_private(room[1:], text)
                        else:
                            posted = await self._client.send_message(text, room)
                    self._posted.add(posted.seq)
                return
            except trio.TooSlowError:
                seconds = f"{self._plain.timeout:g} s"
                raise LineError(f"line {line.number}: no answer within {seconds}; it may be posted or not") from None
            except OutcomeUnknown as error:
                raise LineError(f"line {line.number} may be posted or not: {error}") from None
            except Refused as refused:
                if refused.retry_after is None:
                    raise LineError(f"line {line.number} was refused: {refused}") from None
                await trio.sleep(refused.retry_after)

    async def hear(self) -> None:
        """Print what others say, and what we say elsewhere; see `Following`. Cancelled: a line may be half printed."""
        shown = self._shown
        async for event in Following(self._client, self._plain.room):
            if isinstance(event, Lagged):
                complain(f"entries {event.first} to {event.last} of {event.room} may be missing")
                shown = 0
            elif isinstance(event, Message) and event.seq > shown and not await self._own(event):
                await _print(self._line(event))

    async def recall(self) -> None:
        """Print the last entries, if they are asked for. Cancelled: a line may be half printed."""
        if not self._plain.last:
            return
        if not self._plain.room.startswith("@"):
            await self._client.join(self._plain.room)
        page = await self._client.history(self._plain.room, limit=self._plain.last)
        for entry in page.entries:
            if isinstance(entry, Message):
                await _print(self._line(entry))
        self._shown = page.last

    async def _own(self, event: Message) -> bool:
        """Whether it is a line of this run."""
        if event.sender != self._client.user:
            return False
        async with self._sending:
            return event.seq in self._posted

    def _line(self, event: Message) -> str:
        if not self._plain.json:
            return harmless(f"{event.sender}: {event.content}")
        fields = attrs.asdict(event)
        return json.dumps({name: value for name, value in fields.items() if value not in (None, {})})

    async def until_reader_gone(self) -> None:
        """Wait until the reading end of stdout is closed, where that is a pipe.

        Raises:
            OutputGoneError: it is.
        """
        if sys.stdout is not None and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            await trio.lowlevel.wait_readable(sys.stdout.fileno())  # of a writing end: when that is an error
            raise OutputGoneError

    async def until_terminated(self, tasks: trio.CancelScope) -> None:
        """SIGTERM ends the run, which closes the connection."""
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self.code = TERMINATED
                tasks.cancel()


def complain(line: str) -> None:
    """One line on stderr."""
    if sys.stderr is not None:
        print(printable(line), file=sys.stderr)


async def _read_stdin() -> bytes:
    """The next piece of stdin; empty at its end. Cancelled: what comes next may be lost."""
    if sys.stdin is None:
        return b""
    try:
        return await trio.to_thread.run_sync(os.read, sys.stdin.fileno(), CHUNK, abandon_on_cancel=True)
    except OSError as error:
        raise LineError(f"stdin: {error.strerror}") from None


async def _print(line: str) -> None:
    """Write a line to stdout. Cancelled: half of it may be written.

    Raises:
        OutputGoneError: nobody reads it.
        LineError: it cannot be written.
    """
    if sys.stdout is None:
        return
    data = memoryview(f"{line}\n".encode())
    try:
        while data:
            written = await trio.to_thread.run_sync(os.write, sys.stdout.fileno(), data, abandon_on_cancel=True)
            data = data[written:]
    except BrokenPipeError:
        raise OutputGoneError from None
    except OSError as error:
        raise LineError(f"stdout: {error.strerror}") from None


def _words(failure: BaseException, plain: Plain) -> str:
    """What went wrong, for people."""
    if isinstance(failure, ConnectionEnded):
        whose = f" for {plain.login.name} (--name says another)" if plain.login.name else ""  # perhaps this system's
        return f"{plain.login.url}: the server ended it{whose}: {failure}"
    if isinstance(failure, OSError):
        return f"{plain.login.url}: cannot be reached: {failure.strerror or failure}"
    if isinstance(failure, Refused):
        return f"{plain.room}: {failure}"
    return str(failure)


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
