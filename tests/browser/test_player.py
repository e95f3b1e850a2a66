"""The trace player, by its keys: a run as one file, at two widths, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it says nothing of its types
from playwright.sync_api import Browser, Page, expect

from trio_chat.sim.player import page as played
from trio_chat.sim.run import Outcome, simulate
from trio_chat.sim.scenario import FaultPlan, Scenario, UsersPlan

Scheme: TypeAlias = Literal["light", "dark"]
Opened: TypeAlias = Callable[..., Page]
CONTROLS = ("Play", "Previous event", "Next event", "Time", "Shown", "Lanes")  # in the order of Tab
RANGES = {"Time": "#time", "Shown": "#span"}


@pytest.fixture(scope="module")
def run() -> Outcome:
    """A short conversation in a run of more than a day: the server is gone for most of it."""
    faults = (FaultPlan(kind="crash", at=3.0, lasts=100_000.0),)
    return simulate(Scenario(seconds=5.0, users=(UsersPlan(count=3, every=0.3),), faults=faults), 1, steps=True)


@pytest.fixture
def opened(browser: Browser, run: Outcome, tmp_path: Path) -> Iterator[Opened]:
    """Open it; what its script could not do ends the test."""
    file = tmp_path / "run.html"
    file.write_text(played(run), encoding="utf-8")
    contexts, errors = [], []

    def opening(width: int = 1280, scheme: Scheme = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield opening
    for context in contexts:
        context.close()
    assert errors == []


def event(page: Page) -> int:
    """The number of the event that the page is at, from 0; -1: before them all."""
    told = page.get_by_role("status").inner_text()
    return -1 if told == "Nothing yet" else int(told.split()[1]) - 1


def now(page: Page) -> float:
    """The moment, in seconds."""
    return float(page.locator("#now").inner_text().removesuffix(" s"))


def ticks(page: Page) -> list[float]:
    """What is written at the axis."""
    written = page.locator("#axis").get_attribute("data-ticks") or ""
    return [float(one.removesuffix(" s")) for one in written.split("; ") if one]


def test_each_arrow_is_one_event_however_long_the_run(opened: Opened, run: Outcome) -> None:
    page, happenings = opened(), run.trace.happenings
    page.keyboard.press("Home")
    if event(page) >= 0:  # some happened at 0, and the last of them is told
        assert happenings[event(page)].at == 0
    for number in range(event(page) + 1, 60):
        page.keyboard.press("ArrowRight")
        assert event(page) == number
        assert now(page) == pytest.approx(happenings[number].at, abs=0.001)
        current = page.locator("#list [aria-current]")
        expect(current).to_have_count(1)
        assert happenings[number].text in (current.text_content() or "")
    for number in range(58, 50, -1):
        page.keyboard.press("ArrowLeft")
        assert event(page) == number
    page.keyboard.press("Shift+ArrowRight")
    assert event(page) == 61
    page.keyboard.press("End")
    assert event(page) == len(happenings) - 1
    page.keyboard.press("ArrowRight")
    assert event(page) == len(happenings) - 1


def test_the_keys_are_the_same_whatever_has_the_focus(opened: Opened) -> None:
    page = opened()
    begin = event(page)
    for name in CONTROLS:
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(one => (one.ariaLabel ?? (one.labels?.[0] ?? one).innerText).trim())(document.activeElement)"
        )
        assert focused.startswith(name)
        page.keyboard.press("ArrowRight")
        assert event(page) == begin + 1, name
        shown = page.locator("#shown").inner_text()
        page.keyboard.press("ArrowLeft")
        assert event(page) == begin, name
        assert page.locator("#shown").inner_text() == shown, name
        page.keyboard.press("+")
        assert page.locator("#shown").inner_text() != shown, name
        page.keyboard.press("-")
        assert page.locator("#shown").inner_text() == shown, name
    for name in ("Previous event", "Next event"):
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        assert event(page) == begin - (name == "Previous event"), name


def test_space_plays_and_pauses_also_on_a_button(opened: Opened) -> None:
    page = opened()
    for name in ("Play", "Time", "Shown", "Lanes"):
        page.locator(RANGES.get(name, "#play" if name == "Play" else "#stage")).focus()
        page.keyboard.press("Space")
        expect(page.locator("#play")).to_have_text("Pause")
        page.keyboard.press("Space")
        expect(page.locator("#play")).to_have_text("Play")
    page.keyboard.press("End")
    at_the_end = now(page)
    page.keyboard.press("Space")  # from the beginning again
    page.wait_for_function("parseFloat(document.getElementById('now').textContent) > 0")
    page.keyboard.press("Space")
    assert now(page) < at_the_end


@pytest.mark.parametrize("width", [360, 1280])
def test_an_axis_of_virtual_seconds_at_any_zoom(opened: Opened, run: Outcome, width: int) -> None:
    page = opened(width)
    for key in ("Home", "ArrowRight", "End"):
        page.keyboard.press(key)
        for value in (1, 20, 40, 70, 100):
            page.locator("#span").fill(str(value))
            shown, at, marks = float(page.locator("#shown").inner_text().removesuffix(" s")), now(page), ticks(page)
            assert marks == sorted(set(marks)), (key, value)
            assert len(marks) >= 1, (key, value)
            slack = 0.001 + shown * 1e-6
            assert all(at - shown / 2 - slack <= mark <= at + shown / 2 + slack for mark in marks), (key, value)
            assert all(0 <= mark <= run.virtual for mark in marks), (key, value)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_it_looks(opened: Opened, shots: Path, width: int, scheme: Scheme) -> None:
    page = opened(width, scheme)
    page.keyboard.press("Shift+ArrowLeft")
    page.screenshot(path=shots / f"player-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for name in ("Time", "Shown"):
        expect(page.get_by_label(name, exact=True)).to_have_js_property("type", "range")
        assert " s" in (page.get_by_label(name, exact=True).get_attribute("aria-valuetext") or "")
    rules = Axe().run(page).response["violations"]
    assert [rule["id"] for rule in rules] == []
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
