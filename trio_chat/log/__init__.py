"""The log: the order of all entries, and what is kept beside them. One contract, an implementation a file.

What a `Log` guarantees, whatever keeps it:

1. Of one room and epoch, committed entries have the `seq` 1, 2, 3 … without gaps, in the order of their `submit`.
2. Every request that was submitted is answered exactly once; an `Append` and a `Read` of one room in order, so that a
   `Page` shows what was committed by the answers before it, and nothing else. A `Search` may be answered out of order:
   it finds what was answered before it was submitted, but where the log cannot keep up, the newest a moment later.
   Without `words` it finds nothing.
3. `Committed` is said only when the entry survives what the kind promises to survive.
4. The same `key` of the same author in the same room, within `dedupe_window`, is committed once: the same content
   again is a `Duplicate`, another content is `KeyReused`. Content is all that it says: `kind`, `content`, `reply_to`,
   `of`, `emoji` and `remove`. What a deleted entry said is known until the log is opened anew; then its key is always
   a `Duplicate`, for nothing tells any longer.
5. Trimming takes a prefix: what is held is `first` … `last` without gaps.
6. An `edit`, `delete` or `react` is committed only if the entry `of` is a message or private that is held and not
   deleted (else `Rejected` `no_such_entry`), and, but for `react`, of the same author or by a moderator (else
   `forbidden`). A `delete` may be of an `edit` whose message is no longer held, too: it takes all edits of that
   message. The same reaction of the same author again is a `Duplicate` of the first; removing one that is not there is
   `no_such_entry`; a reaction with one more than `MAX_EMOJI` different ones is `too_large`. One of them keeps its place
   among the others while anybody is left who reacted so.
7. From then on reading shows the entry `of` in its present state; the content of a deleted entry, and of the edits of
   it, is nowhere any longer, at most a minute later not in a file either. They take the bytes of the `delete` then, and
   an entry with reactions `REACTIONS_BYTES` more than its draft.
8. What is kept is what was kept last under each kind and key. It is committed in the order of the calls, together with
   the entries: what was kept before an entry was submitted is not lost if that entry is committed. A `Change` is
   answered with `Changed` when all of it is committed; one that `Failed` is not kept, now or later.
9. When a `ForgetRecord` that is `settled` is kept, all that it is of is erased, as by a `delete`, or has the name
   `FORGOTTEN` in its place (see `anonymous`), at most a minute later not in a file either; a large file takes longer by
   the time that it takes to be read. Then the record is kept no longer.
10. A log that cannot commit answers an `Append` with `Failed` and goes on answering `Read` and `Search`, if it can;
   `trouble` says why. Nothing of what failed is in the log; what is to be kept is committed when it can again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trio_chat.core.effects import Answer, Discard, Forget, Keep, Now, Request
from trio_chat.core.records import Restored

MAX_EMOJI = 20  # different reactions to one entry
SHOWN_USERS = 10  # of a reaction, at most, by name …
REACTIONS_BYTES = 2000  # … and as JSON, all of an entry's together: they must fit into a frame beside the content


class LogError(Exception):
    """The log cannot be opened; `str()` is one line for people."""


class LostError(LogError):
    """The log is not what it was: nothing may go on. `again`: it can be opened anew; else another process has it."""

    def __init__(self, line: str, *, again: bool = False) -> None:
        super().__init__(line)
        self.again = again


class Log(Protocol):
    """See the guarantees above. No method blocks; a kind that has to wait answers later, by `answered` of `run`."""

    restored: Restored  # what it knew when it was opened

    @property
    def trouble(self) -> str | None:
        """Why it cannot commit right now, for operators."""

    def submit(self, request: Request, now: Now) -> Answer | None:
        """Take a request. Returns its answer, or None where that comes later."""

    def keep(self, change: Keep | Discard) -> None:
        """Keep a record, or no longer."""

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""

    async def run(self, answered: Callable[[Answer], None]) -> None:
        """Do what has to wait, until cancelled. Cancelled: what was not answered may be committed, or not.

        Raises:
            LostError: see there.
        """
