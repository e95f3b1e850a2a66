"""Faults to plant into the real server, one at a time: each breaks one promise, and nothing else is amiss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import msgspec

from trio_chat.core import history, membership, posting, revising, verdicts, welcoming
from trio_chat.core.chat import Chat
from trio_chat.core.effects import Append, Cut, Deliver, Effect, Received, Reply
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import Ack, Deleted, Error, HistoryPage, Pong, Posted, PrivatePosted, TypingShown
from trio_chat.core.messages import Bad, Position
from trio_chat.core.state import ChatState
from trio_chat.log import memory

Spoil: TypeAlias = Callable[[Chat, Any, list[Effect]], list[Effect]]
Fault: TypeAlias = Callable[[], None]


def effects(spoil: Spoil) -> Fault:
    """A fault that changes what the core wants done."""

    def plant() -> None:
        apply = ChatState.apply

        def spoilt(self: ChatState, given: Any, now: Any) -> list[Effect]:
            return spoil(self.chat, given, apply(self, given, now))

        ChatState.apply = spoilt  # type: ignore[method-assign]

    return plant


def patched(change: Callable[[Callable[..., Any]], Callable[..., Any]], name: str, *modules: Any) -> Fault:
    """A fault of a function of the core, wherever it is known by `name`."""

    def plant() -> None:
        for module in modules:
            setattr(module, name, change(getattr(module, name)))

    return plant


def every_hundredth_lost(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    return [one for one in found if not (isinstance(one, Deliver) and one.seq and one.seq % 100 == 0)]


def reordered() -> Fault:
    held: dict[str, Deliver] = {}

    def spoil(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
        out: list[Effect] = []
        for one in found:
            if isinstance(one, Deliver) and isinstance(one.event, Posted):
                if one.seq % 3 == 0:
                    held[one.epoch] = one
                    continue
                out.append(one)
                before = held.pop(one.epoch, None)
                out += [before] if before is not None else []
            else:
                out.append(one)
        return out

    return effects(spoil)


def answered_twice(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    twice = [
        one for one in found if isinstance(one, Reply) and isinstance(one.event, Ack) and one.event.last is not None
    ]
    return found + list[Effect](twice)


def never_answered(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    def silent(one: Effect) -> bool:
        return isinstance(one, Reply) and isinstance(one.event, Error) and one.event.code == "no_such_entry"

    return [one for one in found if not silent(one)]


def acked_and_lost(chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    out: list[Effect] = []
    for one in found:
        room = chat.rooms.get(one.room) if isinstance(one, Append) else None
        if isinstance(one, Append) and room is not None and one.draft.kind == "message" and room.last % 3 == 2:
            room.pending -= 1
            assert one.answer_to is not None
            made = Ack(id=one.answer_to, seq=room.last + 1, room=room.name, epoch=room.epoch)
            out.append(Reply(one.conn, made))
        else:
            out.append(one)
    return out


def page_skips(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    def skip(one: Effect) -> Effect:
        if isinstance(one, Reply) and isinstance(one.event, HistoryPage) and len(one.event.entries) > 2:
            shorter = [entry for n, entry in enumerate(one.event.entries) if n != 1]
            return attrs.evolve(one, event=msgspec.structs.replace(one.event, entries=shorter))
        return one

    return [skip(one) for one in found]


def edits_by_anybody(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    return [attrs.evolve(one, moderator=True) if isinstance(one, Append) else one for one in found]


def private_to_a_third(chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    everybody = tuple(chat.conns)
    return [
        attrs.evolve(one, conns=everybody) if isinstance(one, Deliver) and isinstance(one.event, PrivatePosted) else one
        for one in found
    ]


def gap(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    def shifted(one: Effect) -> Effect:
        if not isinstance(one, Reply | Deliver) or not isinstance(one.event, Ack | Posted):
            return one
        if one.event.seq is None or one.event.seq < 3:
            return one
        return attrs.evolve(one, event=msgspec.structs.replace(one.event, seq=one.event.seq + 1))

    return [shifted(one) for one in found]


def wrong_epoch(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    def other(one: Effect) -> Effect:
        if isinstance(one, Reply) and isinstance(one.event, Ack) and one.event.seq is not None and one.event.seq > 1:
            return attrs.evolve(one, event=msgspec.structs.replace(one.event, epoch=f"{one.event.epoch}-"))
        return one

    return [other(one) for one in found]


def delete_keeps() -> Fault:
    said: dict[tuple[str, int], Posted] = {}

    def shown(epoch: str, entry: Any) -> Any:
        kept = said.get((epoch, entry.seq)) if isinstance(entry, Deleted) and entry.of == entry.seq else None
        return kept or entry

    def spoil(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
        out: list[Effect] = []
        for one in found:
            if isinstance(one, Deliver) and isinstance(one.event, Posted):
                said[one.epoch, one.seq] = one.event
            if isinstance(one, Reply) and isinstance(one.event, HistoryPage):
                page = one.event
                entries = [shown(page.epoch, entry) for entry in page.entries]
                one = attrs.evolve(one, event=msgspec.structs.replace(page, entries=entries))
            out.append(one)
        return out

    return effects(spoil)


def told_twice(_chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    joined = [one for one in found if isinstance(one, Deliver) and getattr(one.event, "event", "") == "joined"]
    return found + list[Effect](joined)


def typing_to_all(chat: Chat, _given: Any, found: list[Effect]) -> list[Effect]:
    everybody = tuple(chat.conns)
    return [
        attrs.evolve(one, conns=everybody) if isinstance(one, Deliver) and isinstance(one.event, TypingShown) else one
        for one in found
    ]


def other_id(_chat: Chat, given: Any, found: list[Effect]) -> list[Effect]:
    """An integer comes back as a string."""

    def other(one: Effect) -> Effect:
        if isinstance(one, Reply) and isinstance(one.event, Ack) and isinstance(one.event.id, int):
            return attrs.evolve(one, event=msgspec.structs.replace(one.event, id=str(one.event.id)))
        return one

    return [other(one) for one in found]


def nonsense_harms_others(chat: Chat, given: Any, found: list[Effect]) -> list[Effect]:
    if isinstance(given, Received) and isinstance(given.command, Bad):
        return found + [Cut(conn, Close.INTERNAL) for conn in list(chat.conns)[:1] if conn != given.conn]
    return found


def unbanned(barred: Callable[..., Any]) -> Callable[..., Any]:
    def spoilt(*given: Any) -> Any:
        found = barred(*given)
        return None if found is not None and found[0] is ErrorCode.BANNED else found

    return spoilt


def one_further(replay: Callable[..., Any]) -> Callable[..., Any]:
    def spoilt(chat: Any, session: Any, room: Any, since: Any, now: Any) -> Any:
        if isinstance(since, Position) and since.seq < room.last:
            since = attrs.evolve(since, seq=since.seq + 1)
        return replay(chat, session, room, since, now)

    return spoilt


def never_lagged(lagged: Callable[..., Any]) -> Callable[..., Any]:
    def spoilt(*given: Any) -> Any:
        told = lagged(*given)
        return attrs.evolve(told, event=Pong(timestamp=told.event.timestamp))

    return spoilt


def leaking(_expel: Callable[..., Any]) -> Callable[..., Any]:
    return membership.quit_room


def nothing(_function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given, **named: None


def always_the_same(_digest: Callable[..., Any]) -> Callable[..., Any]:
    return lambda draft: b"0" * 16


def at_first(later: Spoil = lambda _chat, _given, found: found) -> Fault:
    """The fault of answering twice, but once only: it does not come again. `later`: what is wrong then."""
    done: list[None] = []

    def spoil(chat: Chat, given: Any, found: list[Effect]) -> list[Effect]:
        spoilt = later(chat, given, found) if done else answered_twice(chat, given, found)
        if len(spoilt) > len(found) and not done:
            done.append(None)
        return spoilt

    return effects(spoil)


ONCE = {"answers twice, once": at_first(), "answers twice, once, and leaves gaps": at_first(gap)}
FAULTS: dict[str, Fault] = {
    "loses every 100th message": effects(every_hundredth_lost),
    "reorders two": reordered(),
    "answers an id twice": effects(answered_twice),
    "never answers a refusal": effects(never_answered),
    "gives another id back": effects(other_id),
    "leaks a room after leave": patched(leaking, "expel", membership, verdicts),
    "resumes one too far": patched(one_further, "replay", welcoming, membership),
    "never says lagged": patched(never_lagged, "lagged", history),
    "dedupes by key alone": patched(always_the_same, "digest", memory),
    "forgets a ban": patched(unbanned, "barred", membership, posting),
    "forgets a mute": patched(nothing, "silenced", posting, revising),
    "has no heir to a room": patched(nothing, "succeed", membership),
    "acks, and loses it": effects(acked_and_lost),
    "skips one in a page": effects(page_skips),
    "lets anybody edit": effects(edits_by_anybody),
    "shows privates to a third": effects(private_to_a_third),
    "leaves a gap in seq": effects(gap),
    "acks with a wrong epoch": effects(wrong_epoch),
    "keeps what was deleted": delete_keeps(),
    "tells presence twice": effects(told_twice),
    "shows typing to everybody": effects(typing_to_all),
    "lets nonsense harm others": effects(nonsense_harms_others),
}
