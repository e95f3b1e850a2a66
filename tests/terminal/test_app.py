"""The full-screen client, under Textual's pilot, against a real server."""

from __future__ import annotations

import asyncio
import functools
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.client import Client, contents, join
from tests.e2e.process import Server
from trio_chat.terminal.app import ChatApp
from trio_chat.terminal.login import Login

from .conftest import SECONDS
from .screens import Screen, screen


def on_asyncio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Textual's tests run on its own loop, not on Trio."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 4 * SECONDS))

    return run


def says(client: Client, room: str, *contents: str) -> None:
    """Somebody else says something."""
    for content in contents:
        client.send("message", room=room, content=content)


async def others(do: Callable[[], object]) -> None:
    """Let somebody else do something, in a thread: the screen goes on."""
    await asyncio.to_thread(do)


@on_asyncio
async def test_two_talk(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann, screen(server, f"bob {room}", room) as bob:
        await ann.until(lambda: f"● bob {room}" in ann.members)
        await ann.pilot.press(*"hello", "space", *"bob", "enter")
        await bob.shows(f"ann {room}", "hello bob")
        await bob.enter("hello yourself")
        await bob.enter("how do you do?")
        await ann.shows("hello yourself", "how do you do?")
        assert ann.text.count(f"bob {room}") == 1  # grouped by sender
        assert ann.status == f"connected as ann {room}"
        assert ann.app.line.value == ""
        assert ann.room.unsent == []


@on_asyncio
async def test_what_others_write_is_only_text(server: Server, room: str) -> None:
    payloads = ["\x1b[31mred\x1b]0;title\x07", "[bold]x[/bold] [@click=app.quit]y[/]", "a\tb\nc", "‮evil‬", "\x9b2J"]
    with join(server, f"eve {room}") as eve:
        async with screen(server, f"ann {room}", room) as ann:
            await others(lambda: says(eve, room, *payloads))
            await ann.shows("\\x1b[31mred\\x1b]0;title\\x07", "[bold]x[/bold] [@click=app.quit]y[/]", "\\u202eevil")
            await ann.shows("a    b\n      c", "\\x9b2J")
            shown = "".join(strip.text for line in range(30) for strip in [ann.app.talk.render_line(line)])
            assert not any(unicodedata.category(one) in ("Cc", "Cf") for one in shown)


@on_asyncio
async def test_lines_fit(server: Server, room: str) -> None:
    """Long words, wide characters and right-to-left text, on a narrow screen."""
    with join(server, f"eve {room}") as eve:
        async with screen(server, f"ann {room}", room, size=(40, 20)) as ann:
            texts = ["x" * 200, "漢字" * 50, "שלום עולם " * 20, "👍🏽" * 40, f"http://example.org/{'y' * 100}"]
            await others(lambda: says(eve, room, *texts))
            await ann.shows("example.org")
            for line in range(20):
                strip = ann.app.talk.render_line(line)
                assert strip.cell_length == ann.app.talk.scrollable_content_region.width
            assert not ann.app.rooms.display
            assert not ann.app.query_one("#people").display


@on_asyncio
async def test_rooms_and_what_is_unread(server: Server, room: str) -> None:
    other = f"other {room}"
    with join(server, f"bob {room}") as bob:
        async with screen(server, f"ann {room}", room) as ann:
            await ann.enter(f"/join {other}")
            await ann.until(lambda: ann.room.name == other and ann.room.loaded)
            await others(lambda: says(bob, room, "0 of three", "1 of three", "2 of three"))
            await ann.until(lambda: f"#{room} 3" in ann.listed)
            await others(lambda: bob.send("message", room=other, content="and here"))
            await ann.shows("and here")
            assert f"#{other}" in ann.listed
            await ann.enter(f"/open {room}")
            await ann.shows("0 of three", "2 of three")
            await ann.until(lambda: f"#{room}" in ann.listed)
            await ann.until(lambda: ann.room.marked == 3)  # and it is told
            await ann.enter("/open nowhere")
            await ann.shows("You are not in nowhere. /join nowhere goes there.")
            await ann.enter("/leave")
            await ann.until(lambda: f"#{room}" not in ann.listed)


@on_asyncio
async def test_what_is_typed_after_join_is_said_there(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}") as ann:
        await ann.enter(f"/join {room}")
        await ann.enter("first")
        await ann.shows("1 first")
        assert ann.room.name == room
        await ann.enter("/join @x")
        await ann.shows("bad_room")
        assert ann.listed == ["#general", f"#{room}"]


@on_asyncio
async def test_keys_go_from_room_to_room(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}") as ann:
        await ann.enter(f"/join {room}")
        await ann.until(lambda: ann.room.name == room)
        await ann.until(lambda: len(ann.listed) == 2)
        for key, name in (("ctrl+n", "general"), ("ctrl+n", room), ("ctrl+p", "general")):
            await ann.pilot.press(key)
            assert ann.room.name == name
        await ann.until(lambda: str(ann.app.topic.render()).startswith("#general"))
        await ann.pilot.press("shift+tab", "down", "enter")  # the list, too
        await ann.until(lambda: ann.room.name == room)
        assert ann.app.focused is ann.app.line


@on_asyncio
async def test_private(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann, screen(server, f"bob {room}", room) as bob:
        await ann.enter(f'/msg "bob {room}" psst')
        await ann.shows("psst")
        assert ann.room.name == f"@bob {room}"
        await bob.until(lambda: f"@ann {room} 1" in bob.listed)
        await bob.enter(f"/open ann {room}")
        await bob.shows("psst")
        await bob.enter("yes?")
        await ann.shows("yes?")
        await bob.enter("/leave")
        await bob.until(lambda: bob.listed == ["#general", f"#{room}"])
        await bob.enter("/msg nobody hello")
        await bob.shows("hello", "not sent: no_such_user")
        await bob.enter("/drop")
        await bob.until(lambda: "hello" not in bob.text)


@on_asyncio
async def test_history_comes_on_scrolling_up_without_a_jump(server: Server, room: str) -> None:
    with join(server, f"bob {room}") as bob:

        def fill() -> None:
            for i in range(130):
                bob.send("message", room=room, content=f"number {i}.", id=i)
            bob.until("ack", id=129)

        await others(fill)
        async with screen(server, f"ann {room}", room) as ann:
            await ann.shows("number 129.", "number 80.")
            assert "number 79." not in ann.text
            talk = ann.app.talk
            for first in (30, 0):
                await ann.until(lambda: talk.scroll_offset.y > 0)
                while not talk.at_top:
                    await ann.pilot.press("pageup")
                await ann.pilot.pause()
                above = talk.render_line(5).text
                await ann.pilot.press("pageup")
                await ann.shows(f"number {first}.")
                await ann.until(lambda: not talk.at_top)
                await ann.pilot.pause()
                assert above in [talk.render_line(line).text for line in range(4, 8)]  # a day mark may go
            assert not ann.room.more
            await others(lambda: bob.send("message", room=room, content="the newest"))
            await ann.shows("the newest")
            assert not talk.following  # one reads on where one is
            while not talk.following:
                await ann.pilot.press("pagedown")
            await ann.until(lambda: ann.room.marked == 131)


@on_asyncio
async def test_what_is_done_to_messages(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann, screen(server, f"bob {room}", room) as bob:
        await ann.enter("tea at five")
        await bob.shows("1 tea at five")
        await bob.enter("/reply 1 is not for me")  # a number without # is a word of it
        await bob.enter("/reply #1 I come")
        await ann.shows(f"↪ #1 ann {room}: tea at five", "I come", "1 is not for me")
        await ann.enter("/edit #1 tea at six")
        await bob.shows("1 tea at six", "edited")
        await bob.enter("/react 1 👍")
        await ann.shows("👍 1")
        await ann.enter("/react 1 👍")
        await bob.shows("👍 2")
        await bob.enter("/unreact 1 👍")
        await ann.shows("👍 1")
        await bob.enter("/delete")
        await ann.shows("deleted")
        assert "I come" not in ann.text
        await bob.enter("/me waves")
        await ann.shows(f"* bob {room} waves")
        await bob.enter("/edit #1 not mine")
        await bob.shows("forbidden")


@on_asyncio
async def test_asking_around(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann:
        word = f"zebra{room.split()[1]}"
        await ann.enter(f"where is the {word}?")
        await ann.shows(f"1 where is the {word}?")
        await ann.enter(f"/search {word}")
        await ann.shows(f"{room} #1 ann {room}: where is the {word}?")
        await ann.enter("/search wildebeest")
        await ann.shows("Nothing was found for wildebeest")
        await ann.enter("/topic all about zebras")
        await ann.shows(f"ann {room} set the topic: all about zebras")
        await ann.enter("/rooms")
        await ann.shows(f"#{room}  1 here  all about zebras")
        await ann.pilot.press("escape")
        await ann.until(lambda: "1 here" not in ann.text)
        await ann.pilot.press("f1")
        await ann.shows("/join TEXT")
        await ann.enter("/serach x")
        await ann.shows("There is no /serach. Did you mean /search?")
        assert ann.app.line.value == "/serach x"  # to be mended
        await ann.enter("//not an order")
        await ann.shows("/not an order")


@on_asyncio
async def test_typing_and_presence(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann:
        async with screen(server, f"bob {room}", room) as bob:
            await ann.until(lambda: f"● bob {room}" in ann.members)
            await bob.pilot.press("h", "i")
            await ann.until(lambda: ann.typing == f"bob {room} is typing …")
            await bob.pilot.press("enter")
            await ann.until(lambda: ann.typing == "")
            await ann.shows("hi")
        await ann.until(lambda: f"○ bob {room}" in ann.members)


@on_asyncio
async def test_moderation(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann:
        await ann.enter("mine")
        await ann.shows("1 mine")
        async with screen(server, f"bob {room}", room) as bob:
            await ann.enter(f'/mute "bob {room}" too loud')
            await bob.shows(f"mute: bob {room} (too loud)")
            await bob.enter("may I?")
            await bob.shows("may I?", "not sent: muted")
            await ann.enter(f'/unmute "bob {room}"')
            await bob.shows(f"unmute: bob {room}")
            await bob.enter("/retry")
            await ann.shows("may I?")
            await bob.enter("/ban ann")
            await bob.shows("forbidden")
            await ann.enter(f'/kick "bob {room}"')
            await bob.shows(f"ann {room} sent you out of {room}: kick")
            assert bob.room.name == "general"


@on_asyncio
async def test_a_server_that_dies_and_comes_back(start: Callable[..., Server], tmp_path: Path) -> None:
    """What is written meanwhile is kept and marked, and then sent once, in order; what others said comes."""
    log = f"sqlite:{tmp_path}/chat.db"
    old = start("--log", log)
    async with screen(old, "ann", "ops") as ann:
        await ann.enter("before")
        await ann.shows("1 before")
        old.kill()
        await ann.until(lambda: "not connected" in ann.status)
        assert "trying again" in ann.status
        await ann.enter("one")
        await ann.enter("two")
        await ann.shows("one\n      waits for the connection\n      two\n      waits for the connection")
        new = await asyncio.to_thread(start, "--log", log, "--port", str(old.port))
        await ann.until(lambda: ann.status == "connected as ann")
        await ann.shows("2 one", "3 two")
        assert ann.room.unsent == []
        with join(new, "bob") as bob:
            bob.send("join", room="ops", id=1)
            bob.until("ack", id=1)
            page = bob.ask("history", room="ops")
            assert contents(page["entries"]) == ["before", "one", "two"]
            await others(lambda: bob.send("message", room="ops", content="welcome back"))
            await ann.shows("4 welcome back")


@on_asyncio
async def test_a_server_that_forgot_us(start: Callable[..., Server]) -> None:
    """The rooms are joined again, and read anew."""
    old = start("--log", "memory")
    async with screen(old, "ann", "ops") as ann:
        await ann.enter("before")
        await ann.shows("1 before")
        await asyncio.to_thread(old.stop)
        new = await asyncio.to_thread(start, "--log", "memory", "--port", str(old.port))
        await ann.until(lambda: ann.app.model.online and ann.room.loaded and "before" not in ann.text)
        with join(new, "bob") as bob:
            await others(lambda: bob.send("message", room="ops", content="all is new"))
            await ann.shows("1 all is new")


@on_asyncio
async def test_the_server_says_stop(start: Callable[..., Server]) -> None:
    """The screen stays, with what was not sent."""
    server = start()
    async with screen(server, "ann") as ann:
        token = await ann.app.link.ask(_session)
        with join(server, "ann", resume={"session": token, "rooms": {}}):
            await ann.until(lambda: ann.status.startswith("the connection has ended: 4506"))
            await ann.enter("too late")
            await ann.shows("too late", "not sent:")


@on_asyncio
async def test_one_who_is_not_let_in(server: Server, room: str) -> None:
    with join(server, f"ann {room}"):
        app = ChatApp(Login(url=server.url, name=f"ann {room}"), "general")
        async with app.run_test() as pilot:
            screen_ = Screen(app, pilot)
            await screen_.until(lambda: app.return_value is not None)
        assert app.return_value == f"{server.url}: 4502: Username is already taken"


@on_asyncio
async def test_leaving_frees_the_name(server: Server, room: str) -> None:
    async with screen(server, f"ann {room}", room) as ann:
        await ann.enter("/quit")
        await ann.until(lambda: not ann.app.is_running)
    with join(server, f"ann {room}"):
        pass


async def _session(client: object) -> str:
    """The token of a client's session."""
    return str(client._driver.session._session)  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(30, 10), (200, 60)])
def test_sizes(server: Server, room: str, size: tuple[int, int]) -> None:
    async def look() -> None:
        async with screen(server, f"ann {room}", room, size=size) as ann:
            await ann.enter("it fits")
            await ann.shows("it fits")

    asyncio.run(look())
