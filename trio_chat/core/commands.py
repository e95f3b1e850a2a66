"""The command table: what each command needs, and who does it. The only place that joins a message to its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from trio_chat.core import history, membership, messages, moderating, posting, proving, revising, searching
from trio_chat.core.chat import Chat
from trio_chat.core.effects import ConnId, Effect, Now, Received
from trio_chat.core.messages import Command
from trio_chat.core.sessions import Session

Handler: TypeAlias = Callable[[Chat, Session, ConnId, Any, Now], list[Effect]]
Proof: TypeAlias = Callable[[Chat, Session, Received, Now], list[Effect]]

# Every command but the first frames, which `state` takes by itself: all need a session, and a token of its bucket.
HANDLERS: dict[type[Command], Handler] = {
    messages.Message: posting.message,
    messages.Private: posting.private,
    messages.Ping: posting.ping,
    messages.Typing: posting.typing,
    messages.Join: membership.join,
    messages.Leave: membership.leave,
    messages.GetHistory: history.history,
    messages.Find: searching.search,
    messages.Edit: revising.edit,
    messages.Delete: revising.delete,
    messages.React: revising.react,
    messages.MarkRead: history.read,
    messages.SetTopic: revising.topic,
    **dict.fromkeys(messages.JUDGES, moderating.judge),
    messages.SetRoom: moderating.configure,
    messages.Invite: moderating.invite,
    messages.Block: moderating.block,
    messages.Unblock: moderating.unblock,
    messages.ListRooms: membership.rooms,
    messages.ListUsers: membership.users,
}
# Those that prove something: they need the `Identity` that came with them.
PROOFS: dict[type[Command], Proof] = {
    messages.Refresh: proving.refresh,
    messages.ChangePassword: proving.change_password,
    messages.Denied: proving.denied,
}
