"""A page with our JavaScript client in it, to be tested, in Chromium. `… URL`."""

from __future__ import annotations

import sys
from urllib.parse import quote, urlsplit

from playwright.sync_api import Route

from tests.e2e.process import ROOT

from .conftest import chromium

PAGE = "http://bot.localhost/"  # no server is behind it: the files are those of the project
HTML = '<!doctype html><script type="module" src="/tests/browser/node/bot.mjs"></script>'


def fulfil(route: Route) -> None:
    """Answer the browser's request for the page, or for a file of it."""
    path = urlsplit(route.request.url).path.lstrip("/")
    if path:
        route.fulfill(path=ROOT / path, content_type="text/javascript")
    else:
        route.fulfill(body=HTML, content_type="text/html")


def main(url: str) -> None:
    """Stay in the page until whoever started us ends us: a client that has stopped must not come again."""
    with chromium() as browser:
        page = browser.new_page()
        page.context.grant_permissions(["local-network-access"])  # which a page of our own server needs not ask for
        page.route(f"{PAGE}**", fulfil)
        page.goto(f"{PAGE}?{quote(url, safe='')}")
        page.wait_for_timeout(300_000)


if __name__ == "__main__":
    main(sys.argv[-1])
