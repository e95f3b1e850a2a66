"""The end of a story: all users come back, say again what was not acked, hear everything, and read the logs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from trio_chat.witness.judge import Log
from trio_chat.witness.transcript import End, room_key
from trio_chat.witness.user import ROOMS, User
from trio_chat.witness.wire import Dial, Lost

PATIENCE = 60.0  # seconds for all of it
AGAIN = 0.1  # seconds after which to try again to connect


async def settle(
    users: Sequence[User], dial: Callable[[User], Dial], process: int, patience: float = PATIENCE
) -> tuple[dict[str, Log], str | None]:
    """Let all come to server process number `process`, and wait until everything has come to everybody.

    Returns the logs, and where that did not come to its end within `patience` seconds: why. Cancelled: so they lose
    their connections.
    """
    logs: dict[str, Log] = {}
    stages = dict.fromkeys([user.name for user in users], "coming back")
    written, settled = Barrier(len(users)), Barrier(len(users))

    async def play(user: User) -> None:
        while stages[user.name] == "coming back":
            with suppress(Lost):
                await stay(user)
            await trio.sleep(AGAIN)

    async def stay(user: User) -> None:
        async with user.here(dial(user), lambda: process, positions=True):
            stages[user.name] = "sending again"
            await user.resend()
            if user is users[0]:  # a room that all have left has a log, too
                for room in ROOMS:
                    await user.send("join", room=room)
            await user.answered()
            stages[user.name] = "waiting for the others"
            await written.wait()
            stages[user.name] = "waiting for what the others sent"
            await user.settle()
            stages[user.name] = "reading the logs"
            for room in user.rooms:
                key = room_key(room, user.name)
                found = None if key in logs else await user.log_of(room)
                if found is not None:
                    page, entries = found
                    same = tuple({**entry, "room": key} for entry in entries)  # whoever reads it
                    logs[key] = Log(page["epoch"], page["first"], page["last"], same)
            await settled.wait()
            stages[user.name] = "at the end"
            await user.go(End.AWAY)
        if stages[user.name] != "at the end":
            stages[user.name] += f", and lost the connection: {user.lost}"

    with trio.move_on_after(patience) as scope:
        async with trio.open_nursery() as nursery:
            for user in users:
                nursery.start_soon(play, user)
    if not scope.cancelled_caught:
        return logs, None
    where = "; ".join(f"{user.name}: {stages[user.name]}, {user.unanswered}" for user in users)
    return logs, f"process {process} had {patience:.0f} s of quiet, and it was not enough: {where}"


class Barrier:
    """Wait until all have come here."""

    def __init__(self, parties: int) -> None:
        self._missing, self._all = parties, trio.Event()

    async def wait(self) -> None:
        """Come, and wait for the others. Cancelled: one stays counted."""
        self._missing -= 1
        if not self._missing:
            self._all.set()
        await self._all.wait()
