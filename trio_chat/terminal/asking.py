"""What the screen asks of the server: wishes of the model, orders that were typed, messages that wait for their ack.

All of it is of the screen's thread; each command goes over the `Link`, as a function of the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

from trio_chat.client import ChatClient, ConnectionEnded, Message, OutcomeUnknown, Posted, Refused
from trio_chat.client.client import make_key
from trio_chat.terminal.link import Command, Link
from trio_chat.terminal.model import Join, ListRooms, Load, LookAround, Model, Ring, Wish
from trio_chat.terminal.orders import MODERATION, Order, Say, help_lines
from trio_chat.terminal.room import Room, Unsent, kept

PAGE = 50  # entries of history at once
LISTED = 200  # rooms, and people of a room: the most that the protocol gives at once
FOUND = 20  # hits of a search
T = TypeVar("T")
TROUBLE = (Refused, OutcomeUnknown, ConnectionEnded, ValueError)


class Touch(Protocol):
    """Called when something has changed."""

    def __call__(self, *, jump: bool = False) -> None:
        """`jump`: what is new at the bottom is to be seen."""


class Asking:
    """Asks, and puts the answers into the model. Nothing here raises: what goes wrong is a note on the screen."""

    TYPING_PAUSE = 3.0  # seconds between two words of it

    def __init__(self, link: Link, model: Model, touch: Touch) -> None:
        self._link, self._model, self._touch = link, model, touch
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()  # one after the other, in the order in which they were written
        self._loading: set[str] = set()

    def grant(self, wishes: Iterable[Wish]) -> bool:
        """Ask for what the model wants. Returns whether it wants to ring."""
        rings = False
        for wish in wishes:
            match wish:
                case Join():
                    self._go(self._join(wish.room, look=False))
                case Load():
                    self._go(self._load(self._model.room(wish.room)))
                case LookAround():
                    self._go(self._look_around(wish.room))
                case ListRooms():
                    self._go(self._list_rooms())
                case Ring():
                    rings = True
        return rings

    def look_at(self, room: str) -> None:
        """Show a room."""
        self.grant(self._model.show(room))
        self._touch(jump=True)

    def type(self) -> None:
        """Tell the room that we type."""
        room = self._model.current.name
        if self._model.online:
            self._go(self._quietly(lambda client: client.typing(room)))

    def mark_read(self) -> None:
        """Tell that the room was read, where that is new."""
        room = self._model.current
        if self._model.online and room.loaded and room.last > room.marked:
            room.marked = room.last
            self._go(self._quietly(lambda client: client.mark_read(room.name, room.last)))

    def older(self, came: Callable[[], None]) -> None:
        """Read what is before the oldest row; `came` is called when it is there."""
        room = self._model.current
        if self._model.online and room.loaded and room.more and room.first is not None:
            self._go(self._load(room, before=room.first, came=came))

    def obey(self, order: Order | Say) -> None:
        """Do what was typed."""
        if isinstance(order, Say):
            self._say(order.content)
        else:
            self._go(self._obey(order))

    # --- Orders -------------------------------------------------------------------------------------------------------

    async def _obey(self, order: Order) -> None:
        model, room, name = self._model, self._model.current, self._model.current.name
        match order.name:
            case "help":
                model.notes += help_lines()
            case "join":
                await self._join(order.text.removeprefix("#"), look=True)
            case "open":
                self._open(order.text)
            case "leave":
                await self._leave(order.text.removeprefix("#") or name)
            case "msg":
                self.look_at(f"@{order.word.removeprefix('@')}")
                if order.text:
                    self._say(order.text)
            case "me":
                self._say(f"* {model.user} {order.text}")
            case "retry":
                self._retry()
            case "drop":
                room.unsent = [one for one in room.unsent if one.trouble is None]
            case "rooms":
                await self._show_rooms()
            case "search":
                await self._search(order.text)
            case "topic":
                await self._tell(lambda client: client.set_topic(name, order.text))
            case "invite":
                await self._tell(lambda client: client.invite(name, order.word), f"{order.word} may come in")
            case "block":
                await self._tell(lambda client: client.block(order.word), f"{order.word} is not heard any more")
            case "unblock":
                await self._tell(lambda client: client.unblock(order.word), f"{order.word} is heard again")
            case verdict if verdict in MODERATION:
                reason = order.text or None
                await self._tell(lambda client: client.moderate(verdict, name, order.word, reason=reason))
            case _:
                await self._change(order, room)
        self._touch(jump=True)

    async def _change(self, order: Order, room: Room) -> None:
        """`reply`, `edit`, `delete`, `react`, `unreact`: what is done to a message."""
        own = order.name in ("edit", "delete")
        newest = room.newest(self._model.user if own else None)
        seq = order.number if order.number is not None else newest.seq if newest is not None else None
        if seq is None:
            self._model.notes.append("There is no message of yours here" if own else "There is no message here")
        elif order.name == "reply":
            self._say(order.text, reply_to=seq)
        elif order.name == "edit":
            await self._tell(lambda client: client.edit(room.name, seq, order.text))
        elif order.name == "delete":
            await self._tell(lambda client: client.delete(room.name, seq))
        else:
            remove = order.name == "unreact"
            await self._tell(lambda client: client.react(room.name, seq, order.word, remove=remove))

    def _open(self, typed: str) -> None:
        known = self._model.known(typed.removeprefix("#")) or self._model.known(f"@{typed}")
        if known is None:
            self._model.notes.append(f"You are not in {typed}. /join {typed} goes there.")
        else:
            self.look_at(known.name)

    async def _join(self, name: str, *, look: bool) -> None:
        if look:  # before the answer: what is typed next is meant for there
            self._model.show(name)
            self._touch(jump=True)
        joined = await self._ask(lambda client: client.join(name))
        if joined is None:
            refusal = list(self._model.notes)
            self.grant(self._model.drop(name))
            self._model.notes[:] = refusal
            return
        room = self._model.room(joined.room)
        room.name, room.epoch, room.last = joined.room, joined.epoch, max(room.last, joined.last)
        if room is self._model.current:
            self.look_at(joined.room)

    async def _leave(self, name: str) -> None:
        room = self._model.known(name)
        if room is not None and room.private:
            self.grant(self._model.drop(name))  # it is no longer listed, until somebody writes
        elif await self._tell(lambda client: client.leave(name), f"You left {name}"):
            self.grant(self._model.drop(name))

    async def _show_rooms(self) -> None:
        page = await self._ask(lambda client: client.rooms(limit=LISTED))
        if page is not None:
            self._model.notes += [f"#{info.room}  {info.members} here  {info.topic or ''}" for info in page.rooms]
            self._model.notes += ["There are more rooms."] if page.cursor else []

    async def _search(self, query: str) -> None:
        found = await self._ask(lambda client: client.search(query, limit=FOUND))
        if found is None:
            return
        entries = [hit.entry for hit in found.hits if isinstance(hit.entry, Message)]
        self._model.notes += [
            f"{entry.room} #{entry.seq} {entry.sender}: {kept(entry.content)}" for entry in reversed(entries)
        ] or [f"Nothing was found for {query}"]
        self._model.notes += ["There is more that is older."] if found.cursor else []

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _say(self, content: str, reply_to: int | None = None) -> None:
        one = Unsent(make_key(), content, reply_to)
        self._model.current.unsent.append(one)
        self._go(self._post(self._model.current, one))
        self._touch(jump=True)

    def _retry(self) -> None:
        for room in self._model.rooms.values():
            for one in room.unsent:
                if one.trouble is not None:
                    one.trouble = None
                    self._go(self._post(room, one))

    async def _post(self, room: Room, one: Unsent) -> None:
        """Send a message; the same `key` again, where it was tried before."""

        async def send(client: ChatClient) -> Posted:
            if room.private:
                return await client.send_private(room.name[1:], one.content, reply_to=one.reply_to, key=one.key)
            return await client.send_message(one.content, room.name, reply_to=one.reply_to, key=one.key)

        try:
            async with self._sending:
                posted = await self._link.ask(send)
            room.acked(one.key, posted.seq)
        except OutcomeUnknown:
            room.failed(one.key, "it may be posted or not")
        except TROUBLE as error:
            room.failed(one.key, str(error))
        self._touch()

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def _load(self, room: Room, before: int | None = None, came: Callable[[], None] | None = None) -> None:
        """Read a page of history: one at a time of each room."""
        if room.name in self._loading:
            return
        self._loading.add(room.name)
        try:
            page = await self._link.ask(lambda client: client.history(room.name, before=before, limit=PAGE))
            self._model.paged(room, page, newest=before is None)
        except TROUBLE as error:
            room.loaded, room.more = True, False
            if not room.private:  # a conversation that has not begun has no history
                self._model.notes.append(f"{room.name}: {error}")
        finally:
            self._loading.discard(room.name)
        if came is not None:
            came()
        self._touch()

    async def _look_around(self, room: str) -> None:
        listed = await self._quietly(lambda client: client.users(room, limit=LISTED))
        if listed is not None:
            found = self._model.room(room)
            found.present, found.total = dict.fromkeys(listed.users), listed.total
            self._touch()

    async def _list_rooms(self) -> None:
        page = await self._quietly(lambda client: client.rooms(mine=True, limit=LISTED))
        if page is not None:
            self._model.listing(page)
            self._touch()

    # --- Asking -------------------------------------------------------------------------------------------------------

    async def _tell(self, command: Command[None], done: str = "") -> bool:
        """Ask for what has no answer. Returns whether it was done, which is noted as `done`."""

        async def tell(client: ChatClient) -> bool:
            await command(client)
            return True

        if await self._ask(tell) is None:
            return False
        if done:
            self._model.notes.append(done)
        return True

    async def _ask(self, command: Command[T]) -> T | None:
        """Ask; a refusal is a note, and None."""
        try:
            return await self._link.ask(command)
        except TROUBLE as error:
            self._model.notes.append(str(error))
            self._touch(jump=True)
            return None

    async def _quietly(self, command: Command[T]) -> T | None:
        """Ask for what nobody waits for: without an answer there is none."""
        try:
            return await self._link.ask(command)
        except TROUBLE:
            return None

    def _go(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
