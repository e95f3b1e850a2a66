"""Everything is done with keys alone, and what has the focus can be seen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .people import Sit


def focused(page: Page) -> str:
    """What a screen reader would call it, roughly."""
    name = page.evaluate(
        "() => { const one = document.activeElement; "
        "return one.getAttribute('aria-label') ?? one.closest('label')?.innerText ?? one.innerText ?? ''; }"
    )
    return str(name).strip()


# Whether one can see that it has the focus: by its own outline or shadow, or by that of the line it stands in.
SEEN = """() => {
  const one = document.activeElement;
  const marked = ({ outlineStyle, boxShadow }) => outlineStyle !== "none" || boxShadow !== "none";
  const line = one.closest(".line");
  return one.getBoundingClientRect().width > 0 && (marked(getComputedStyle(one)) || marked(getComputedStyle(line)));
}"""


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press a key until this has the focus; it can be seen then."""
    for _ in range(60):
        page.keyboard.press(key)
        if name in focused(page):
            assert page.evaluate(SEEN), f"one cannot see that {name!r} has the focus"
            return
    raise AssertionError(f"{name!r} cannot be reached by {key}")


def test_a_conversation_by_keys_alone(sit: Sit) -> None:
    bob = sit().join("bob")
    alice = sit()
    page, keys = alice.page, alice.page.keyboard
    page.goto(alice.address)
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    keys.type("alice")
    keys.press("Enter")
    alice.arrived()
    expect(alice.text).to_be_focused()

    keys.type("hello there")
    keys.press("Shift+Enter")
    keys.type("second line")
    keys.press("Enter")
    bob.sees("hello there\nsecond line")
    bob.say("hello yourself")
    alice.sees("hello yourself")

    # To the messages: the newest first, then up; Enter for what can be done.
    tab_to(page, "Messages", "Shift+Tab")
    keys.press("Enter")
    expect(alice.row("hello yourself")).to_be_focused()
    keys.press("ArrowUp")
    expect(alice.row("hello there\nsecond line")).to_be_focused()
    keys.press("ArrowDown")
    keys.press("Enter")
    assert focused(page) == "React"
    keys.press("Enter")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(bob.row("hello yourself").locator(".reaction")).to_have_attribute("aria-label", "❤️, 1: alice")
    tab_to(page, "Reply")
    keys.press("Enter")
    expect(alice.text).to_be_focused()
    keys.type("a reply")
    keys.press("Enter")
    bob.sees("a reply")
    alice.sees("a reply")

    # One's own last message: edit, then give that up, then delete it.
    keys.press("ArrowUp")
    keys.type("!")
    keys.press("Enter")
    bob.sees("a reply!")
    alice.sees("a reply!")
    keys.press("ArrowUp")
    keys.press("Escape")
    assert alice.text.input_value() == ""
    tab_to(page, "Messages", "Shift+Tab")
    keys.press("ArrowUp")
    keys.press("Enter")
    tab_to(page, "Delete", "ArrowRight")
    keys.press("Enter")
    assert focused(page) == "Delete"
    keys.press("Enter")
    expect(bob.page.locator(".deleted")).to_be_visible()
    keys.press("Escape")

    # A room, a person, the search; each is left again with Escape.
    tab_to(page, "Find or make a room")
    keys.press("Enter")
    keys.type("den")
    keys.press("Enter")
    alice.arrived("den")
    tab_to(page, "general", "Shift+Tab")
    keys.press("Enter")
    alice.arrived("general")
    tab_to(page, "bob")
    keys.press("Enter")
    assert focused(page) == "Write in private"
    keys.press("Enter")
    alice.arrived("bob")
    keys.type("psst")
    keys.press("Enter")
    expect(bob.page.locator("#talk-list button")).to_contain_text("alice")
    keys.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tab_to(page, "Leave the chat", "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


def test_drawers_by_keys_on_a_small_screen(sit: Sit) -> None:
    alice = sit(viewport={"width": 360, "height": 740}).join("alice")
    page, keys = alice.page, alice.page.keyboard
    tab_to(page, "Rooms", "Shift+Tab")
    keys.press("Enter")
    expect(page.locator("#rooms")).to_be_visible()
    assert page.evaluate("document.getElementById('rooms').contains(document.activeElement)")
    keys.press("Escape")
    expect(page.locator("#rooms")).to_be_hidden()
    expect(alice.text).to_be_focused()
    tab_to(page, "People", "Shift+Tab")
    keys.press("Enter")
    expect(page.locator("#people")).to_be_visible()
    keys.press("Escape")
    expect(page.locator("#people")).to_be_hidden()
