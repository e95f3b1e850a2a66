"""Conversations of which nothing can be told: those with a guest who was several users.

A guest's conversations end with the guest, and who comes next under that name has new ones. When that was, the others
cannot see: so they are left out of what is judged, as if nobody had spoken of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from trio_chat.witness.transcript import Connection, Frame, Line, room_key, room_of


def is_between(room: str, several: Collection[str]) -> bool:
    """Whether a room, as `room_key` calls it, is a conversation of one of these names."""
    return room.startswith("@") and any(name.casefold() in room[1:].split("+") for name in several)


def without(connection: Connection, several: Collection[str]) -> Connection:
    """The connection without conversations of these names."""
    if not several:
        return connection
    lines, gone = [], set[Any]()
    for line in connection.lines:
        frame, me = line.frame, connection.name
        if line.ours and _concerns(frame, me, several):
            gone.update([frame["id"]] if "id" in frame else [])
        elif line.ours or not (frame.get("id") in gone or _concerns(frame, me, several)):
            lines.append(Line(line.at, line.ours, _cut(frame, me, several)))
    return attrs.evolve(connection, lines=lines)


def _concerns(frame: Frame, me: str, several: Collection[str]) -> bool:
    if frame["type"] == "private" and "sender" not in frame:
        return is_between(room_key(f"@{frame['to']}", me), several)
    room = room_of(frame, me)
    return room is not None and is_between(room, several)


def _cut(frame: Frame, me: str, several: Collection[str]) -> Frame:
    """A list without them."""
    for name in ("rooms", "hits"):
        if isinstance(frame.get(name), list):
            kept = [one for one in frame[name] if not is_between(room_key(one["room"], me), several)]
            frame = {**frame, name: kept}
    return frame
