"""The widget that shows a room: lines that are wrapped to its width, and stay where they are when older ones come."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from trio_chat.terminal.drawing import Line


class Talk(ScrollView, can_focus=False):
    """Scrolls; what is newest is at the bottom, and followed as long as one looks at it."""

    class Top(Message):
        """Somebody scrolled up to the first line: what is older is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._strips: list[Strip] = []
        self._following = True

    @property
    def text(self) -> str:
        """All lines, for whoever cannot see them."""
        return "\n".join(strip.text.rstrip() for strip in self._strips)

    @property
    def following(self) -> bool:
        """Whether what is newest is looked at."""
        return self._following

    @property
    def at_top(self) -> bool:
        """Whether the first line is in sight."""
        return self.scroll_offset.y == 0

    def show(self, lines: list[Line], *, older: bool = False, jump: bool = False) -> None:
        """Show these lines. Who scrolled up stays where he is, also when what is `older` was put before it all.

        `jump`: goes to the bottom.
        """
        self._following = jump or self._following
        self._lines = lines
        self._lay_out(older=older)

    def page(self, pages: float) -> None:
        """Scroll by so many pages; upwards is negative."""
        if pages < 0 and self.at_top:
            self.post_message(self.Top())
        height = self.scrollable_content_region.height
        target = self.scroll_offset.y + round(pages * max(1, height - 1))
        self._following = target >= self.max_scroll_y
        self.scroll_to(y=target, animate=False)

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap anew."""
        self._lay_out()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel is a quarter of a page."""
        event.stop()
        event.prevent_default()
        self.page(-0.25)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel is a quarter of a page."""
        event.stop()
        event.prevent_default()
        self.page(0.25)

    def render_line(self, y: int) -> Strip:
        """A line of what is in sight."""
        width = self.scrollable_content_region.width
        place = self.scroll_offset.y + y
        strip = self._strips[place] if place < len(self._strips) else Strip.blank(width)
        return strip.crop_extend(0, width, self.rich_style).apply_style(self.rich_style)

    def _lay_out(self, *, older: bool = False) -> None:
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        y, before = self.scroll_offset.y, len(self._strips)
        self._strips = [strip for line in self._lines for strip in self._wrapped(line, width)]
        self.virtual_size = Size(width, len(self._strips))
        if self._following:
            self.scroll_to(y=len(self._strips), animate=False, force=True)
        elif older:
            self.scroll_to(y=y + len(self._strips) - before, animate=False, force=True)
        self.refresh()

    def _wrapped(self, line: Line, width: int) -> list[Strip]:
        """Lines of at most `width` cells."""
        hang = line.hang if line.hang < width // 2 else 0
        head, body = (line.text[:hang], line.text[hang:]) if hang else (Text(), line.text)
        parts = list(body.wrap(self.app.console, max(1, width - hang))) or [Text()]
        whole = [Text.assemble(head if i == 0 else " " * hang, part) for i, part in enumerate(parts)]
        return [Strip(part.render(self.app.console)) for part in whole]
