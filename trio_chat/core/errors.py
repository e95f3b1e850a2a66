"""The registry of everything that can go wrong: error codes of frames, and codes of WebSocket closes.

Whose fault it is decides what follows: a *refused* command leaves all as it was; a *bad* frame counts against its
sender; `internal` is ours. Of closes, the range is the verdict (see `Close.retry`).
"""

from __future__ import annotations

from enum import Enum, IntEnum


class ErrorCode(str, Enum):  # noqa: UP042  (a StrEnum whose members carry a text)
    """The `code` of an `error` frame; `.text` is its default `content`.

    No text but that of a taken name holds the word that seed clients take for "choose another name".
    """

    text: str

    def __new__(cls, value: str, text: str) -> ErrorCode:
        """Make a member that is its code on the wire and carries its text."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    BAD_JSON = "bad_json", "The frame is not valid JSON"
    BAD_MESSAGE = "bad_message", "The frame is not a valid message"
    UNKNOWN_TYPE = "unknown_type", "This type of message is not known here"
    UNSUPPORTED_DATA = "unsupported_data", "Only text frames are understood"
    TOO_LARGE = "too_large", "The content is too large"
    NOT_CONNECTED = "not_connected", "Send connect first"
    ALREADY_CONNECTED = "already_connected", "This connection is connected already"
    USERNAME_TAKEN = "username_taken", "Username is already taken"
    BAD_USERNAME = "bad_username", "The name is not valid"
    BAD_TOKEN = "bad_token", "The token is not valid"
    BAD_CREDENTIALS = "bad_credentials", "The name or the password is wrong"
    FORBIDDEN = "forbidden", "You may not do this"
    NO_SUCH_USER = "no_such_user", "There is no such user"
    NO_SUCH_ROOM = "no_such_room", "There is no such room"
    BAD_ROOM = "bad_room", "This is not possible with this room"
    NOT_IN_ROOM = "not_in_room", "You are not in this room"
    NO_SUCH_ENTRY = "no_such_entry", "There is no such entry"
    KEY_REUSED = "key_reused", "This key was used for another content"
    TOO_MANY_ROOMS = "too_many_rooms", "Too many rooms"
    MUTED = "muted", "You are muted in this room"
    BANNED = "banned", "You are banned"
    SLOW_MODE = "slow_mode", "This room is in slow mode"
    RATE_LIMITED = "rate_limited", "Too fast; wait a little"
    UNAVAILABLE = "unavailable", "Not available right now; try again"
    INTERNAL = "internal", "Something went wrong here"


class Close(IntEnum):
    """A WebSocket close code; `.reason` is the text sent with it, `.when` says why. Under 4000: RFC 6455, 7.4."""

    reason: str
    when: str

    def __new__(cls, value: int, reason: str, when: str) -> Close:
        """Make a member that is its code and carries its texts."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.reason, member.when = reason, when
        return member

    DONE = 1000, "done", "the client left for good"
    PROTOCOL_ERROR = 1002, "protocol error", "broken framing"
    UNSUPPORTED_DATA = 1003, "unsupported data", "a binary frame"
    BAD_UTF8 = 1007, "not UTF-8", "a text frame that is not UTF-8"
    TOO_LARGE = 1009, "message too large", "a message over the size limit"
    INTERNAL = 1011, "internal error", "something went wrong in the server"
    DRAINING = 4001, "draining", "the server goes away; after `system` with `event` `draining`"
    TOKEN_EXPIRED = 4002, "token_expired", "get a new token and resume"
    TOO_SLOW = 4003, "too_slow", "more waited for this connection than it may let wait; told again on resume"
    HEARTBEAT_MISSED = 4004, "heartbeat_missed", "no byte came in time, or a message was not whole in time"
    FLOODING = 4005, "flooding", "100 `rate_limited` within 60 s, or raw frames over budget for 5 s"
    UNAVAILABLE = 4006, "unavailable", "the log or the cluster is away"
    CONNECT_TIMEOUT = 4500, "connect_timeout", "no `connect` came in time"
    BAD_HANDSHAKE = 4501, "bad_handshake", "the first frame was no valid `connect`"
    NAME_TAKEN = 4502, "name_taken", "after the `error` frame that says so"
    BAD_TOKEN = 4503, "bad_token", "the token is not valid"
    KICKED = 4504, "kicked", "by an admin of the server"
    BANNED = 4505, "banned", "by an admin of the server"
    REPLACED = 4506, "replaced", "another connection resumed this session, which lives on there"
    TOO_MANY_SESSIONS = 4507, "too_many_sessions", "more live connections of one user than may be"
    BAD_INPUT = 4508, "bad_input", "the 20th malformed frame without a valid one between"

    @property
    def retry(self) -> bool | None:
        """True: come back. False: stop. None: RFC 6455 says nothing of it."""
        return None if self < 4000 else self < 4500


def ends_session(code: int | None, cut: Close | None) -> bool:
    """Whether the end of a connection takes its session along (PROTOCOL, "Who is who").

    A client's `code` 1000 ends it, and a `cut` of ours from 4500 on; every other end detaches the session, and it can
    be resumed. 4506 is no end: the session lives on in the connection that replaced this one.
    """
    if cut is not None:
        return cut >= 4500 and cut != Close.REPLACED
    return code == Close.DONE
