"""Commands that wait for their answer, and what is sent again after a lost connection.

A `message` and a `private` have a key, which makes that harmless; what only asks is harmless anyway. `edit`, `react`,
`topic`, `delete` and verdicts are sent again, too: that may add a second entry that says the same, and it may undo what
somebody else did in between. (A `delete` that finds nothing then is done.) `typing` is never repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec

from trio_chat.client.events import (
    Answered,
    Event,
    Failed,
    HistoryPage,
    Hit,
    Joined,
    OutcomeUnknown,
    Posted,
    Refused,
    RoomPage,
    SearchPage,
    UserList,
    entry_of,
    read_as,
)
from trio_chat.core.codec import HEADROOM, json_size
from trio_chat.core.errors import ErrorCode
from trio_chat.core.limits import TokenBucket

PACE = 0.9  # of the rate that the server allows: both ends count, and neither knows the other's clock

ANSWERS: dict[str, type] = {
    "message": Posted,
    "private": Posted,
    "join": Joined,
    "rooms": RoomPage,
    "users": UserList,
}

# What a repeated command is answered when its first sending, whose answer was lost, did it.
DONE_BEFORE: dict[str, set[str]] = {
    "delete": {ErrorCode.NO_SUCH_ENTRY.value},
    "leave": {ErrorCode.NOT_IN_ROOM.value, ErrorCode.NO_SUCH_ROOM.value},
    **{undone: {ErrorCode.NO_SUCH_USER.value} for undone in ("kick", "unmute", "unban", "unblock")},
}

# Refusals for what the command itself says: its first sending was refused, too.
ALWAYS_REFUSED = {
    ErrorCode.BAD_MESSAGE.value,
    ErrorCode.BAD_ROOM.value,
    ErrorCode.KEY_REUSED.value,
    ErrorCode.TOO_LARGE.value,
    ErrorCode.UNKNOWN_TYPE.value,
}


@attrs.define(eq=False)
class Call:
    """A command of ours. `sent`: on this connection; `repeated`: it was sent on one that was lost.

    `internal`: nobody but the session waits for its answer. `not_before`: when it may be sent (monotonic seconds).
    """

    id: int
    type: str
    fields: dict[str, Any]
    text: str
    internal: bool = False
    sent: bool = False
    repeated: bool = False
    not_before: float = 0.0

    @property
    def keyed(self) -> bool:
        """Whether it must not be done twice, and has a key against that."""
        return "key" in self.fields

    @property
    def room(self) -> str:
        """The room it is about, or nothing."""
        return f"@{self.fields['to']}" if "to" in self.fields else str(self.fields.get("room", ""))

    def retries(self, frame: dict[str, Any]) -> bool:
        """Whether an error says nothing of what an earlier sending did, and passes: then it is sent once more."""
        return self.keyed and self.repeated and isinstance(frame.get("retry_after"), int | float)


class Calls:
    """All commands that wait for their answer, in the order in which they were made."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._unsent: dict[int, Call] = {}
        self._bucket = TokenBucket(1.0, 1.0, 0.0)
        self._blocked_until = 0.0

    def __iter__(self) -> Iterator[Call]:
        """All that wait."""
        return iter(self._calls.values())

    @property
    def in_flight(self) -> bool:
        """Whether one was sent on this connection, and its answer has not come."""
        return len(self._calls) > len(self._unsent)

    def add(self, call: Call) -> None:
        """Let a command wait to be sent."""
        self._calls[call.id] = self._unsent[call.id] = call

    def sent(self, number: int) -> Call | None:
        """The command with this id, if it was sent on this connection."""
        return None if number in self._unsent else self._calls.get(number)

    def remove(self, number: int) -> None:
        """It waits no longer."""
        self._calls.pop(number, None)
        self._unsent.pop(number, None)

    def clear(self) -> list[Call]:
        """Nothing waits any longer. Returns what did."""
        calls, self._calls, self._unsent = list(self), {}, {}
        return calls

    def again(self, call: Call, not_before: float) -> None:
        """Send it once more, from a time on."""
        call.sent, call.not_before = False, not_before
        self._unsent[call.id] = call

    def lost(self) -> list[Call]:
        """The connection is gone: all is to be sent again, but what is never repeated. Returns that."""
        dropped = [call for call in self if call.type == "typing"]
        for call in dropped:
            self.remove(call.id)
        for call in self:
            call.repeated, call.sent = call.repeated or call.sent, False
        self._unsent = dict(self._calls)
        return dropped

    def pace(self, limits: Mapping[str, float], now: float) -> None:
        """Send no faster than the server's `limits` allow."""
        rate, burst = limits.get("messages_per_second", 10.0), limits.get("messages_burst", 40.0)
        self._bucket = TokenBucket(max(rate * PACE, 0.001), max(1.0, burst * PACE), now)
        self._blocked_until = now

    def take_due(self, now: float) -> list[str]:
        """The frames to be sent now, in order: each is taken to be sent."""
        frames: list[str] = []
        if now < self._blocked_until:
            return frames
        for call in [call for call in self._unsent.values() if call.not_before <= now]:
            wait = self._bucket.take(now)
            if wait:
                self._blocked_until = now + wait
                break
            del self._unsent[call.id]
            call.sent = True
            frames.append(call.text)
        return frames

    def next_due(self) -> float | None:
        """When there is more to be sent, if nothing else happens."""
        first = min((call.not_before for call in self._unsent.values()), default=None)
        return None if first is None else max(first, self._blocked_until)


def new_call(number: int, kind: str, fields: dict[str, Any], limits: Mapping[str, float]) -> Call:
    """A command as it will be sent, each time the same.

    Raises:
        Refused: `too_large`, by the limits that the server told.
        ValueError: a text holds half a surrogate pair, which no JSON can carry.
    """
    fields = {name: value for name, value in fields.items() if value is not None}
    text = msgspec.json.encode({"type": kind, "id": number, **fields}).decode()
    largest, content = limits.get("message_bytes", 0), fields.get("content", "")
    if largest and (len(text.encode()) > largest or json_size(content) > largest - HEADROOM):
        raise Refused(ErrorCode.TOO_LARGE.value, f"The message must be at most {largest:.0f} bytes as JSON")
    if len(content) > limits.get("content_chars", len(content)):
        raise Refused(ErrorCode.TOO_LARGE.value, f"content must be at most {limits['content_chars']:.0f} characters")
    return Call(number, kind, fields, text)


def outcome_of(call: Call, frame: dict[str, Any]) -> Answered | Failed:
    """What an answer means for whoever waits for it."""
    if frame.get("type") == "error":
        return _failure(call, frame)
    try:
        return Answered(id=call.id, result=_result(call, frame))
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError):
        return Failed(id=call.id, error=Refused("bad_answer", "The answer is not what this client understands"))


def _failure(call: Call, frame: dict[str, Any]) -> Answered | Failed:
    code, content, retry_after = str(frame.get("code", "")), str(frame.get("content", "")), frame.get("retry_after")
    if call.repeated and code in DONE_BEFORE.get(call.type, ()):
        return Answered(id=call.id, result=None)
    if call.repeated and (call.keyed or call.type == "password") and code not in ALWAYS_REFUSED:
        return Failed(id=call.id, error=OutcomeUnknown(f"The answer was lost; sent again, it was refused: {content}"))
    wait = float(retry_after) if isinstance(retry_after, int | float) else None
    return Failed(id=call.id, error=Refused(code, content, wait))


def _result(call: Call, frame: dict[str, Any]) -> Any:
    if call.type == "history":
        room, epoch = frame["room"], frame["epoch"]
        entries: list[Event] = [entry_of(entry, room, epoch) for entry in frame["entries"]]
        return attrs.evolve(read_as(HistoryPage, frame | {"entries": []}), entries=entries)
    if call.type == "search":
        hits = [
            Hit(room=hit["room"], epoch=hit["epoch"], entry=entry_of(hit["entry"], hit["room"], hit["epoch"]))
            for hit in frame["hits"]
        ]
        return SearchPage(hits=hits, cursor=frame.get("cursor"))
    answer = ANSWERS.get(call.type)
    return None if answer is None else read_as(answer, frame)
