"""Pages for people and for probes: the web client's files, read once when this is imported, and the health checks."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from pathlib import PurePath

import attrs

from trio_chat.server.http import Head, HttpError

_HEALTH = ("/healthz", "/readyz")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@attrs.frozen
class _File:
    """A file as it is sent: as it is, and compressed. It may be kept, and must be asked for anew."""

    body: bytes
    packed: bytes
    headers: tuple[tuple[str, str], ...]
    tag: str


def _read() -> dict[str, _File]:
    """All files of the web client, by path. What is of no kind that is served is none of it."""
    found = {}
    for file in files("trio_chat").joinpath("web").iterdir():
        kind = _KINDS.get(PurePath(file.name).suffix)
        if kind is None:
            continue
        body = file.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = (("Content-Type", kind), ("Cache-Control", "no-cache"), ("ETag", tag), ("Vary", "Accept-Encoding"))
        path = "/" if file.name == _INDEX else f"/{file.name}"
        found[path] = _File(body, gzip.compress(body, mtime=0), headers, tag)
    return found


_FILES = _read()


def page(head: Head, not_ready: str | None) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """Status, body and headers of what is not an upgrade. `not_ready`: why the server is not, or None.

    Raises:
        HttpError: 404 or 405.
    """
    if head.path not in _FILES and head.path not in _HEALTH:
        raise HttpError(404, "There is nothing here")
    if head.method not in ("GET", "HEAD"):
        raise HttpError(405, "Only GET and HEAD are possible here", ("Allow", "GET, HEAD"))
    if head.path in _FILES:
        return _file(head, _FILES[head.path])
    if head.path == "/readyz" and not_ready is not None:
        return 503, f"{not_ready}\n".encode(), (("Retry-After", "5"),)
    return 200, b"ok\n", ()


def _file(head: Head, file: _File) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """The file, or that the client's copy of it is still good (304)."""
    known = {tag.removeprefix("W/") for tag in head.tokens("if-none-match")}
    if file.tag in known or "*" in known:
        return 304, b"", file.headers
    if "gzip" in head.lower_tokens("accept-encoding"):
        return 200, file.packed, (*file.headers, ("Content-Encoding", "gzip"))
    return 200, file.body, file.headers
