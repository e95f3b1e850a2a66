"""The real server with a fault in it, for the suite to find: `python -m tests.hostile.planted FAULT FLAGS…`."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import jwt

from trio_chat.auth import tokens
from trio_chat.auth.passwords import Passwords
from trio_chat.cli import main
from trio_chat.core import admin, commands, membership, messages, moderating, proving, revising, rights
from trio_chat.core.effects import Reply
from trio_chat.core.events import Event
from trio_chat.server import doors, proxy, tls
from trio_chat.server.address import Forwarded
from trio_chat.server.admin import AdminDoor, Guesses
from trio_chat.server.doors import Doors
from trio_chat.server.entry import Pace
from trio_chat.server.http import HttpConnection
from trio_chat.server.outbox import Outbox
from trio_chat.server.peers import Peers

from .bystander import ROOM
from .entrance import HOME
from .server import trim

KEPT: list[Any] = []
EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"),)


def at_each_head(do: Callable[[], object]) -> None:
    """Let `do` happen for each request head that is waited for."""
    head = HttpConnection.head

    async def spoilt(self: HttpConnection, timeout: float) -> Any:
        do()
        return await head(self, timeout)

    HttpConnection.head = spoilt  # type: ignore[method-assign]


def at_each_post(keep: Callable[[int], bool]) -> None:
    """Deliver to the bystander's room only what `keep` says of, by its `seq`."""
    send = Peers.send

    def spoilt(self: Peers, conns: Iterable[int], event: Event, epoch: str = "", seq: int = 0) -> None:
        if getattr(event, "room", None) != ROOM or not seq or keep(seq):
            send(self, conns, event, epoch, seq)

    Peers.send = spoilt  # type: ignore[method-assign]


def spin() -> None:
    """After the warming up: be busy for ever, beside everything else."""
    KEPT.append(None)
    if len(KEPT) == 400:
        threading.Thread(target=_busy, daemon=True).start()


def _busy() -> None:
    while True:
        pass


def rave() -> None:
    """Write a traceback, as a bug would."""
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        traceback.print_exc()


def die() -> None:
    """After the warming up, in the middle of an attack."""
    KEPT.append(None)
    if len(KEPT) > 400:
        os._exit(7)


def patient() -> None:
    """A connection may take all time on its way in."""
    enter = Doors._enter

    async def spoilt(self: Doors, stream: Any, raw: Any, socket: Any, deadline: float, secured: Any) -> Any:
        return await enter(self, stream, raw, socket, deadline + 3600, secured)

    Doors._enter = spoilt  # type: ignore[method-assign]


def plain_too() -> None:
    """What begins without TLS is served without it."""
    secured = tls.handshake

    async def spoilt(stream: Any, context: Any, over: Any) -> Any:
        try:
            return await secured(stream, context, over)
        except tls.NoTls:
            return stream

    vars(doors)["handshake"] = spoilt


def bottomless() -> None:
    """Whoever does not read may leave as much as it likes."""
    init = Outbox.__init__

    def spoilt(self: Outbox, wire: Any, send: Any, **options: Any) -> None:
        init(self, wire, send, **options | {"max_frames": 10**9, "max_bytes": 10**9})

    Outbox.__init__ = spoilt  # type: ignore[method-assign, assignment]


class Everybody:
    """All addresses but the bystander's, which says nothing of others."""

    def __contains__(self, address: object) -> bool:
        return str(address) != HOME


def built(change: Callable[[Any], None]) -> None:
    """Change each `Doors` once it is made."""
    init = Doors.__init__

    def spoilt(self: Doors, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        change(self)

    Doors.__init__ = spoilt  # type: ignore[method-assign]


def headerless() -> None:
    """What is no PROXY header is none, and all goes on."""
    read_header = proxy.read_header

    async def spoilt(wire: Any) -> Any:
        try:
            return await read_header(wire)
        except proxy.BadHeader:
            return None

    proxy.read_header = spoilt


def sly() -> None:
    """`kick` is refused, and done."""

    def spoilt(chat: Any, session: Any, conn: int, request: Any, now: Any) -> list[Any]:
        effects = moderating.judge(chat, session, conn, request, now)
        room, target = chat.find_room(session.user, request.room), chat.find_user(request.user)
        is_inside = getattr(target, "id", None) in getattr(room, "members", ())
        if isinstance(effects[0], Reply) and is_inside and room is not chat.general:
            effects += membership.expel(chat, target, room, now)
        return effects

    commands.HANDLERS[messages.Kick] = spoilt


def unsigned() -> None:
    """A token says what it says, whoever signed it."""

    def spoilt(self: tokens.Tokens, token: str) -> Any:
        try:
            return jwt.decode(token, options={**tokens.SIGNATURE_ONLY, "verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise tokens.BadTokenError("The token cannot be read") from None

    tokens.Tokens._claims = spoilt  # type: ignore[method-assign]


def renewing(chat: Any, session: Any, given: Any, now: Any) -> list[Any]:
    """Refresh with whatever good token, as if it were one's own."""
    if given.identity is not None:
        given = attrs.evolve(given, identity=attrs.evolve(given.identity, id=session.user.id))
    return proving.refresh(chat, session, given, now)


def lending() -> None:
    """Who knows a session resumes it, whoever that is."""
    resume = proving._resume

    def spoilt(chat: Any, session: Any, connection: Any, asked: Any, now: Any) -> list[Any]:
        return resume(chat, session, connection, attrs.evolve(asked, identity=None), now)

    proving._resume = spoilt


def verified(told: Callable[[Any, str | None, str], str | None]) -> None:
    """Let a password be verified so."""
    Passwords._verified = told  # type: ignore[method-assign, assignment]


def quick(self: Passwords, kept: str | None, password: str) -> str | None:
    """Nobody's password is not hashed."""
    return None if kept is None else VERIFIED(self, kept, password)


VERIFIED = Passwords._verified
FAULTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "descriptors": lambda: at_each_head(lambda: KEPT.append(socket.socket())),
    "memory": lambda: at_each_head(lambda: KEPT.append(b"x" * 200_000)),
    "threads": lambda: at_each_head(lambda: threading.Thread(target=threading.Event().wait, daemon=True).start()),
    "traceback": lambda: at_each_head(rave),
    "lines": lambda: at_each_head(lambda: print("somebody asks for something", file=sys.stderr)),
    "long line": lambda: at_each_head(lambda: print("a" * 1000, file=sys.stderr)),
    "control": lambda: at_each_head(lambda: print("\x1b[2J", file=sys.stderr)),
    "busy": lambda: at_each_head(spin),
    "death": lambda: at_each_head(die),
    "lost": lambda: at_each_post(lambda seq: seq % 5 != 0),
    "patient": patient,
    "plain too": plain_too,
    "bottomless": bottomless,
    "unpaced": lambda: setattr(Pace, "allows", lambda *_: True),
    "everybody's proxy": lambda: built(lambda made: setattr(made, "_heralds", Everybody())),
    "everybody's word": lambda: built(lambda made: setattr(made, "_forwarded", Forwarded(EVERYWHERE))),
    "headerless": headerless,
    "owning": lambda: setattr(revising, "rank", lambda room, user: rights.Rank.OWNER),
    "sly": sly,
    "open door": lambda: setattr(AdminDoor, "_refusal", lambda *_: None),
    "guesses": lambda: setattr(Guesses, "wait", lambda *_: 0.0),
    "unsigned": unsigned,
    "timeless": lambda: setattr(tokens, "LEEWAY", 3600.0),
    "lending": lending,
    "renewing": lambda: commands.PROOFS.update({messages.Refresh: renewing}),
    "forgiving": lambda: setattr(admin, "refuse_banned", lambda *_: []),
    "quick": lambda: verified(quick),
    "any password": lambda: verified(lambda self, kept, password: None if kept is None else ""),
}


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, trim)
    FAULTS[sys.argv.pop(1)]()
    main()
