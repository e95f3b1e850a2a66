"""The log: the order of all entries. One contract, an implementation a file.

What a `Log` guarantees, whatever keeps it:

1. Of one room and epoch, committed entries have the `seq` 1, 2, 3 … without gaps, in the order of their `submit`.
2. Every `Append` and every `Read` that was submitted is answered exactly once; those of one room in order.
3. `Committed` is said only when the entry survives what the kind promises to survive.
4. The same `key` of the same author in the same room, within `dedupe_window`, is committed once: the same content
   again is a `Duplicate`, another content is `KeyReused`.
5. Trimming takes a prefix: what is held is `first` … `last` without gaps.
"""

from __future__ import annotations

from typing import Protocol

from trio_chat.core.effects import Answer, Append, Forget, Now, Read


class Log(Protocol):
    """See the guarantees above. No method blocks; a kind that has to wait answers later, through the broker's inbox."""

    def submit(self, request: Append | Read, now: Now) -> Answer | None:
        """Take a request. Returns its answer, or None where that comes later."""

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""
