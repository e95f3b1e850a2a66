"""Records that are kept beside the entries, in a log file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from trio_chat.core.effects import Discard, Keep
from trio_chat.core.records import RECORDS, Record
from trio_chat.log.database import Database

Change: TypeAlias = Keep | Discard
Changes: TypeAlias = dict[tuple[str, str], bytes | None]  # of each kind and key what is kept, or None

_DECODERS = {record.kind: msgspec.json.Decoder(record) for record in RECORDS}
_encode = msgspec.json.Encoder().encode


def note(changes: Changes, change: Change) -> None:
    """Put a change in place of an earlier one of the same record."""
    if isinstance(change, Keep):
        changes[change.record.kind, change.record.key] = _encode(change.record)
    else:
        changes[change.kind, change.key] = None


def write(db: Database, changes: Changes) -> None:
    """Write all changes."""
    kept = [(kind, key, value) for (kind, key), value in changes.items() if value is not None]
    gone = [names for names, value in changes.items() if value is None]
    if kept:
        db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", kept)
    if gone:
        db.executemany("DELETE FROM kept WHERE kind = ? AND key = ?", gone)


def load(db: Database) -> Iterable[Record]:
    """All records, those of a kind together. Raises msgspec.ValidationError: one is not what it should be."""
    for kind, decoder in _DECODERS.items():
        for (value,) in db.rows("SELECT value FROM kept WHERE kind = ? ORDER BY key", (kind,)):
            yield decoder.decode(value)
