"""What a program has of the client: `open_chat_client`, and the `ChatClient` that it gives."""

from __future__ import annotations

import random
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from trio_chat.client.connection import Target, dial
from trio_chat.client.driver import Driver
from trio_chat.client.events import Event, HistoryPage, Joined, Message, Posted, RoomPage, SearchPage, UserList
from trio_chat.client.following import Messages
from trio_chat.client.inbox import Inbox
from trio_chat.client.session import ChatSession
from trio_chat.client.welcome import Account, Backoff
from trio_chat.core.messages import JUDGES, Position

INBOX = 1000  # events
MAX_MESSAGE = 2**24  # characters
TIMEOUT = 15.0  # seconds
KEY_BYTES = 16


def make_key() -> str:
    """A key that no other message has."""
    return secrets.token_urlsafe(KEY_BYTES)


ACTIONS = tuple(judge.type for judge in JUDGES)


class ChatClient:
    """A connected client: `async for event in client` gives what happens, its methods are the commands.

    A command waits for its answer, also over a lost connection and the next one. Any number of tasks may call; each
    event goes to one of those that iterate.

    All commands raise:
        Refused: the server answered with an error; nothing was done.
        OutcomeUnknown: see there (`send_message` and `send_private` only).
        ConnectionEnded: the connection is over for good.
        ValueError: a text holds half a surrogate pair.

    Cancelled, a command that was not sent never is; one that was sent may be done or not. What only asks loses nothing.
    """

    def __init__(self, driver: Driver, new_key: Callable[[], str]) -> None:
        self._driver, self._ask, self._new_key = driver, driver.ask, new_key

    @property
    def user(self) -> str:
        """Our name, as the server writes it."""
        return self._driver.session.user

    def __aiter__(self) -> ChatClient:
        return self

    async def __anext__(self) -> Event:
        """The next event; the iteration ends when the context is left. Cancelled: nothing is lost.

        Raises:
            ConnectionEnded: the server said stop.
        """
        try:
            return await self._driver.inbox.get()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def messages(self, room: str = "general") -> AsyncIterator[Message]:
        """What others say in a room from now on: it is joined, and again where the session was lost.

        `room` may be `@name`, the private conversation with `name`. All other events are passed over. See `Following`,
        also for what the iteration raises.
        """
        return Messages(self, room)

    async def send_message(
        self, content: str, room: str = "general", *, reply_to: int | None = None, key: str | None = None
    ) -> Posted:
        """Post to a room, joining (and creating) it first. It is in the log when this returns.

        `reply_to`: the `seq` of what it answers. `key` (1-64 characters; one is made where it is None): the same key
        and content again, also from another call, are posted once (within the server's `dedupe_window`).
        """
        fields = {"content": content, "room": room, "reply_to": reply_to, "key": key or self._new_key()}
        return await self._ask("message", **fields)  # type: ignore[no-any-return]

    async def send_private(
        self, to: str, content: str, *, reply_to: int | None = None, key: str | None = None
    ) -> Posted:
        """Post to the private conversation with the user `to`: the room `@` + `to`. Else as `send_message`."""
        fields = {"to": to, "content": content, "reply_to": reply_to, "key": key or self._new_key()}
        return await self._ask("private", **fields)  # type: ignore[no-any-return]

    async def join(self, room: str, after: Position | None = None) -> Joined:
        """Join a room, creating it if need be. With `after`, what was missed since then comes as events.

        Where one is in the room already, nothing changes.
        """
        return await self._ask("join", room=room, after=after)  # type: ignore[no-any-return]

    async def leave(self, room: str) -> None:
        """Leave a room; nothing of it comes after this."""
        await self._ask("leave", room=room)

    async def history(
        self, room: str = "general", *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> HistoryPage:
        """Entries of a room we are in: those before or after a `seq` (not both), or the newest.

        `limit`: 1-200, 50 where it is None; there may be fewer (`more` says so).
        """
        return await self._ask("history", room=room, before=before, after=after, limit=limit)  # type: ignore[no-any-return]

    async def search(
        self, query: str, room: str | None = None, *, limit: int | None = None, cursor: str | None = None
    ) -> SearchPage:
        """Messages with all the words of `query`, in one room or in all that we are in, the newest first."""
        return await self._ask("search", query=query, room=room, limit=limit, cursor=cursor)  # type: ignore[no-any-return]

    async def rooms(self, *, mine: bool = False, limit: int | None = None, cursor: str | None = None) -> RoomPage:
        """Rooms that there are, or that we are in; `cursor` of a page leads to the next one."""
        return await self._ask("rooms", mine=mine, limit=limit, cursor=cursor)  # type: ignore[no-any-return]

    async def users(self, room: str = "general", *, limit: int | None = None, cursor: str | None = None) -> UserList:
        """Who is present in a room we are in; `cursor` of a page leads to the next one."""
        return await self._ask("users", room=room, limit=limit, cursor=cursor)  # type: ignore[no-any-return]

    async def edit(self, room: str, seq: int, content: str) -> None:
        """Replace the content of a message of ours."""
        await self._ask("edit", room=room, seq=seq, content=content)

    async def delete(self, room: str, seq: int) -> None:
        """Delete a message of ours, for good."""
        await self._ask("delete", room=room, seq=seq)

    async def react(self, room: str, seq: int, emoji: str, *, remove: bool = False) -> None:
        """React to a message, or take that back."""
        await self._ask("react", room=room, seq=seq, emoji=emoji, remove=remove or None)

    async def mark_read(self, room: str, seq: int) -> None:
        """We have read a room up to `seq`; it only moves forward."""
        await self._ask("read", room=room, seq=seq)

    async def set_topic(self, room: str, topic: str) -> None:
        """Set the topic of a room; an empty one takes it away."""
        await self._ask("topic", room=room, topic=topic)

    async def moderate(
        self, action: str, room: str, user: str, *, reason: str | None = None, duration: float | None = None
    ) -> None:
        """Do to a user in a room what its owner or a moderator may.

        `action`: `kick`, `mute`, `unmute`, `ban`, `unban`, `promote` or `demote`. `reason`: at most 250 characters.
        `duration`: seconds that a mute or a ban holds; None: for good.

        Raises:
            ValueError: there is no such action.
        """
        if action not in ACTIONS:
            raise ValueError(f"action must be one of {', '.join(ACTIONS)}")
        await self._ask(action, room=room, user=user, reason=reason, duration=duration)

    async def set_room(
        self, room: str, *, kind: str | None = None, slow_mode: float | None = None, receipts: bool | None = None
    ) -> None:
        """Set who comes into a room of ours and speaks there (`public`, `private`, `readonly`), and how fast.

        `slow_mode`: seconds between two messages of one member, 0 for none. `receipts`: members hear who has read.
        """
        await self._ask("room", room=room, kind=kind, slow_mode=slow_mode, receipts=receipts)

    async def invite(self, room: str, user: str) -> None:
        """Let a user come into a private room that we own or moderate."""
        await self._ask("invite", room=room, user=user)

    async def block(self, user: str) -> None:
        """Hear nothing more in private of a user, who is not told."""
        await self._ask("block", user=user)

    async def unblock(self, user: str) -> None:
        """Hear of a user again."""
        await self._ask("unblock", user=user)

    async def change_password(self, password: str, new_password: str) -> None:
        """Set a new password of our account; that ends our other sessions.

        Raises:
            OutcomeUnknown: the answer was lost, and the old password is not good any more: it may be this.
        """
        await self._ask("password", password=password, new_password=new_password)

    async def typing(self, room: str = "general", *, typing: bool = True) -> None:
        """Tell those in a room, or in the conversation `@name`, that we are typing, or stopped. Never sent again."""
        target = {"to": room[1:]} if room.startswith("@") else {"room": room}
        await self._ask("typing", **target, isTyping=typing)

    async def ping(self) -> float:
        """Seconds that the server took to answer."""
        started = trio.current_time()
        await self._ask("ping")
        return trio.current_time() - started


@asynccontextmanager
async def open_chat_client(
    url: str,
    username: str | None = None,
    *,
    token: str | Callable[[], str | Awaitable[str]] | None = None,
    password: str | None = None,
    register: bool = False,
    wait: bool = False,
    inbox: int = INBOX,
    tls: ssl.SSLContext | None = None,
    backoff: Backoff | None = None,
    timeout: float = TIMEOUT,
    max_message: int = MAX_MESSAGE,
    new_key: Callable[[], str] = make_key,
    jitter: Callable[[], float] = random.random,
    connect: Callable[[], Awaitable[trio.abc.Stream]] | None = None,
) -> AsyncIterator[ChatClient]:
    """Connect, and stay connected within the `async with` block; leaving it closes the connection within 4 seconds.

    Args:
        url: `ws://` or `wss://`; where it has no path, that is `/ws`.
        username: the name to take; it may be None with a token.
        token: proves who we are; a function, async or not, is asked for one before each connection, and before the last
            one expires.
        password: of the account `username`.
        register: make that account; once.
        wait: go on trying where the server cannot be reached at first, or is not ready.
        inbox: events that may wait for the iteration, before entries are left out and asked for again later.
        tls: for `wss://`; None checks certificates as the system does.
        backoff: how to come back; None: as the server says.
        timeout: seconds for each step of connecting (stream, upgrade, welcome).
        max_message: characters of the largest message to be taken; a larger one ends it all.
        new_key: makes the keys of messages.
        jitter: gives 0 ≤ number < 1, as `random.random` does.
        connect: opens a stream to the server in place of TCP and TLS; raises OSError where it cannot.

    Raises:
        ValueError: `url` is no WebSocket URL, `inbox` is no positive number, or a password has no username.
        OSError: the server cannot be reached (only at first, and without `wait`).
        ConnectionEnded: it does not let us in.
    """
    target = Target.of(url)
    if inbox < 1:
        raise ValueError("inbox must be at least 1")
    if password is not None and username is None:
        raise ValueError("a password needs a username")
    account = None if password is None or username is None else Account(username, password, register)

    async def get_token() -> str | None:
        given = token() if callable(token) else token
        return await given if isinstance(given, Awaitable) else given

    driver = Driver(
        ChatSession(username, proven=token is not None, account=account, backoff=backoff),
        target,
        dial=connect or partial(dial, target, tls),
        token=get_token,
        renews=callable(token),
        inbox=Inbox(inbox),
        max_message=max_message,
        timeout=timeout,
        random=jitter,
    )
    failure: BaseException
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.run, wait)
            try:
                await driver.enter()
                yield ChatClient(driver, new_key)
            finally:
                driver.leave()
        return
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        failure = group.exceptions[0]
    finally:
        driver.over()
    raise failure  # here, and not in the handler: it keeps its own cause and context
