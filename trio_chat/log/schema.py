"""The tables of a log file, and how an older file becomes a newer one.

An entry's `id` is `room << 36 | seq`: one number is its place, a room is a range of them, and a page is read in one go.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x7472696F  # "trio", in the file's header, so that another program's file is recognised
VERSION = 2
SEQ_BITS = 36
SEQ_MASK = (1 << SEQ_BITS) - 1
KINDS = (  # an entry's `kind` is the place in here
    *("message", "private", "edit", "delete", "react", "topic"),
    *("kick", "mute", "unmute", "ban", "unban", "promote", "demote", "room"),
    *("announce", "publish", "drain", "forget"),
)
EDIT = KINDS.index("edit")
META: dict[str, type] = {  # what `meta` has in any case
    "secret": bytes,
    "generation": str,
    "boot_id": str,
    "sync": str,
    "clean": int,
    "words": str,
    "erase": int,
}

# `first` … `last` is what is held; the rows from `swept` on are there, those from `indexed` + 1 on are not yet found by
# a search. Up to `disorder` the clock had gone back, so that times are no longer in the order of `seq`.
_V1 = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE rooms(
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never the id of a room whose rows are still to be deleted
    key TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    swept INTEGER NOT NULL,
    indexed INTEGER NOT NULL,
    latest REAL NOT NULL,  -- the highest time of an entry
    disorder INTEGER NOT NULL
);
CREATE TABLE entries(
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    author TEXT NOT NULL,
    sender TEXT NOT NULL,
    content TEXT NOT NULL,
    at REAL NOT NULL,
    size INTEGER NOT NULL,
    room TEXT NOT NULL,
    "to" TEXT NOT NULL,
    reply_to INTEGER,
    target INTEGER,  -- the id of the entry `of`
    emoji TEXT NOT NULL,
    remove INTEGER NOT NULL,
    edited REAL,
    erased INTEGER NOT NULL
);
CREATE INDEX edits ON entries(target) WHERE kind = {EDIT};
CREATE TABLE reactions(
    target INTEGER NOT NULL,
    place INTEGER NOT NULL,  -- the seq of the first with this emoji: its order among the others
    seq INTEGER NOT NULL,
    emoji TEXT NOT NULL,
    author TEXT NOT NULL,
    sender TEXT NOT NULL,
    PRIMARY KEY (target, place, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX reacted ON reactions(target, emoji, author);
CREATE TABLE keys(
    id INTEGER PRIMARY KEY,  -- of the entry, which may be gone
    room INTEGER NOT NULL,
    author TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,  -- empty: the entry was deleted, and nothing in here tells what it said
    until REAL NOT NULL,
    UNIQUE (room, author, key)
);
CREATE TABLE kept(kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE doomed(low INTEGER PRIMARY KEY, high INTEGER NOT NULL, indexed INTEGER NOT NULL);  -- ids of closed rooms
CREATE VIRTUAL TABLE search USING fts5(words, content='', detail=none, columnsize=0, tokenize='ascii');
"""

# What makes a file of version n + 1 of one of version n, in order: the first makes version 2 of 1.
MIGRATIONS: tuple[str, ...] = (
    """
    ALTER TABLE entries ADD COLUMN until REAL;
    ALTER TABLE entries ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0
    """,
)


def create(db: sqlite3.Connection) -> None:
    """Make the tables in an empty file."""
    db.executescript(_V1)
    migrate(db, 1)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def migrate(db: sqlite3.Connection, version: int, migrations: tuple[str, ...] | None = None) -> None:
    """Make a file of `version` one of the newest, wholly or not at all."""
    steps = MIGRATIONS if migrations is None else migrations
    script = "".join(f"{step};" for step in steps[version - 1 :])
    db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {len(steps) + 1}; COMMIT;")
