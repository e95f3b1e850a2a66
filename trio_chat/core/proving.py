"""Proven users: who comes in with a token or an account, how long that lasts, and how it is renewed.

A token or a password was held against keys and hashes before (`trio_chat.auth`); here is only what follows from an
`Identity`. Unlike a guest, a proven user lives on without a session, and may have several at once.
"""

from __future__ import annotations

from trio_chat.core.chat import Chat, ack, failure, refuse
from trio_chat.core.claims import apply_claims
from trio_chat.core.connecting import connect, cut, end, resume, turn_away, unfit_name
from trio_chat.core.effects import Change, Changed, ConnId, Discard, Effect, Failed, Keep, Note, Now, Received, Reply
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import System, timestamp
from trio_chat.core.identity import Identity
from trio_chat.core.keeping import keep_account, keep_session, keep_user
from trio_chat.core.membership import become_member
from trio_chat.core.messages import Command, Connect, Denied, Register
from trio_chat.core.names import Name, parse_name
from trio_chat.core.records import AccountRecord
from trio_chat.core.sessions import Connection, Session, User
from trio_chat.core.welcoming import welcome

NO_ACCOUNTS, NO_TOKENS = "There are no accounts here", "There are no tokens here"
NOT_PROVEN = {
    "jwt": (ErrorCode.BAD_TOKEN, Close.BAD_TOKEN, "A token must be given"),
    "accounts": (ErrorCode.BAD_CREDENTIALS, Close.BAD_HANDSHAKE, "Guests are not admitted; send login or register"),
}
ANOTHERS, EXPIRED = "The token is another user's", "The token has expired; come back with a new one"
TOO_MANY = "There are too many connections of this user"
NEARLY = 0.001  # seconds: what is due so soon is due, for clocks are not exact


def greet(chat: Chat, connection: Connection, asked: Received, now: Now) -> list[Effect]:
    """Answer a first frame: resume a session, or come in anew."""
    request, identity, auth = asked.command, asked.identity, chat.auth.auth
    if isinstance(request, Connect) and request.resume is not None:
        session = chat.people.find(request.resume.session)
        if session is not None and chat.admits(session.user):
            return _resume(chat, session, connection, asked, now)
    if auth == "guest":
        if isinstance(request, Connect):
            return connect(chat, connection, asked, now)
        return turn_away(chat, connection, request, ErrorCode.FORBIDDEN, Close.BAD_HANDSHAKE, NO_ACCOUNTS)
    if identity is None:
        return turn_away(chat, connection, request, *NOT_PROVEN[auth])
    return _enter(chat, connection, asked, identity, now)


def _resume(chat: Chat, session: Session, connection: Connection, asked: Received, now: Now) -> list[Effect]:
    """Resume with a token of the same user, or as long as the last one lasts."""
    request, identity = asked.command, asked.identity
    assert isinstance(request, Connect)
    refused = not_resumed(chat, session, asked, now)
    if refused is not None:
        return turn_away(chat, connection, request, *refused)
    effects: list[Effect] = []
    if identity is not None:
        session.expires = identity.expires
        effects = apply_claims(chat, session.user, identity, now)
    return effects + resume(chat, session, connection, request, now)


def not_resumed(chat: Chat, session: Session, asked: Received, now: Now) -> tuple[ErrorCode, Close, str] | None:
    """Why a first frame may not carry a session on that it knows the token of. Changes nothing."""
    identity, user = asked.identity, session.user
    if identity is not None and identity.id != user.id:
        return ErrorCode.BAD_TOKEN, Close.BAD_TOKEN, ANOTHERS
    if identity is None and session.expires is not None and session.expires <= now.wall:
        return ErrorCode.BAD_TOKEN, Close.TOKEN_EXPIRED, EXPIRED
    if session.conn is None and len(user.conns) >= chat.sessions_per_user:
        return ErrorCode.FORBIDDEN, Close.TOO_MANY_SESSIONS, TOO_MANY
    return None


def _enter(chat: Chat, connection: Connection, asked: Received, identity: Identity, now: Now) -> list[Effect]:
    """Open a session of a proven user, who may be new, or have another name than before."""
    request, user = asked.command, chat.people.by_id.get(identity.id)
    name = parse_name(identity.name) if identity.name is not None else None
    refused = _refusal(chat, request, identity, user, name)
    if refused is not None:
        return turn_away(chat, connection, request, *refused)
    effects: list[Effect] = []
    if user is None:
        assert name is not None
        effects = _free(chat, name, now)
        user = chat.people.new_proven(identity.id, name, chat.limits.rooms_created_per_hour)
        keep_user(chat, user)
        become_member(chat, user, chat.general, now)
    elif _renames(user, name):
        assert name is not None
        effects = [*_free(chat, name, now), Note("%s is called %s now", (user.name.text, name.text))]
        chat.people.rename(user, name)
        keep_user(chat, user)
    if identity.hash:
        keep_account(chat, user, identity.hash)
    effects += apply_claims(chat, user, identity, now)
    effects += _make_room(chat, user, now)
    session = chat.people.open_session(user, asked.fresh, connection.bucket_of)
    session.expires = identity.expires
    return effects + welcome(chat, session, connection, request, now, asked.fresh)


def _refusal(
    chat: Chat, request: Command, identity: Identity, user: User | None, name: Name | None
) -> tuple[ErrorCode, Close, str] | None:
    """Why a proven user may not come in. All checks come before any change."""
    if isinstance(request, Register) and user is not None:
        return ErrorCode.USERNAME_TAKEN, Close.NAME_TAKEN, ""
    if identity.proof != chat.accounts.get(identity.id, ""):  # the password was changed since it was looked at
        return ErrorCode.BAD_CREDENTIALS, Close.BAD_HANDSHAKE, ""
    if user is not None and len(user.conns) >= chat.sessions_per_user:
        return ErrorCode.FORBIDDEN, Close.TOO_MANY_SESSIONS, TOO_MANY
    if name is None or (user is not None and not _renames(user, name)):
        return None
    admin = identity.admin or (chat.auth.auth == "jwt" and identity.id in chat.admins)
    return unfit_name(chat, name, user, admin=admin)


def _renames(user: User, name: Name | None) -> bool:
    """Whether a token brings another name than the user has; while the user has a live connection it is not taken."""
    return name is not None and name != user.name and not user.conns


def _free(chat: Chat, name: Name, now: Now) -> list[Effect]:
    """End the detached guest that holds a name, if there is one."""
    holder = chat.people.by_name.get(name.key)
    sessions = list(holder.sessions) if holder is not None and holder.guest else []
    return [effect for session in sessions for effect in end(chat, session, now)]


def _make_room(chat: Chat, user: User, now: Now) -> list[Effect]:
    """Let the user have no more sessions than live connections: what is detached for longest goes."""
    detached = sorted((one for one in user.sessions if one.conn is None), key=lambda one: one.detached_at)
    surplus = max(0, len(user.sessions) - chat.sessions_per_user + 1)
    return [effect for session in detached[:surplus] for effect in end(chat, session, now)]


def expiring(chat: Chat, conn: ConnId, now: Now) -> list[Effect]:
    """A token has expired, or will soon; or the clock was set anew, and neither is so."""
    session = chat.conns[conn].session
    assert session is not None
    assert session.expires is not None
    if session.expires <= now.wall + NEARLY:
        return cut(chat, conn, Close.TOKEN_EXPIRED, now)
    effects: list[Effect] = []
    if session.warn_at is not None and session.warn_at <= now.wall + NEARLY:
        session.warn_at = None
        told = System(
            event="token_expiring",
            content="The token is about to expire; refresh it",
            timestamp=timestamp(now.wall),
            expires=timestamp(session.expires),
        )
        effects.append(Reply(conn, told))
    chat.alarm(session, now)
    return effects


def refresh(chat: Chat, session: Session, given: Received, now: Now) -> list[Effect]:
    """Let the session last as long as a new token does; what it claims counts from now on, but for the name."""
    request, identity = given.command, given.identity
    if identity is None:
        return [refuse(given.conn, request, ErrorCode.FORBIDDEN, NO_TOKENS)]
    if identity.id != session.user.id:
        return [refuse(given.conn, request, ErrorCode.BAD_TOKEN, ANOTHERS)]
    session.expires = identity.expires
    chat.watch(session, now)
    keep_session(chat, session)
    return ack(given.conn, request.id) + apply_claims(chat, session.user, identity, now)


def change_password(chat: Chat, session: Session, given: Received, now: Now) -> list[Effect]:
    """Ask the log to keep the new password; it is in force, and acked, when that is committed."""
    request, identity, user = given.command, given.identity, session.user
    if identity is None:
        return [refuse(given.conn, request, ErrorCode.FORBIDDEN, NO_ACCOUNTS)]
    if identity.id != user.id or identity.proof != chat.accounts.get(user.id):
        return [refuse(given.conn, request, ErrorCode.BAD_CREDENTIALS)]
    return [Change((Keep(AccountRecord(key=user.id, hash=identity.hash)),), given.conn, request.id)]


def password_changed(chat: Chat, answer: Changed, now: Now) -> list[Effect]:
    """End the user's other sessions: who came in with the old password is out."""
    conn, (kept,) = answer.request.conn, answer.request.keep
    assert isinstance(kept, Keep)
    record = kept.record
    assert isinstance(record, AccountRecord)
    user = chat.people.by_id.get(record.key)
    if user is None or record.key not in chat.accounts:  # forgotten meanwhile
        return [Discard(record.kind, record.key)]
    chat.accounts[record.key] = record.hash
    effects: list[Effect] = [Note("%s has a new password", (user.name.text,))]
    asker = chat.conns[conn].session if conn in chat.conns else None
    if asker is not None:
        effects = [*ack(conn, answer.request.answer_to), *effects]
    for other in [other for other in user.sessions if other is not asker and other.last_conn != conn]:
        if other.conn is not None:
            effects += cut(chat, other.conn, Close.BAD_TOKEN, now)
        else:
            effects += end(chat, other, now)
    return effects


def not_changed(chat: Chat, answer: Failed) -> list[Effect]:
    """The log cannot keep it, right now: nothing changes."""
    request = answer.request
    if request.conn not in chat.conns:
        return []
    return [failure(request.conn, request.answer_to, ErrorCode.UNAVAILABLE, retry_after=answer.retry_after)]


def denied(chat: Chat, session: Session, given: Received, now: Now) -> list[Effect]:
    """What was to prove something proved nothing: nothing changes."""
    request = given.command
    assert isinstance(request, Denied)
    return [refuse(given.conn, request, request.code, request.content, retry_after=request.retry_after)]
