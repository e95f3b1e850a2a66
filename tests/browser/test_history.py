"""A long history: scrolled without a jump, with few rows in the page however many there are."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.process import Server

from .crowd import post
from .people import Person, Sit

MOST_ROWS = 260  # in the page: the window, marks, and what is on its way
HELD = 1000
LIVE = 500
# Scroll up by `step`; then, for ten pictures, hold a row that is in sight against where it was.
WATCH = """async (step) => {
  const scroller = document.getElementById("scroller");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  scroller.scrollTop = Math.max(0, scroller.scrollTop - step);
  await frame();
  const top = scroller.getBoundingClientRect().top;
  const rows = [...document.querySelectorAll("#messages > li[data-seq]")];
  const row = rows.find((one) => one.getBoundingClientRect().top > top + 40);
  const was = row.getBoundingClientRect().top;
  let jump = 0;
  for (let picture = 0; picture < 10; picture++) {
    await frame();
    jump = Math.max(jump, row.isConnected ? Math.abs(row.getBoundingClientRect().top - was) : Infinity);
  }
  return { jump, rows: document.querySelectorAll("#messages > li").length, first: Number(row.dataset.seq) };
}"""


def numbers(person: Person) -> list[int]:
    """Of the messages in the page."""
    return [int(content.split()[1]) for content in person.contents()]


def test_a_thousand_messages_are_scrolled_without_a_jump(sit: Sit, server: Server) -> None:
    post(server, "ann", [f"message {number}" + "\nand more" * (number % 4) for number in range(HELD)])
    bob = sit().join("bob")
    bob.sees(f"message {HELD - 1}\nand more\nand more\nand more")
    seen, jumps, rows = set(numbers(bob)), [], []
    for _ in range(400):
        found = bob.page.evaluate(WATCH, 900)
        jumps.append(found["jump"])
        rows.append(found["rows"])
        seen |= set(numbers(bob))
        if 0 in seen and bob.page.evaluate("document.getElementById('scroller').scrollTop") == 0:
            break
    assert seen == set(range(HELD))
    assert max(jumps) <= 1, jumps
    assert max(rows) <= MOST_ROWS
    assert numbers(bob) == sorted(numbers(bob))
    expect(bob.page.locator("#beginning")).to_be_visible()
    bob.page.locator("#below").click()
    expect(bob.row(f"message {HELD - 1}\nand more\nand more\nand more")).to_be_in_viewport()


def test_what_comes_while_one_reads_further_up_moves_nothing(sit: Sit, server: Server) -> None:
    post(server, "ann", [f"message {number}" for number in range(200)])
    bob, ann = sit().join("bob"), sit().join("anna")
    bob.sees("message 199")
    before = bob.page.evaluate(WATCH, 1500)
    for number in range(5):
        ann.say(f"news {number}")
    ann.sees("news 4")
    expect(bob.page.locator("#below")).to_have_text("5 new ↓")
    after = bob.page.evaluate(WATCH, 0)
    assert (after["jump"], after["first"]) == (0, before["first"])
    bob.page.locator("#below").click()
    expect(bob.row("news 4")).to_be_in_viewport()


def test_hundreds_that_come_live_leave_few_rows(sit: Sit, server: Server) -> None:
    bob = sit().join("bob")
    post(server, "ann", [f"message {number}" for number in range(LIVE)])
    bob.sees(f"message {LIVE - 1}")
    expect(bob.row(f"message {LIVE - 1}")).to_be_in_viewport()
    assert bob.page.locator("#messages > li").count() <= MOST_ROWS
