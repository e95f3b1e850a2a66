"""A room as lines of styled text. What others wrote is only text: no markup, and nothing that a terminal obeys."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime

import attrs
from rich.text import Text

from trio_chat.terminal.model import Model
from trio_chat.terminal.room import Room, Row, Unsent
from trio_chat.terminal.words import on_screen

COLOURS = (
    "cyan",
    "green",
    "magenta",
    "yellow",
    "bright_blue",
    "bright_red",
    "bright_cyan",
    "bright_green",
    "bright_magenta",
)
QUOTED = 40  # characters of what is answered
SIDE = 18  # columns of a name at the side
NUMBER = 6  # columns: the number of a message stands before it
EMPTY = "Nothing was said here yet. Write something, or type /help."
GAP = re.compile(r"\S(\s{2,})\S")  # between two columns of a note
Clock = Callable[[str], datetime]


@attrs.frozen
class Line:
    """A line; where it is too long, it goes on `hang` columns to the right."""

    text: Text
    hang: int = 0


def local(timestamp: str) -> datetime:
    """A time of the wire, where we are."""
    return datetime.fromisoformat(timestamp).astimezone()


def draw(room: Room, model: Model, *, clock: Clock = local) -> list[Line]:
    """The lines of a room, not yet wrapped: days, messages grouped by sender, what is not sent, and notes."""
    lines: list[Line] = []
    day, sender = "", ""
    for row in room.listed():
        when = clock(row.timestamp)
        today = f"{when:%A}, {when.day} {when:%B %Y}"
        if today != day:
            lines.append(Line(Text(f"── {today} ──", "dim")))
            day, sender = today, ""
        if row.note:
            lines.append(_numbered(row, Text(on_screen(f"{row.sender} {row.content}"), "italic dim")))
            sender = ""
            continue
        if row.sender != sender:
            lines.append(Line(Text.assemble(named(row.sender), (f"  {when:%H:%M}", "dim"))))
            sender = row.sender
        lines += _row(room, row)
    for one in room.unsent:
        lines += _unsent(model, one)
    if not lines:
        lines.append(Line(Text(EMPTY if room.loaded else "…", "dim")))
    return lines + [_note(on_screen(note)) for note in model.notes]


def named(name: str) -> Text:
    """A name, always in the same colour."""
    return Text(on_screen(name), f"bold {COLOURS[zlib.crc32(name.encode()) % len(COLOURS)]}")


def room_label(room: Room, *, current: bool) -> Text:
    """A room in the list, with how much is unread."""
    name = on_screen(room.name if room.private else f"#{room.name}")
    label = Text(f"{'▸' if current else ' '} {name}", "bold" if room.unread or current else "")
    label.truncate(SIDE, overflow="ellipsis")
    if room.unread:
        label.append(f" {room.unread if room.unread < 1000 else '999+'}", "bold bright_yellow")
    if any(one.trouble for one in room.unsent):
        label.append(" !", "bold red")
    return label


def members(room: Room, user: str) -> Text:
    """Who is there, and who spoke and is away."""
    if room.private:
        return Text(f"private,\nwith {on_screen(room.name[1:])}", "dim")
    here = sorted(room.present, key=str.casefold)
    spoke = {row.sender for row in room.rows.values() if not row.note} - {*here, user}
    lines = [Text(f"{max(room.total, len(here))} here", "dim")]
    lines += [Text.assemble(("● ", "green"), named(name)) for name in here]
    if room.total > len(here):
        lines.append(Text(f"and {room.total - len(here)} more", "dim"))
    lines += [Text.assemble(("○ ", "dim"), (on_screen(name), "dim")) for name in sorted(spoke, key=str.casefold)]
    for line in lines:
        line.truncate(SIDE, overflow="ellipsis")
    return Text("\n").join(lines)


def typing_line(room: Room) -> str:
    """Who types."""
    names = [on_screen(name) for name in room.typing]
    if not names:
        return ""
    if len(names) > 3:
        return f"{len(names)} are typing …"
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} typing …"


def _row(room: Room, row: Row) -> Iterator[Line]:
    if row.reply_to is not None:
        yield _below(f"↪ {_quote(room, row.reply_to)}", "dim italic")
    if row.content is None:
        yield _numbered(row, Text("deleted", "dim italic"))
        return
    first, *rest = row.content.split("\n")
    yield _numbered(row, Text(_shown(first)))
    for line in rest:
        yield _below(_shown(line))
    marks = ["edited"] if row.edited else []
    marks += [f"{on_screen(emoji)} {count}" for emoji, count in row.counts.items()]
    if marks:
        yield _below("  ".join(marks), "dim")


def _unsent(model: Model, one: Unsent) -> Iterator[Line]:
    for line in one.content.split("\n"):
        yield _below(_shown(line), "dim")
    if one.trouble is not None:
        yield _below(f"not sent: {on_screen(one.trouble)} (/retry, /drop)", "bold red")
    elif model.online:
        yield _below("sending …", "dim italic")
    else:
        yield _below("waits for the connection", "yellow")


def _quote(room: Room, seq: int) -> str:
    row = room.rows.get(seq)
    if row is None or row.content is None:
        return f"#{seq}"
    words = on_screen(" ".join(row.content.split()))
    return f"#{seq} {on_screen(row.sender)}: {words if len(words) <= QUOTED else f'{words[:QUOTED]}…'}"


def _numbered(row: Row, text: Text) -> Line:
    return Line(Text.assemble((f"{row.seq:>{NUMBER - 1}} ", "dim"), text), NUMBER)


def _below(words: str, style: str = "") -> Line:
    return Line(Text(" " * NUMBER + words, style), NUMBER)


def _note(words: str) -> Line:
    gap = GAP.search(words)
    return Line(Text(words, "bright_yellow"), gap.end(1) if gap else 0)


def _shown(line: str) -> str:
    return on_screen(line.replace("\t", "    "))
