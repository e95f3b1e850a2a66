"""People in two browsers talk, and do with messages and rooms what can be done with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.auth.keyring import key_file, token
from tests.e2e.process import Server
from trio_chat.auth.tokens import LEEWAY
from trio_chat.client import ChatClient

from .conftest import page_of
from .crowd import post, run_client
from .people import Sit, seats


def test_two_browsers_chat(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    alice.say("hello, bob")
    bob.sees("hello, bob")
    bob.say("hello, alice")
    alice.sees("hello, alice")
    assert alice.contents() == bob.contents() == ["hello, bob", "hello, alice"]
    for person in (alice, bob):
        assert sorted(person.page.locator("#member-list .name").all_inner_texts()) == ["alice", "bob"]
    expect(alice.page.locator(".mark.day")).to_have_text("Today")


def test_messages_are_grouped_by_sender(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    for content in ("one", "two"):
        alice.say(content)
        bob.sees(content)
    bob.say("three")
    alice.sees("three")
    shown = [bool(row.locator(".person").count()) for row in alice.rows.all()]
    assert shown == [True, False, True]


def test_typing_is_shown_and_is_over_with_the_message(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    alice.text.press_sequentially("hel")
    expect(bob.page.locator("#typing")).to_have_text("alice is typing…")
    alice.say("hello")
    bob.sees("hello")
    expect(bob.page.locator("#typing")).to_have_text("")


def test_edit_delete_reply_and_react(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    alice.say("the frist one")
    alice.sees("the frist one")
    alice.text.press("ArrowUp")  # the last message of one's own
    alice.say("the first one")
    row = bob.sees("the first one")
    expect(row.locator(".edited")).to_be_visible()
    bob.act("the first one", "React")
    bob.page.get_by_role("menuitem", name="thumbs up").click()
    reaction = alice.row("the first one").locator(".reaction")
    expect(reaction).to_have_attribute("aria-label", "👍, 1: bob")
    reaction.click()
    expect(bob.row("the first one").locator(".reaction")).to_have_attribute("aria-label", "👍, 2: bob, alice")
    bob.row("the first one").locator(".reaction").click()
    expect(reaction).to_have_attribute("aria-label", "👍, 1: alice")
    bob.act("the first one", "Reply")
    bob.say("I agree")
    expect(alice.sees("I agree").locator(".quote")).to_contain_text("alice the first one")
    alice.act("the first one", "Delete")
    alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    for person in (alice, bob):
        expect(person.page.locator(".deleted")).to_have_text("This message was deleted")
        expect(person.page.locator(".quote")).to_contain_text("a deleted message")
        assert "the first one" not in person.page.locator("body").inner_text()


def test_a_private_conversation_is_of_two(sit: Sit) -> None:
    alice, bob, carol = sit().join("alice"), sit().join("bob"), sit().join("carol")
    alice.person_menu("bob", "Write in private")
    alice.say("psst")
    talk = bob.page.locator("#talk-list button")
    expect(talk.locator(".badge")).to_have_text("1 unread")
    expect(bob.page).to_have_title("(1) general · trio_chat")
    talk.click()
    bob.sees("psst")
    expect(talk.locator(".badge")).to_have_count(0)
    expect(bob.page).to_have_title("alice · trio_chat")
    bob.say("yes?")
    alice.sees("yes?")
    alice.say("done")
    assert carol.page.locator("#talk-list button").count() == 0


def test_unread_is_counted_and_marked(sit: Sit, server: Server) -> None:
    alice, bob = sit().join("alice"), sit().join("bob", "den")
    bob.open("general")
    alice.page.goto(f"{alice.address}#den")
    alice.arrived("den")
    for content in ("one", "two", "three for bob"):
        alice.say(content)
    badge = bob.page.locator("#room-list button", has_text="den").locator(".badge")
    expect(badge).to_have_text("3 unread")
    expect(badge).to_have_class(re.compile("mention"))
    bob.open("den")
    expect(bob.page.locator("#messages .mark.new + li")).to_contain_text("one")
    expect(badge).to_have_count(0)
    bob.page.reload()
    bob.arrived("den")
    expect(badge).to_have_count(0)


def test_rooms_are_found_made_and_left(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    alice.page.get_by_role("button", name="Find or make a room").click()
    alice.page.get_by_role("dialog").get_by_label("Room").fill("tea house")
    alice.page.keyboard.press("Enter")
    alice.arrived("tea house")
    alice.room_menu("Set the topic…")
    alice.page.get_by_label("What the room is about").fill("Tea, mostly")
    alice.page.get_by_role("button", name="Set the topic").click()
    expect(alice.page.locator("#room-topic")).to_have_text("Tea, mostly")
    bob.page.get_by_role("button", name="Find or make a room").click()
    offer = bob.page.get_by_role("dialog").get_by_role("button", name="tea house")
    expect(offer).to_contain_text("Tea, mostly")
    offer.click()
    bob.arrived("tea house")
    expect(bob.page.locator("#room-topic")).to_have_text("Tea, mostly")
    expect(bob.page.locator(".note")).to_contain_text("alice set the topic: Tea, mostly")
    bob.room_menu("Leave the room")
    expect(bob.page.locator("#room-title")).to_have_text("general")
    expect(bob.page.locator("#room-list button")).to_have_count(1)


def test_who_may_moderate_can_and_others_are_not_offered_it(sit: Sit) -> None:
    alice, bob = sit().join("alice", "den"), sit().join("bob", "den")
    bob.say("rude words")
    alice.say("kind words")
    bob.sees("kind words").hover()
    assert bob.page.locator(".toolbar button:visible").count() == 2  # React and Reply
    bob.page.locator("#member-list button", has_text="alice").click()
    assert bob.page.get_by_role("menuitem").all_inner_texts() == ["Write in private", "Block", "Unblock"]
    bob.page.keyboard.press("Escape")
    bob.page.locator("#room-menu").click()
    assert bob.page.get_by_role("menuitem").all_inner_texts() == ["Leave the room"]
    bob.page.keyboard.press("Escape")

    alice.act("rude words", "Delete")
    alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(bob.page.locator(".deleted")).to_be_visible()
    alice.person_menu("bob", "Mute…")
    alice.page.get_by_label("For how long").select_option("1 hour")
    alice.page.get_by_label("Reason").fill("to calm down")
    alice.page.get_by_role("button", name="Mute").click()
    bob.notice("alice muted bob until")
    bob.say("but why")
    expect(bob.page.locator(".pending .state")).to_contain_text("Not sent: You are muted in this room")
    bob.page.get_by_role("button", name="Discard").click()
    expect(bob.page.locator(".pending")).to_have_count(0)
    alice.person_menu("bob", "Unmute")
    bob.notice("alice unmuted bob")
    bob.say("sorry")
    alice.sees("sorry")
    alice.person_menu("bob", "Make a moderator")
    bob.notice("made bob a moderator")
    bob.page.locator("#room-menu").click()
    assert "Set the topic…" in bob.page.get_by_role("menuitem").all_inner_texts()
    bob.page.keyboard.press("Escape")
    alice.person_menu("bob", "Ban…")
    alice.page.get_by_role("button", name="Ban", exact=True).click()
    bob.notice("alice banned bob")
    expect(bob.page.locator("#room-title")).to_have_text("general")
    expect(bob.page.locator("#room-list button")).to_have_count(1)


def test_search_leads_to_the_message(sit: Sit, server: Server) -> None:
    post(server, "ann", ["the needle is here", *(f"hay {number}" for number in range(400))])
    alice = sit().join("alice")
    alice.page.keyboard.press("Control+k")
    alice.page.get_by_label("Words to look for").fill("needle")
    hit = alice.page.get_by_role("button", name=re.compile("the needle is here"))
    hit.click()
    expect(alice.row("the needle is here")).to_be_in_viewport()
    expect(alice.row("the needle is here")).to_be_focused()
    alice.page.locator("#below").click()
    expect(alice.row("hay 399")).to_be_in_viewport()


def test_a_reload_goes_on_with_the_session(sit: Sit) -> None:
    alice, bob = sit().join("alice", "den"), sit().join("bob", "den")
    alice.say("before")
    bob.sees("before")
    alice.page.reload()
    alice.arrived("den")
    bob.say("after")
    alice.sees("after")
    assert alice.contents() == ["before", "after"]
    alice.page.get_by_role("button", name="Leave the chat").click()
    expect(alice.page.get_by_label("Name", exact=True)).to_be_focused()


def test_a_name_that_is_taken_is_asked_for_again(sit: Sit) -> None:
    sit().join("alice")
    other = sit()
    other.page.goto(other.address)
    other.page.get_by_label("Name", exact=True).fill("alice")
    other.page.keyboard.press("Enter")
    expect(other.page.locator("#login-problem")).to_contain_text("Username is already taken")
    other.page.get_by_label("Name", exact=True).fill("alicia")
    other.page.keyboard.press("Enter")
    other.arrived()


def test_accounts_ask_for_a_password(browser: Browser, start: Callable[..., Server]) -> None:
    server = start("--auth", "accounts")
    with seats(browser, page_of(server)) as sit:
        alice = sit()
        alice.page.goto(alice.address)
        alice.page.get_by_label("Name", exact=True).fill("alice")
        alice.page.keyboard.press("Enter")  # as a guest: it says what it wants instead
        password = alice.page.get_by_label("Password", exact=True)
        password.fill("correct horse")
        alice.page.get_by_label("I am new here").check()
        alice.page.get_by_role("button", name="Join").click()
        alice.arrived()
        alice.page.get_by_role("button", name="Leave the chat").click()
        password.fill("wrong horse")
        alice.page.get_by_label("I am new here").uncheck()
        alice.page.get_by_role("button", name="Join").click()
        expect(alice.page.locator("#login-problem")).to_contain_text("The name or the password is wrong")
        password.fill("correct horse")
        alice.page.get_by_role("button", name="Join").click()
        alice.arrived()


def test_tokens_are_asked_for(browser: Browser, start: Callable[..., Server], tmp_path: Path) -> None:
    server = start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")))
    with seats(browser, page_of(server)) as sit:
        alice = sit()
        alice.page.goto(alice.address)
        alice.page.get_by_label("Name", exact=True).fill("alice")
        alice.page.keyboard.press("Enter")
        alice.page.get_by_label("Token", exact=True).fill(token(sub="alice"))
        alice.page.get_by_role("button", name="Join").click()
        alice.arrived()
        expect(alice.page.locator("#me")).to_have_text("Alice")


def test_a_token_that_expires_is_asked_for_anew_and_the_session_goes_on(
    browser: Browser, start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")))
    with seats(browser, page_of(server)) as sit:
        alice = sit()
        alice.page.goto(f"{alice.address}#den")
        alice.page.get_by_text("Another way to come in").click()
        alice.page.get_by_label("With a token").check()
        alice.page.get_by_label("Token", exact=True).fill(token(sub="alice", ttl=4 - LEEWAY))
        alice.page.get_by_role("button", name="Join").click()
        alice.arrived("den")
        alice.say("before")
        expect(alice.page.locator("#login-problem")).to_contain_text("Your token has expired")
        alice.page.get_by_label("Token", exact=True).fill(token(sub="alice"))
        alice.page.get_by_role("button", name="Join").click()
        alice.arrived("den")
        alice.sees("before")
        alice.say("after")
        alice.sees("after")
        assert alice.contents() == ["before", "after"]


# A notification cannot be seen from within the page: what would be shown is written down, as is where it leads to.
NOTED = """
window.shown = [];
window.Notification = class { constructor(title, options) { window.shown.push([title, options.body]); } };
Notification.permission = "granted";
Notification.requestPermission = async () => "granted";
document.hasFocus = () => false;
"""


def test_notifications_are_of_what_concerns_one(sit: Sit) -> None:
    alice, bob = sit(), sit().join("bob")
    alice.page.add_init_script(NOTED)
    alice.join("alice")
    bob.say("not asked for yet, alice")
    alice.sees("not asked for yet, alice")
    alice.page.get_by_role("button", name="Notifications").click()
    expect(alice.page.get_by_role("button", name="Notifications")).to_have_attribute("aria-pressed", "true")
    bob.say("nothing special")
    bob.say("hello Alice, look")
    bob.person_menu("alice", "Write in private")
    bob.say("psst")
    expect(alice.page.locator("#talk-list .badge")).to_be_visible()
    assert alice.page.evaluate("window.shown") == [["bob in general", "hello Alice, look"], ["bob", "psst"]]


def test_a_room_that_tells_who_has_read(sit: Sit) -> None:
    alice, bob = sit().join("alice", "den"), sit().join("bob", "den")
    alice.room_menu("Room settings…")
    alice.page.get_by_label("Show who has read").select_option("Yes")
    alice.page.get_by_role("button", name="Save").click()
    expect(bob.page.locator(".note")).to_contain_text("tells who has read")
    alice.say("read this")
    bob.sees("read this")
    expect(alice.page.locator("#typing")).to_have_text("Seen by bob")


def test_one_of_hundreds_of_rooms_is_found(browser: Browser, start: Callable[..., Server]) -> None:
    server = start("--rooms-per-user", "256", "--rooms-created-per-hour", "256")

    async def make(client: ChatClient) -> None:
        for number in range(250):
            await client.send_message("a room of which something is said stays", f"room {number:03}")

    with seats(browser, page_of(server)) as sit:
        run_client(server, "carol", make)
        alice = sit().join("alice")
        alice.page.get_by_role("button", name="Find or make a room").click()
        dialog = alice.page.get_by_role("dialog")
        expect(dialog).to_contain_text("There are more")
        for number in ("000", "249"):
            dialog.get_by_label("Room").fill(f"om {number}")
            expect(dialog.locator(".offer")).to_have_count(1)
        dialog.locator(".offer").click()
        alice.arrived("room 249")


def test_a_private_room_is_come_into_by_invitation(sit: Sit) -> None:
    alice, bob = sit().join("alice", "den"), sit().join("bob")
    alice.room_menu("Room settings…")
    alice.page.get_by_label("Who comes in").select_option("private")
    alice.page.get_by_role("button", name="Save").click()
    expect(alice.page.locator(".note")).to_contain_text("private")
    bob.page.goto(f"{bob.address}#den")
    bob.notice("There is no such room")
    alice.room_menu("Invite…")
    alice.page.get_by_role("dialog").get_by_label("Name").fill("bob")
    alice.page.get_by_role("button", name="Invite").click()
    bob.page.get_by_role("button", name="Go there").click()
    bob.arrived("den")
    expect(bob.page.locator(".invitation")).to_have_count(0)


def test_a_blocked_person_is_heard_no_more(sit: Sit) -> None:
    alice, bob = sit().join("alice"), sit().join("bob")
    alice.person_menu("bob", "Block")
    alice.notice("bob is blocked")
    bob.person_menu("alice", "Write in private")
    bob.say("can you hear me")
    bob.sees("can you hear me")
    bob.open("general")
    bob.say("hello")
    alice.sees("hello")
    assert alice.page.locator("#talk-list button").count() == 0


def test_a_very_long_message_is_shown_in_part(sit: Sit) -> None:
    alice = sit().join("alice")
    alice.say("x" * 20_000 + " the end")
    more = alice.page.get_by_role("button", name="Show all 20,008 characters")
    expect(more).to_be_visible()
    more.click()
    expect(alice.page.locator("#messages .content")).to_contain_text("the end")


def test_links_and_code(sit: Sit) -> None:
    alice = sit().join("alice")
    alice.say("See https://example.org/a_(b)?q=1&r=2. Not javascript:alert(1), nor ftp://example.org/; `code <b>`")
    content = alice.page.locator("#messages li[data-seq] .content")
    expect(content.locator("a")).to_have_count(1)
    expect(content.locator("a")).to_have_attribute("href", "https://example.org/a_(b)?q=1&r=2")
    expect(content.locator("a")).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(content.locator("code")).to_have_text("code <b>")
    alice.say("```\nlet x = `1`; // https://example.org/\n```")
    expect(content.locator("pre")).to_have_text("let x = `1`; // https://example.org/")
    expect(content.locator("pre a")).to_have_count(0)
