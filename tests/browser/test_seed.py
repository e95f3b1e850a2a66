"""The older system's browser client, in a browser: what it is documented to do, it does with this server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.process import ROOT, Server

from .conftest import page_of

SEED = ROOT / "tests" / "seed"


def test_two_meet_talk_are_cut_off_and_part(browser: Browser, server: Server) -> None:
    """Its page came from another place, and has other rules than ours."""
    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto(page_of(server) + "healthz")
        for name in ("message_service.js", "proof.js"):
            page.add_script_tag(path=SEED / name)
        lines = page.evaluate("url => seedProof(url)", server.url)
    assert (lines[0], lines[-1]) == ("the first frame is the welcome", "1000 is the end")


def test_it_is_back_by_itself_when_the_server_is(
    browser: Browser, start: Callable[..., Server], tmp_path: Path
) -> None:
    flags = ("--log", f"sqlite:{tmp_path}/chat.db")
    server = start(*flags)

    def renew() -> None:
        assert server.stop() == 0
        start(*flags, "--port", str(server.port))

    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.expose_function("renew", renew)
        page.goto(page_of(server) + "healthz")
        for name in ("message_service.js", "proof.js"):
            page.add_script_tag(path=SEED / name)
        lines = page.evaluate("url => seedComesBack(url, () => void renew())", server.url)
    assert lines[-1] == "and it is back by itself when the server is"
