"""The network goes and comes back: nothing is lost, nothing doubled, and what is written meanwhile is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.process import Server

from .conftest import page_of
from .line import Line, line_to
from .people import Sit, seats


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    """Between one of them and the server."""
    with line_to(server.port) as line:
        yield line


def test_nothing_is_lost_or_doubled_when_the_network_comes_back(sit: Sit, line: Line) -> None:
    alice, bob = sit(line.address).join("alice"), sit().join("bob")
    alice.say("before")
    bob.sees("before")
    line.cut()
    expect(alice.page.locator("#connection")).to_contain_text("Trying again")
    expect(alice.state).to_have_text("Connecting…")
    for number in range(5):
        bob.say(f"bob {number}")
        alice.say(f"alice {number}")
    bob.sees("bob 4")
    expect(alice.page.locator(".pending .state").first).to_have_text(
        "Not sent yet: it goes out when the connection is back"
    )
    assert bob.page.locator(".content", has_text="alice").count() == 0
    line.mend()
    alice.page.get_by_role("button", name="Try now").click()
    alice.sees("bob 4")
    bob.sees("alice 4")
    expect(alice.page.locator(".pending")).to_have_count(0)
    expect(alice.page.locator("#connection")).to_be_hidden()
    wanted = ["before", *(f"bob {number}" for number in range(5)), *(f"alice {number}" for number in range(5))]
    assert alice.contents() == bob.contents() == wanted


def test_cuts_in_the_middle_of_much_talk(sit: Sit, line: Line) -> None:
    """Messages that were sent, and whose ack was lost, are sent again, and are there once."""
    alice, bob = sit(line.address).join("alice"), sit().join("bob")
    for number in range(30):
        alice.say(f"message {number}")
        if number % 10 == 5:
            line.cut()
            line.mend()
    bob.sees("message 29")
    alice.sees("message 29")
    expect(alice.page.locator(".pending")).to_have_count(0)
    assert alice.contents() == bob.contents() == [f"message {number}" for number in range(30)]


def test_a_reload_without_a_network_keeps_what_was_not_sent(sit: Sit, server: Server, line: Line) -> None:
    alice, bob = sit(line.address).join("alice"), sit().join("bob")
    line.cut()
    alice.say("kept over a reload")
    expect(alice.page.locator(".pending")).to_have_count(1)
    line.mend()
    alice.page.reload()
    bob.sees("kept over a reload")
    alice.sees("kept over a reload")
    expect(alice.page.locator(".pending")).to_have_count(0)
    assert alice.contents() == bob.contents() == ["kept over a reload"]


def test_more_is_written_without_a_network_than_a_browser_keeps(sit: Sit, line: Line) -> None:
    """All of it is sent, in its order; what a reload would keep is the beginning."""
    alice, bob = sit(line.address).join("alice"), sit().join("bob")
    alice.page.evaluate("sessionStorage.full = 'x'.repeat(3_000_000)")
    line.cut()
    for letter in "abc":
        alice.say(letter * 1_000_000)
    expect(alice.page.locator(".pending")).to_have_count(3)
    assert alice.page.evaluate("JSON.parse(sessionStorage['trio_chat.outbox']).length") == 1
    line.mend()
    alice.page.get_by_role("button", name="Try now").click()
    expect(bob.page.get_by_text("Show all")).to_have_count(3)
    assert [content[0] for content in bob.contents()] == ["a", "b", "c"]
    expect(alice.page.locator(".pending")).to_have_count(0)


def test_where_a_browser_keeps_nothing_one_can_chat(sit: Sit) -> None:
    alice = sit()
    for name in ("sessionStorage", "localStorage"):
        refused = "get() { throw new DOMException('no', 'SecurityError'); }"
        alice.page.add_init_script(f"Object.defineProperty(window, '{name}', {{ {refused} }});")
    alice.join("alice")
    alice.say("hello")
    alice.sees("hello")


def test_a_restart_of_the_server_is_survived(browser: Browser, start: Callable[..., Server], tmp_path: object) -> None:
    log = f"sqlite:{tmp_path}/chat.db"
    first = start("--log", log)
    with seats(browser, page_of(first)) as sit:
        alice = sit().join("alice", "den")
        alice.say("before")
        alice.sees("before")
        expect(alice.page.locator(".pending")).to_have_count(0)
        first.stop()
        expect(alice.state).to_have_text("Connecting…")
        alice.say("meanwhile")
        start("--log", log, "--port", str(first.port))
        alice.sees("meanwhile")
        expect(alice.page.locator(".pending")).to_have_count(0)
        assert alice.contents() == ["before", "meanwhile"]
        expect(alice.page.locator("#room-list button")).to_have_count(2)


def test_what_a_lost_session_sent_is_marked_and_can_be_sent_again(
    browser: Browser, start: Callable[..., Server]
) -> None:
    """The server forgot the session, and with a guest's session go its keys: nobody can tell, so a person decides."""
    first = start("--log", "memory")
    with seats(browser, page_of(first)) as sit:
        alice = sit().join("alice", "den")
        first.stop()
        expect(alice.state).to_have_text("Connecting…")
        alice.say("lost and found")
        expect(alice.page.locator(".pending")).to_have_count(1)
        start("--log", "memory", "--port", str(first.port))
        alice.page.reload()
        alice.arrived("den")
        expect(alice.page.locator(".pending .state")).to_contain_text("Perhaps not sent")
        alice.page.get_by_role("button", name="Send again").click()
        expect(alice.page.locator(".pending")).to_have_count(0)
        assert alice.contents() == ["lost and found"]
