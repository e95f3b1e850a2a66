"""People in front of browsers: what they do with the page, and what they see there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

SECONDS = 15.0
expect.set_options(timeout=SECONDS * 1000)


@attrs.define
class Person:
    """One page in a browser profile of its own. `trouble`: what the browser complained of, and must not."""

    page: Page
    address: str
    trouble: list[str] = attrs.field(factory=list)
    may_fail: str = r"WebSocket connection to .* failed"  # of complaints: those that a test brings about

    @property
    def text(self) -> Locator:
        """Where one writes."""
        return self.page.locator("#composer-text")

    @property
    def rows(self) -> Locator:
        """The messages in the page, and the notes."""
        return self.page.locator("#messages > li[data-seq]")

    @property
    def state(self) -> Locator:
        """The connection, in a word."""
        return self.page.locator("#state")

    def join(self, name: str, room: str = "general") -> Person:
        """Come in with a name, and wait until the room is open."""
        self.page.goto(f"{self.address}#{room}")
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Join").click()
        self.arrived(room)
        return self

    def arrived(self, room: str = "general") -> None:
        """Wait until a room is open and its messages are there."""
        expect(self.state).to_have_text("Connected")
        expect(self.page.locator("#room-title")).to_have_text(room)
        expect(self.page.locator("#messages")).to_have_attribute("aria-busy", "false")

    def say(self, content: str) -> None:
        """Write, and press Enter."""
        self.text.fill(content)
        self.text.press("Enter")

    def open(self, room: str) -> None:
        """Go to a room or a conversation of the list."""
        self.page.locator("#rooms button.room", has=self.page.get_by_text(room, exact=True)).click()
        expect(self.page.locator("#room-title")).to_have_text(room)

    def row(self, content: str) -> Locator:
        """The message with this content."""
        return self.rows.filter(has=self.page.locator(".content", has_text=re.compile(f"^{re.escape(content)}$"))).last

    def sees(self, content: str) -> Locator:
        """Wait for a message with this content."""
        found = self.row(content)
        expect(found).to_be_visible()
        return found

    def to_the_beginning(self) -> None:
        """Scroll up until there is no more."""
        beginning = self.page.locator("#beginning")
        for _ in range(200):
            self.page.locator("#scroller").evaluate("(scroller) => { scroller.scrollTop = 0; }")
            self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            if beginning.is_visible() and self.page.locator("#scroller").evaluate("(one) => one.scrollTop") == 0:
                return
        raise AssertionError("there is no beginning")

    def contents(self) -> list[str]:
        """All contents in the page, those on their way too, in order."""
        return self.page.locator("#messages .content").all_inner_texts()

    def act(self, content: str, label: str) -> None:
        """Use a button of a message's toolbar."""
        row = self.sees(content)
        row.hover()
        row.get_by_role("button", name=label, exact=True).click()

    def person_menu(self, name: str, entry: str) -> None:
        """Choose from what can be done with a person of the list."""
        self.page.locator("#member-list button", has=self.page.get_by_text(name, exact=True)).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def room_menu(self, entry: str) -> None:
        """Choose from what can be done with the room."""
        self.page.locator("#room-menu").click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def notice(self, words: str) -> None:
        """Wait to be told something."""
        expect(self.page.locator(".notice", has_text=words)).to_be_visible()

    def complained(self) -> list[str]:
        """What the browser complained of, beside what the test brought about."""
        return [words for words in self.trouble if not re.search(self.may_fail, words)]


def sit_down(context: BrowserContext, address: str) -> Person:
    """A person with a new page."""
    person = Person(context.new_page(), address)

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            person.trouble.append(message.text)

    person.page.on("console", said)
    person.page.on("pageerror", lambda error: person.trouble.append(f"{error.message}\n{error.stack}"))
    return person


Sit = Callable[..., Person]


@contextmanager
def seats(browser: Browser, address: str, **options: Any) -> Iterator[Sit]:
    """Let people sit down, each in a profile of their own; in the end nobody's browser has complained."""
    people: list[Person] = []

    def sit(address: str = address, **own: Any) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options, **own})
        people.append(sit_down(context, address))
        return people[-1]

    yield sit
    complaints = [person.complained() for person in people]
    for person in people:
        person.page.context.close()
    assert complaints == [[] for _ in people]
