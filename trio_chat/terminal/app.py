"""The full-screen client: what is typed goes to the `Link`, what comes from it to the `Model`, which is drawn."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, OptionList, Static

from trio_chat.cli_log import printable
from trio_chat.client import ConnectionEnded, Event
from trio_chat.terminal.asking import Asking
from trio_chat.terminal.drawing import draw, members, room_label, typing_line
from trio_chat.terminal.link import Link
from trio_chat.terminal.login import Login
from trio_chat.terminal.model import Model
from trio_chat.terminal.orders import Order, parse
from trio_chat.terminal.talk import Talk
from trio_chat.terminal.words import on_screen

DRAW_SECONDS = 0.05  # changes that come within it are drawn at once
TICK_SECONDS = 1.0
FAILED = 1  # exit code
HINT = "Write to {}, or /help"


def run(login: Login, room: str) -> int:
    """Show the client until it is left, and return the exit code. If it never came in: 1, and a line on stderr."""
    app = ChatApp(login, room)
    line = app.run()
    if line is None:
        return 0
    print(printable(line), file=sys.stderr)
    return FAILED


class ChatApp(App[str]):
    """The screen. Its result is what went wrong, if it never came in."""

    CSS = """
    #rooms { width: 24; height: 1fr; border: none; border-right: solid $panel; padding: 0; background: $background; }
    #people { width: 22; border-left: solid $panel; padding: 0 1; }
    #topic { height: 1; padding: 0 1; background: $panel; text-overflow: ellipsis; text-wrap: nowrap; }
    Talk { height: 1fr; padding: 0 1; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    #typing { height: 1; padding: 0 1; color: $text-muted; }
    #input { border: tall $panel; height: 3; }
    #input:focus { border: tall $accent; }
    #status { height: 1; padding: 0 1; background: $panel; }
    .-narrow #people, .-narrow #rooms, .-middle #people { display: none; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-middle"), (90, "-wide")]  # noqa: RUF012  (Textual's)
    TITLE = "trio_chat"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012
        Binding("ctrl+n", "turn(1)", "next room", priority=True),
        Binding("ctrl+p", "turn(-1)", "previous room", priority=True),
        Binding("pageup", "page(-1)", "older", priority=True),
        Binding("pagedown", "page(1)", "newer", priority=True),
        Binding("f1", "help", "help", priority=True),
        Binding("escape", "clear_notes", "hide notes", priority=True),
    ]

    class Heard(Message):
        """What the link tells."""

        def __init__(self, what: Event | Exception) -> None:
            super().__init__()
            self.what = what

    def __init__(self, login: Login, room: str) -> None:
        super().__init__()
        self.model = Model(room)
        self.link = Link(login, lambda what: self.post_message(self.Heard(what)))
        self.asking = Asking(self.link, self.model, self.touch)
        self.talk, self.rooms, self.line = Talk(), OptionList(id="rooms"), Input(id="input")
        self.topic, self.typing, self.members, self.status = (
            Static(id=name, markup=False) for name in ("topic", "typing", "members", "status")
        )
        self._url = login.url
        self._came_in = False
        self._drawing = self._older = self._jump = False
        self._labels: list[Text] = []
        self._drawn = self.model.current
        self._said_typing = 0.0

    def compose(self) -> ComposeResult:
        """Rooms, talk and people side by side; below them what is typed, and the connection in words."""
        with Horizontal():
            yield self.rooms
            with Vertical():
                yield self.topic
                yield self.talk
                yield self.typing
            with VerticalScroll(id="people", can_focus=False):
                yield self.members
        yield self.line
        yield self.status

    def on_mount(self) -> None:
        """Begin to connect."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.line.focus()
        self.set_interval(TICK_SECONDS, self._tick)
        self.link.start()
        self.touch()

    async def on_unmount(self) -> None:
        """Leave in good manners."""
        await self.link.stop()

    # --- What comes ---------------------------------------------------------------------------------------------------

    @on(Heard)
    def _hear(self, heard: Heard) -> None:
        if isinstance(heard.what, Exception):
            self._ended(heard.what)
            return
        self._came_in = True
        wishes = self.model.hear(heard.what, time.monotonic())
        self.link.taken()
        if self.asking.grant(wishes):
            self.bell()
        self.touch()

    def _ended(self, error: Exception) -> None:
        if not isinstance(error, ConnectionEnded | OSError | ValueError):
            raise error
        if not self._came_in:
            self.exit(f"{self._url}: {getattr(error, 'strerror', None) or error}")
        self.model.ended(str(error))
        self.touch()

    def _tick(self) -> None:
        self.model.current.expire(time.monotonic())
        if self.talk.following:
            self.asking.mark_read()
        self.touch()

    # --- What is typed ------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _enter(self, event: Input.Submitted) -> None:
        typed = event.value
        self.model.notes.clear()
        self.touch(jump=True)
        if not typed.strip():
            return
        try:
            order = parse(typed)
        except ValueError as error:
            self.model.notes.append(str(error))
            return
        event.input.clear()
        self._said_typing = 0.0
        if isinstance(order, Order) and order.name == "quit":
            self.exit()
        else:
            self.asking.obey(order)

    @on(Input.Changed)
    def _type(self, event: Input.Changed) -> None:
        now = time.monotonic()
        if event.value and not event.value.startswith("/") and now - self._said_typing > self.asking.TYPING_PAUSE:
            self._said_typing = now
            self.asking.type()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.asking.look_at(self.model.listed()[event.option_index].name)
        self.line.focus()

    @on(Talk.Top)
    async def _older_rows(self) -> None:
        self.asking.older(self._came_older)

    def _came_older(self) -> None:
        self._older = True
        self.touch()

    def action_turn(self, by: int) -> None:
        """Look at the next room, or the previous one."""
        rooms = self.model.listed()
        self.asking.look_at(rooms[(rooms.index(self.model.current) + by) % len(rooms)].name)

    def action_page(self, by: float) -> None:
        """Scroll."""
        self.talk.page(by)

    def action_help(self) -> None:
        """Show what can be typed."""
        self.model.notes.clear()
        self.asking.obey(Order("help"))

    def action_clear_notes(self) -> None:
        """Hide what was shown below the messages."""
        self.model.notes.clear()
        self.touch()

    # --- What is shown ------------------------------------------------------------------------------------------------

    def touch(self, *, jump: bool = False) -> None:
        """Something has changed: draw it soon. `jump`: and go to the bottom."""
        self._jump = self._jump or jump
        if not self._drawing:
            self._drawing = True
            self.set_timer(DRAW_SECONDS, self._draw)

    def _draw(self) -> None:
        self._drawing = False
        if not self.talk.is_attached:  # it is being taken down
            return
        model, room = self.model, self.model.current
        self.talk.show(draw(room, model), older=self._older, jump=self._jump)
        self._older = self._jump = False
        self._draw_rooms()
        name = on_screen(room.name if room.private else f"#{room.name}")
        self.topic.update(f"{name}  {on_screen(room.topic)}")
        self.typing.update(typing_line(room))
        self.members.update(members(room, model.user))
        status = printable(model.status(time.monotonic()))
        self.status.update(Text(status, "bright_green" if model.online else "bold yellow"))
        self.line.placeholder = HINT.format(name)

    def _draw_rooms(self) -> None:
        listed, current = self.model.listed(), self.model.current
        labels = [room_label(room, current=room is current) for room in listed]
        if labels == self._labels:
            return
        place = self.rooms.highlighted if self.rooms.has_focus and current is self._drawn else listed.index(current)
        self._labels, self._drawn = labels, current
        self.rooms.set_options(labels)
        self.rooms.highlighted = place
