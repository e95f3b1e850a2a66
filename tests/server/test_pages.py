"""The web client's files, as they are served."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from trio.testing import MockClock

import trio_chat
from trio_chat.server.http import Head, HttpError
from trio_chat.server.pages import page

from .harness import House, Response, house, request

WEB = Path(trio_chat.__file__).parent / "web"
FILES = sorted(WEB.iterdir())
BODIES = {file: file.read_bytes() for file in FILES}
PATHS = {file: "/" if file.name == "index.html" else f"/{file.name}" for file in FILES}
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
KINDS["js"] = "text/javascript; charset=utf-8"
MAX_LINES = 400
# What makes markup or code of a text. The content security policy refuses it in a browser; here it is refused before.
SINKS = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function"
)


def loads(file: Path) -> list[str]:
    """The paths that a file asks for, as a browser would."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".html":
        return [path for path in re.findall(r'(?:src|href)="([^"]*)"', text) if not path.startswith("#")]
    return [f"/{path}" for path in re.findall(r'^(?:import|export) [^;]*?from "\./([^"]+)";', text, re.MULTILINE)]


async def ask(server: House, path: str, **headers: str | None) -> Response:
    """The answer to a GET on a connection of its own."""
    peer = server.knock()
    await peer.send(request("GET", path, b"", **headers))
    response = await peer.response()
    await peer.drop()
    return response


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_every_file_is_served_as_what_it_is(file: Path, autojump_clock: MockClock) -> None:
    async with house() as server:
        response = await ask(server, PATHS[file])
    assert (response.status, response.body) == (200, BODIES[file])
    assert response.headers["content-type"] == KINDS[file.suffix[1:]]
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_file_loads_is_here(file: Path) -> None:
    assert set(loads(file)) <= set(PATHS.values())


def test_the_page_names_every_file_so_that_none_waits_for_another() -> None:
    assert {"/", *loads(WEB / "index.html")} == set(PATHS.values())


def test_the_page_has_nothing_inline() -> None:
    text = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=|javascript:", text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_text_becomes_markup_and_no_other_host_is_named(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(SINKS, text)
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix != ".svg"], ids=lambda file: file.name)
def test_a_file_can_be_read_in_class(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


async def test_a_copy_that_is_still_good_is_not_sent_again(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/"))
        tag = (await peer.response()).headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            await peer.send(request("GET", "/", if_none_match=known))
            response = await peer.response()
            assert (response.status, response.body, response.headers["etag"]) == (304, b"", tag)
            assert "content-length" not in response.headers
        await peer.send(request("GET", "/", if_none_match='"other"'))
        assert (await peer.response()).status == 200
        await peer.drop()


async def test_a_file_is_packed_for_whoever_can_unpack_it(autojump_clock: MockClock) -> None:
    async with house() as server:
        plain = await ask(server, "/app.js")
        packed = await ask(server, "/app.js", accept_encoding="br, gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/web/app.js", "/../app.js", "/index.html", "/app.js/", "//app.js"])
def test_nothing_else_is_there(path: str) -> None:
    with pytest.raises(HttpError) as refused:
        page(Head("GET", path, "", {}), None)
    assert refused.value.status == 404
