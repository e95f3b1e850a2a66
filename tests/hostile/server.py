"""The real server, which gives back on SIGUSR1 what memory it does not use: `python -m tests.hostile.server`.

An allocator keeps what was freed, up to hundreds of MiB where large blocks lie between small ones; nothing is lost by
that, but a leak could hide behind it. With it given back (malloc_trim(3)), RSS is what is held. Garbage is not
collected: what waits for that for too long is found out.
"""

from __future__ import annotations

import ctypes
import signal

from trio_chat.cli import main

LIBC = ctypes.CDLL(None)


def trim(*_: object) -> None:
    """Give back what is free."""
    LIBC.malloc_trim(0)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, trim)
    main()
