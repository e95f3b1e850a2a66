"""A real server, and Debian's Chromium in front of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.process import ROOT, Server, serving

from .people import Sit, seats

SHOTS = ROOT / "build" / "screenshots"
# Joins are told soon, whoever tests is not slowed, and no address counts as too many.
QUICK = ("--presence-interval", "0.1", "--drain-seconds", "0", "--trusted-addresses", "127.0.0.0/8")
FAST = ("--messages-per-second", "100000", "--messages-burst", "100000", "--frames-per-second", "100000")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, in a process of its own."""
    path = shutil.which("chromium")
    assert path is not None, "chromium is missing: apt-get install chromium"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all: who comes together shares nothing but the process."""
    with chromium() as one:
        yield one


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server with flags."""
    with serving(*QUICK, *FAST) as starting:
        yield starting


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    """One server."""
    return start()


def page_of(server: Server) -> str:
    """What a person types to get there."""
    return f"http://{server.host}:{server.port}/"


@pytest.fixture
def sit(browser: Browser, server: Server) -> Iterator[Sit]:
    """Let people sit down before that server."""
    with seats(browser, page_of(server)) as sitting:
        yield sitting


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
