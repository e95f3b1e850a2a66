"""How it looks, at three widths, light and dark: kept for people to look at; and what axe-core has to say of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it says nothing of its types
from playwright.sync_api import Browser, expect

from tests.e2e.process import Server
from trio_chat.client import ChatClient

from .conftest import FAST, QUICK, page_of
from .crowd import post, present, run_client
from .line import line_to
from .people import Person, seats

Scheme = Literal["light", "dark"]
SIZES = {360: 740, 768: 1024, 1440: 900}
LONG = "Wilhelmina.Featherstonehaugh-III"
ARABIC, HEBREW = "مريم الزهراء", "דוד לוי"
ROOM, LONG_ROOM = "tea house", "the-room-of-the-very-long-names"
CODE = """It is one function:
```python
async def main() -> None:
    async with open_chat_client(url, "ann") as client:
        await client.send_message("hello, everybody who is in the general room of this server")
```
Run it with `trio.run(main)`."""
UNBROKEN = "https://example.org/" + "a-very-long-path-without-any-space/" * 6
GREETING = "שלום לכולם, מה שלומכם? (hello)"


@pytest.fixture(scope="module")
def furnished() -> Iterator[Server]:
    """A server whose rooms have all in them that can look wrong."""
    server = Server(*QUICK, *FAST).ready()
    names = [LONG, ARABIC, HEBREW, "bob", "carol-ann.smith", "Дмитрий", "李小龙"]
    with present(server, names):
        post(server, "ann", ["Good morning", "Is anybody here?", CODE], ROOM)
        post(server, "mary", [f"See {UNBROKEN} and http://example.org/b.", "It goes on and on. " * 20], ROOM)
        post(server, "سعاد", ["صباح الخير! كيف حالكم؟", GREETING], ROOM)
        yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def crowded() -> Iterator[Server]:
    """Five hundred people in one room."""
    server = Server(*QUICK, *FAST).ready()
    with present(server, [f"member {number}" for number in range(500)]):
        yield server
    assert server.stop() == 0


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    """What the person's system asks for."""
    return "dark" if request.param == "dark" else "light"


def look(person: Person, shots: Path, name: str) -> None:
    """Keep a picture at each width, and let axe-core look, too."""
    found: list[str] = []
    for width, height in SIZES.items():
        person.page.set_viewport_size({"width": width, "height": height})
        person.page.wait_for_timeout(150)  # the picture is of a page at rest; nothing is judged by it
        person.page.screenshot(path=shots / f"{name}-{width}.png")
        found += [f"{width}: {problem}" for problem in serious(person)]
        assert person.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
    assert found == []


def serious(person: Person) -> list[str]:
    """What axe-core takes for serious."""
    rules: list[dict[str, Any]] = Axe().run(person.page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:200] for node in rule['nodes']][:4]}"
        for rule in rules
        if rule["impact"] in ("serious", "critical")
    ]


def seated(browser: Browser, server: Server, scheme: Scheme) -> Any:
    """People whose system asks for this scheme."""
    return seats(browser, page_of(server), color_scheme=scheme)


def test_coming_in(browser: Browser, furnished: Server, scheme: Scheme, shots: Path) -> None:
    with seated(browser, furnished, scheme) as sit:
        person: Person = sit()
        person.page.goto(person.address)
        look(person, shots, f"login-{scheme}")
        person.page.get_by_text("Another way to come in").click()
        person.page.get_by_label("With a password").check()
        look(person, shots, f"login-password-{scheme}")


def test_a_room_in_which_something_was_said(browser: Browser, furnished: Server, scheme: Scheme, shots: Path) -> None:
    with seated(browser, furnished, scheme) as sit:
        zoe: Person = sit().join("zoe" if scheme == "light" else "zora", ROOM)
        zoe.sees(GREETING)
        zoe.act("Good morning", "React")
        zoe.page.get_by_role("menuitem", name="heart").click()
        expect(zoe.row("Good morning").locator(".reaction")).to_contain_text("❤️")
        zoe.act("Is anybody here?", "Reply")
        said = f"I am here, and this is a reply ({scheme})"
        zoe.say(said)
        zoe.act(said, "Reply")
        zoe.text.fill("A draft of\ntwo lines")
        zoe.row(said).hover()
        look(zoe, shots, f"room-{scheme}")
        zoe.row(said).hover()
        zoe.page.locator("#messages").get_by_role("button", name="React").click()
        zoe.page.screenshot(path=shots / f"react-{scheme}-1440.png")
        assert serious(zoe) == []


def test_empty_rooms_long_names_and_private_ones(
    browser: Browser, furnished: Server, scheme: Scheme, shots: Path
) -> None:
    with seated(browser, furnished, scheme) as sit:
        person: Person = sit().join(f"Maximiliana.Longname-of-{scheme}", "general")
        look(person, shots, f"empty-{scheme}")
        person.page.set_viewport_size({"width": 1440, "height": 900})
        person.page.get_by_role("button", name="Find or make a room").click()
        look(person, shots, f"rooms-{scheme}")
        person.page.keyboard.press("Escape")
        person.page.set_viewport_size({"width": 1440, "height": 900})
        for name in (LONG, ARABIC):
            person.open("general")
            person.person_menu(name, "Write in private")
            person.say(f"Hello {name}, how are you?")
        look(person, shots, f"private-{scheme}")
        person.page.set_viewport_size({"width": 360, "height": 740})
        person.page.get_by_role("button", name="Rooms", exact=True).click()
        person.page.screenshot(path=shots / f"drawer-{scheme}-360.png")
        assert serious(person) == []


def test_trouble_searches_and_judgements(browser: Browser, furnished: Server, scheme: Scheme, shots: Path) -> None:
    room = f"{LONG_ROOM[:20]} {scheme}"
    with seated(browser, furnished, scheme) as sit, line_to(furnished.port) as line:
        owner: Person = sit(line.address).join(f"owner {scheme}", room)
        rowdy: Person = sit().join(f"rowdy {scheme}", room)
        rowdy.say("Something rude")
        owner.sees("Something rude")
        owner.page.keyboard.press("Control+k")
        owner.page.get_by_label("Words to look for").fill("rude")
        expect(owner.page.locator(".hit")).to_have_count(1)
        look(owner, shots, f"search-{scheme}")
        owner.page.keyboard.press("Escape")
        owner.page.set_viewport_size({"width": 1440, "height": 900})
        owner.page.locator("#member-list button", has_text="rowdy").click()
        owner.page.screenshot(path=shots / f"person-{scheme}-1440.png")
        owner.page.get_by_role("menuitem", name="Mute…").click()
        look(owner, shots, f"mute-{scheme}")
        owner.page.get_by_role("button", name="Mute", exact=True).click()
        rowdy.say("But why?")
        expect(rowdy.page.locator(".pending .state")).to_contain_text("Not sent")
        look(rowdy, shots, f"refused-{scheme}")
        line.cut()
        expect(owner.page.locator("#connection")).to_be_visible()
        owner.say("Written while the network was away")
        look(owner, shots, f"lost-{scheme}")


def test_an_invitation(browser: Browser, furnished: Server, scheme: Scheme, shots: Path) -> None:
    async def invite(client: ChatClient) -> None:
        for room in (f"lair {scheme}", f"{LONG_ROOM[:20]}-lair-{scheme}"):
            await client.join(room)
            await client.set_room(room, kind="private")
            await client.invite(room, f"guest {scheme}")

    with seated(browser, furnished, scheme) as sit:
        guest: Person = sit().join(f"guest {scheme}", ROOM)
        run_client(furnished, f"host {scheme}", invite)
        expect(guest.page.locator(".invitation")).to_have_count(2)
        look(guest, shots, f"invitation-{scheme}")


def test_five_hundred_people(browser: Browser, crowded: Server, scheme: Scheme, shots: Path) -> None:
    with seated(browser, crowded, scheme) as sit:
        person: Person = sit().join(f"late {scheme}", "general")
        expect(person.page.locator("#people-count")).to_have_text("501")
        expect(person.page.locator("#member-list > li")).to_have_count(100)
        look(person, shots, f"crowd-{scheme}")
        person.page.set_viewport_size({"width": 360, "height": 740})
        person.page.get_by_role("button", name="People", exact=True).click()
        person.page.screenshot(path=shots / f"crowd-drawer-{scheme}-360.png")
        assert serious(person) == []
