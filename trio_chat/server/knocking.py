"""Asking to come in: a connection before the broker has said yes."""

from __future__ import annotations

import attrs
import trio

from trio_chat.core.effects import Admit, Admitted, Refused
from trio_chat.server.peers import Peer


@attrs.define(eq=False)
class Knock:
    """A connection asks to come in, and waits until it is `answered`. `left`: it waits no longer."""

    ask: Admit
    peer: Peer
    answered: trio.Event = attrs.field(factory=trio.Event)
    verdict: Admitted | Refused | None = None
    left: bool = False
