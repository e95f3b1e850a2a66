"""A hundred ways to get code into a page: each is shown as the text that it is, wherever it turns up."""

from __future__ import annotations

from contextlib import suppress

import pytest
from playwright.sync_api import Dialog, Error, Page, expect

from tests.e2e.process import Server
from trio_chat.client import ChatClient, Refused

from .crowd import post, run_client
from .people import Person, Sit

CALLS = ["alert(1)", "window.pwned=1"]
TAGS = [
    "<script>{}</script>", "<ScRiPt>{}</sCrIpT>", "<script src=//evil.example/x.js></script><!--{}-->",
    "<img src=x onerror={}>", '<img src="x" onerror="{}">', "<img/src=x/onerror={}>", "<svg onload={}>",
    "<svg><script>{}</script></svg>", "<svg><animate onbegin={} attributeName=x dur=1s>", "<body onload={}>",
    "<iframe src='javascript:{}'></iframe>", "<iframe srcdoc='<script>{}</script>'></iframe>",
    "<details open ontoggle={}>", "<video><source onerror={}></video>", "<audio src=x onerror={}>",
    "<input autofocus onfocus={}>", "<select autofocus onfocus={}>", "<textarea autofocus onfocus={}>",
    "<marquee onstart={}>", "<object data='javascript:{}'>", "<embed src='javascript:{}'>",
    "<a href='javascript:{}'>x</a>", "<form action='javascript:{}'><button>x</button></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror={}></style></mglyph></table></mtext></math>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>", "<base href='javascript:{}//'>",
    "<link rel=stylesheet href='javascript:{}'>", "<style>@import 'javascript:{}';</style>",
    "<template><script>{}</script></template>", "<noscript><p title='</noscript><img src=x onerror={}>'>",
    "'\"><script>{}</script>", "</li></ol><script>{}</script>", "</textarea><script>{}</script>",
    "--><script>{}</script>", "]]><script>{}</script>", "<![CDATA[<script>{}</script>]]>",
    "&lt;script&gt;{}&lt;/script&gt;", "&#60;script&#62;{}&#60;/script&#62;", "\\u003cscript\\u003e{}\\u003c/script",
    "%3Cscript%3E{}%3C/script%3E",
]  # fmt: skip
LINKS = [
    "javascript:{}", "JaVaScRiPt:{}", "java\tscript:{}", "data:text/html,<script>{}</script>", "vbscript:{}",
    "blob:{}", "file:///{}", "https://evil.example/\"onmouseover={}", "https://evil.example/'onmouseover='{}",
    "http://javascript:{}@evil.example/",
]  # fmt: skip
FOREIGN = "script, iframe, object, embed, style, base, meta, video, audio, marquee, math, img, form:not(#composer)"
PAYLOADS = [pattern.replace("{}", call) for pattern in TAGS + LINKS for call in CALLS]


def harmless(person: Person) -> None:
    """Nothing of it ran, nothing became an element, and no link leads to code."""
    page = person.page
    assert page.evaluate("window.pwned") is None
    assert page.locator(f"#app :is({FOREIGN})").count() == 0
    links = page.locator("#messages a").evaluate_all("(all) => all.map((one) => [one.protocol, one.rel, one.target])")
    assert all(link == [link[0], "noopener noreferrer nofollow", "_blank"] for link in links)
    assert {link[0] for link in links} <= {"http:", "https:"}
    attributes = page.locator("#app *").evaluate_all("(all) => all.flatMap((one) => one.getAttributeNames())")
    assert [name for name in attributes if name.startswith("on")] == []
    assert page.locator("#messages [style]").count() == 0


def watch(page: Page) -> list[str]:
    """Dialogs that a page opens, from now on."""
    opened: list[str] = []

    def answer(dialog: Dialog) -> None:
        opened.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", answer)
    return opened


def test_there_are_a_hundred() -> None:
    assert len(set(PAYLOADS)) == 100


def test_contents_are_text(sit: Sit, server: Server) -> None:
    alice = sit().join("alice", "den")
    opened = watch(alice.page)

    async def attack(client: ChatClient) -> None:
        await client.join("den")
        for payload in PAYLOADS:
            await client.send_message(payload, "den")
        await client.send_message("over", "den")

    run_client(server, "mallory", attack)
    alice.sees("over")
    alice.to_the_beginning()
    assert alice.page.locator("#messages .content").evaluate_all("(all) => all.map((one) => one.textContent)") == [
        *PAYLOADS,
        "over",
    ]
    harmless(alice)
    alice.page.reload()  # and out of the history
    alice.arrived("den")
    alice.sees("over")
    harmless(alice)
    assert opened == []


def test_topics_and_reactions_are_text(sit: Sit, server: Server) -> None:
    async def attack(client: ChatClient) -> None:
        """Whoever makes a room may set its topic; what is no emoji is refused, and the rest goes on."""
        posted = await client.send_message("here", "lair")
        for payload in PAYLOADS:
            with suppress(Refused):
                await client.set_topic("lair", payload)
            with suppress(Refused):
                await client.react("lair", posted.seq, payload[:32])

    run_client(server, "mallory", attack)
    alice = sit().join("alice", "lair")
    opened = watch(alice.page)
    expect(alice.page.locator("#room-topic")).to_contain_text("evil.example")
    alice.to_the_beginning()
    alice.sees("here")
    expect(alice.page.locator(".note")).to_have_count(98)  # a topic has no tab in it
    harmless(alice)
    alice.page.get_by_role("button", name="Find or make a room").click()
    expect(alice.page.get_by_role("dialog").get_by_text("evil.example")).to_be_visible()
    harmless(alice)
    assert opened == []


def test_names_are_text_or_refused(sit: Sit) -> None:
    mallory = sit()
    opened = watch(mallory.page)
    mallory.page.goto(mallory.address)
    problem = mallory.page.locator("#login-problem")
    for payload in PAYLOADS[::5]:
        mallory.page.get_by_label("Name", exact=True).fill(payload[:32])
        mallory.page.get_by_role("button", name="Join").click()
        expect(problem).to_contain_text("username must be")
    mallory.join("mallory")
    mallory.page.get_by_role("button", name="Find or make a room").click()
    for payload in PAYLOADS[::5]:
        mallory.page.get_by_role("dialog").get_by_label("Room").fill(payload[:32])
        mallory.page.keyboard.press("Enter")
        expect(mallory.page.get_by_role("dialog").locator(".problem")).not_to_be_empty()
    mallory.page.keyboard.press("Escape")
    mallory.page.goto(f"{mallory.address}#@<img src=x onerror=alert(1)>")
    harmless(mallory)
    assert opened == []


@pytest.mark.parametrize("content", [f"{'-' * 1_000_000}x", "alice" * 200_000, f"http://x{')' * 5_900}"])
def test_no_content_is_slow_to_look_through(sit: Sit, server: Server, content: str) -> None:
    """Were the time quadratic in the length of what is said, the page would stand still for minutes."""
    alice = sit().join("alice")
    post(server, "mallory", [*[content] * (300 if len(content) < 10_000 else 1), "after"])
    alice.sees("after")
    alice.to_the_beginning()
    alice.page.locator("#below").click()
    alice.sees("after")


@pytest.mark.parametrize("content", [f"http://x{')' * 90_000}", "`a` " * 200_000])
def test_the_whole_of_a_long_content_is_shown_when_asked_for(sit: Sit, server: Server, content: str) -> None:
    alice = sit().join("alice")
    post(server, "mallory", [content])
    alice.page.get_by_role("button", name="Show all").click()
    shown = "document.querySelector('#messages .content').textContent.length"
    assert alice.page.evaluate(shown) >= len(content.replace("`", ""))


def test_invitations_are_few_at_once_and_leave_the_focus_where_it_is(sit: Sit, server: Server) -> None:
    alice = sit().join("alice")
    alice.text.fill("I am writing")

    async def attack(client: ChatClient) -> None:
        for number in range(8):
            await client.join(f"lair {number}")
            await client.set_room(f"lair {number}", kind="private")
            for _ in range(3):
                await client.invite(f"lair {number}", "alice")

    run_client(server, "mallory", attack)
    invitations = alice.page.locator(".invitation")
    expect(invitations).to_contain_text([f"lair {number}" for number in range(4, 8)])
    expect(alice.text).to_be_focused()
    expect(alice.page.get_by_role("dialog")).to_have_count(0)
    for _ in range(4):
        invitations.first.get_by_role("button", name="Not now").click()
    expect(invitations).to_have_count(0)


def test_an_address_that_names_no_room_lets_one_in(sit: Sit) -> None:
    alice = sit()
    alice.page.goto(f"{alice.address}#%")
    alice.page.get_by_label("Name", exact=True).fill("alice")
    alice.page.get_by_role("button", name="Join").click()
    alice.arrived()
    alice.page.evaluate("location.hash = '#%E0%A4%A'")
    alice.say("still here")
    alice.sees("still here")


def test_the_policy_refuses_what_the_page_would_never_do(sit: Sit) -> None:
    """Should a text ever reach one of these, the browser says no."""
    alice = sit().join("alice")
    alice.may_fail = "Trusted|Content Security Policy|Content-Security-Policy"
    for sink in ("innerHTML", "outerHTML"):
        with pytest.raises(Error, match="TrustedHTML"):
            alice.page.evaluate(f"() => {{ document.getElementById('typing').{sink} = '<p>x</p>'; }}")
    with pytest.raises(Error, match="TrustedScript"):
        alice.page.evaluate("() => { document.createElement('script').text = 'window.pwned=1'; }")
    harmless(alice)
