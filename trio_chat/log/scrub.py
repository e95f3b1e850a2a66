"""Zeroing what SQLite leaves in the unused middle of its pages.

`PRAGMA secure_delete` zeroes a cell that is deleted. But where a b-tree is balanced, cells are copied to other pages
and only forgotten where they were: 7 of 2,000 deleted messages could still be read in the file. In SQLite's file format
("1.6. B-tree Pages") a page is a header of 8 or 12 bytes, an array of 2 bytes a cell, the unused gap, and the cells.
"""

from __future__ import annotations

import os
import struct
import time

from trio_chat.log.database import Database

_TYPES = {2: 12, 5: 12, 10: 8, 13: 8}  # of b-tree pages: index and table, interior and leaf → bytes of their header
_HEADER = struct.Struct(">BHHHB")  # type, first freeblock, cells, where their content starts, fragmented bytes
_CHUNK = 256  # pages that are read at once
# An overflow page begins with the number of the next one: from here on its first byte may look like a b-tree's.
_MOST_PAGES = 2 << 24


class ScrubError(Exception):
    """The file is not what was expected; nothing was written."""


def scrub(db: Database, file: int, page: int, seconds: float) -> int | None:
    """Zero the gaps from `page` (from 2 on: the first holds no message) for about `seconds`; returns where to go on.

    Must be called where no transaction is open. None: not now, another reads or writes. `file` is a descriptor that
    must not be closed before `db`: closing any descriptor of a file drops SQLite's locks on it (fcntl).

    Returns one more than the last page where all is done.
    """
    db.forget_pages()  # else a page in the cache, with its gap, would be written again
    if not db.checkpoint(0):  # a search may take seconds, and what is to be committed would wait for it
        return None
    db.begin()  # nobody writes meanwhile, and with an empty -wal the file is what counts
    try:
        (size,), (pages,) = db.row("PRAGMA page_size"), db.row("PRAGMA page_count")
        if not db.nothing_in_wal():
            return None
        _expect(file, size, pages)
        deadline = time.perf_counter() + seconds
        while page <= pages:
            page = _scrub_chunk(file, size, page, min(page + _CHUNK, pages + 1))
            if time.perf_counter() >= deadline:
                break
        if page > pages:
            os.fsync(file)
    finally:
        db.rollback()
    return page


def _expect(file: int, size: int, pages: int) -> None:
    head = os.pread(file, 32, 0)
    if int.from_bytes(head[16:18], "big") % 65_535 != size % 65_535 or head[18:20] != b"\2\2":
        raise ScrubError("its header says another page size or journal")
    if os.fstat(file).st_size < size * pages or pages >= _MOST_PAGES:
        raise ScrubError(f"{pages} pages of {size} bytes are too many")


def _scrub_chunk(file: int, size: int, page: int, stop: int) -> int:
    """Zero the gaps of the pages from `page` to `stop` − 1; returns `stop`. 1.3 µs a page that has nothing to zero."""
    offset = (page - 1) * size
    data = os.pread(file, (stop - page) * size, offset)
    zeros = bytes(size)
    for at in range(0, len(data), size):
        kind, freeblock, cells, start, fragments = _HEADER.unpack_from(data, at)
        header = _TYPES.get(kind)
        if header is None:
            continue
        low, high = header + 2 * cells, start or 65_536
        if low >= high or high > size or freeblock >= size or fragments > 60:
            continue  # no gap, or no b-tree page
        if not data.startswith(zeros[: high - low], at + low):
            os.pwrite(file, zeros[: high - low], offset + at + low)
    return stop
