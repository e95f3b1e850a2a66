"""`search`: messages by their words, over the rooms that the user is in."""

from __future__ import annotations

import re

from trio_chat.core.chat import Chat, failure, refuse
from trio_chat.core.effects import ConnId, Effect, Failed, Found, Now, Reply, Search
from trio_chat.core.entries import entry_event
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import Hit, SearchResult
from trio_chat.core.history import PAGE_HEAD
from trio_chat.core.messages import Find
from trio_chat.core.sessions import Session
from trio_chat.core.words import words_of

# A hit's place: its time, its room's number, its `seq`. Time as it is written by `repr`, which loses nothing.
_CURSOR = re.compile(r"([0-9]+\.[0-9]+)-([0-9]+)-([0-9]+)", re.ASCII)


def search(chat: Chat, session: Session, conn: ConnId, request: Find, now: Now) -> list[Effect]:
    """Ask the log; members only."""
    if request.room is None:
        rooms = session.user.everywhere()
    else:
        room = chat.find_room(session.user, request.room)
        if isinstance(room, ErrorCode):
            return [refuse(conn, request, room)]
        rooms = [room]
    words = tuple(dict.fromkeys(words_of(request.query)))
    if not words:
        return [refuse(conn, request, ErrorCode.BAD_MESSAGE, "query must hold a word: letters or digits")]
    before = None
    if request.cursor is not None:
        found = _CURSOR.fullmatch(request.cursor)
        if found is None:
            return [refuse(conn, request, ErrorCode.BAD_MESSAGE, "cursor must be one that the server sent")]
        before = float(found[1]), int(found[2]), int(found[3])
    return [
        Search(
            tuple((room.number, room.key, room.epoch) for room in rooms),
            words,
            request.limit,
            max_bytes=chat.limits.max_message_bytes - PAGE_HEAD,
            conn=conn,
            before=before,
            answer_to=request.id,
        )
    ]


def found(chat: Chat, answer: Found, now: Now) -> list[Effect]:
    """The log answered: show what is in rooms that the user is in still (promise 4)."""
    request = answer.request
    connection = chat.conns.get(request.conn)
    session = connection.session if connection is not None else None
    if session is None:
        return []
    numbers = {key: number for number, key, _ in request.rooms}
    hits = []
    for key, entry in answer.hits:
        room = chat.rooms.get(key)
        if entry.draft.hidden and entry.draft.author != session.user.id:
            continue
        if room is not None and room.epoch == entry.epoch and session.user.id in room.members:
            called = room.name_for(session.user)
            hits.append(Hit(room=called, epoch=entry.epoch, entry=entry_event(entry, called)))
    cursor = None
    if answer.more:
        key, last = answer.hits[-1]
        cursor = f"{float(last.draft.at)!r}-{numbers[key]}-{last.seq}"
    return [Reply(request.conn, SearchResult(id=request.answer_to, hits=hits, cursor=cursor))]


def not_found(chat: Chat, answer: Failed, request: Search) -> list[Effect]:
    """The log cannot search right now."""
    if request.conn not in chat.conns:
        return []
    return [failure(request.conn, request.answer_to, ErrorCode.UNAVAILABLE, retry_after=answer.retry_after)]
