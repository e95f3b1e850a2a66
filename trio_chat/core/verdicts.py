"""What a verdict of a moderator does, once the log has taken it: until then it is only a wish."""

from __future__ import annotations

from trio_chat.core.chat import Chat
from trio_chat.core.effects import Append, Effect, Keep, Note, Now
from trio_chat.core.membership import expel
from trio_chat.core.records import Right, RightRecord
from trio_chat.core.rights import drop_right, give_right
from trio_chat.core.rooms import Room

GIVES: dict[str, Right] = {"mute": "muted", "ban": "banned", "promote": "moderator"}
TAKES: dict[str, Right] = {"unmute": "muted", "unban": "banned", "demote": "moderator"}
LIFTS = ("unmute", "unban")
EXPELS = ("kick", "ban")
VERDICTS = frozenset((*GIVES, *TAKES, *EXPELS))


def carry_out(chat: Chat, room: Room, request: Append, now: Now) -> list[Effect]:
    """Do what the committed verdict says. It was told to the room, with the one whom it is about."""
    draft, subject = request.draft, request.subject
    for change in request.keep:
        if isinstance(change, Keep) and isinstance(change.record, RightRecord):
            give_right(chat, room, change.record)
    if draft.kind in TAKES:
        drop_right(chat, room, TAKES[draft.kind], subject)
    effects: list[Effect] = [Note("%s: %s %s in room %r", (draft.sender, draft.kind, draft.to, room.name))]
    user = chat.people.of_subject(subject)
    if draft.kind in EXPELS and user is not None and user.id in room.members:
        effects += expel(chat, user, room, now)
    return effects
