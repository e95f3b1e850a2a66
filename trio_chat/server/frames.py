"""RFC 6455 section 5.2, the server's half, as far as it is cheap or must be bounded. Sans-I/O.

Plain frames (whole, masked, unfragmented text) are parsed here; well-formed control frames are handed on one by one.
The first frame that is anything else, and all after it, goes on to wsproto piece by piece; what is left to do here is
to count: frames for the budget of raw frames, and bytes of messages against their limit.
"""

from __future__ import annotations

from trio_chat.core.errors import Close

TEXT, CONTINUATION, CLOSE, CONTROL = 0x1, 0x0, 0x8, 0x8
CLOSE_FRAME = 0x88


class FrameError(Exception):
    """The peer broke a rule: `code` is the close that says so."""

    def __init__(self, code: Close) -> None:
        super().__init__(code.reason)
        self.code = code


class FrameScanner:
    """Bytes in, in any chunking; frames out.

    `next()` returns a `str` for a plain frame, `bytes` for what wsproto is to see, None when it needs more bytes.

    Args:
        max_bytes: of one message, all its fragments together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self._at = 0  # what lies before it is done with
        self._declared = 0  # bytes that the fragments of the unfinished message announced
        self._size = 0  # of them, those that wsproto holds
        self._final = True  # whether the current frame ends its message
        self._message = False  # whether the current frame is part of a message, and no control frame
        self._left = 0  # bytes of the current frame that were not seen yet, once `plain` is over
        self.plain = True

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self.compact()
        self._buffer += data

    def compact(self) -> None:
        """Let go of what is done with; an idle peer's last message is not kept until its next one."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0

    @property
    def held(self) -> int:
        """Bytes of an unfinished message or frame, here and at wsproto."""
        return len(self._buffer) - self._at + self._size

    @property
    def in_frame(self) -> bool:
        """Whether the next item is a further piece of a frame, and no new one."""
        return self._left > 0

    @property
    def between(self) -> bool:
        """Whether all that was returned is whole: no frame and no message is under way, but in what waits here."""
        return not self._left and not self._size

    @property
    def unfinished(self) -> bool:
        """Whether the peer has begun what it has not ended."""
        return self._left > 0 or self.held > 0

    def next(self) -> str | bytes | None:
        """The next frame, or piece of one.

        Raises:
            FrameError: a message is too large (1009), or a plain one is not UTF-8 (1007).
        """
        if self._left:
            return self._piece(self._at)
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size, head = second & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < head + width:
                return None
            size = int.from_bytes(buffer[head : head + width], "big")
            head += width
            if size < (126 if width == 2 else 65_536):
                self.plain = False  # not the shortest form: wsproto has the word for it
        if first & CONTROL:
            return self._control(first, second, size, head)
        if self._declared + size > self._max:
            raise FrameError(Close.TOO_LARGE)
        if self.plain and first == 0x81 and second & 0x80:
            return self._text(head, size)
        self.plain = False
        self._declared += size
        self._final, self._message = bool(first & 0x80), True
        return self._begin(head, size, second)

    def _text(self, head: int, size: int) -> str | None:
        buffer, start = self._buffer, head + 4
        end = start + size
        if len(buffer) < end:
            return None
        self._at = end
        if not size:
            return ""
        mask = bytes(buffer[head:start])
        # One big integer is unmasked at about 1 GB/s, against 0.1 with four translated slices.
        mask = (mask * (size // 4 + 1))[:size]
        clear = int.from_bytes(buffer[start:end], "little") ^ int.from_bytes(mask, "little")
        try:
            return clear.to_bytes(size, "little").decode()
        except UnicodeDecodeError:
            raise FrameError(Close.BAD_UTF8) from None

    def _control(self, first: int, second: int, size: int, head: int) -> bytes | None:
        """A ping or pong goes on whole, and plain frames may follow; a close, or anything odd, ends that."""
        if self.plain and first in (0x89, 0x8A) and second & 0x80 and size < 126:
            end = head + 4 + size
            if len(self._buffer) < end:
                return None
            whole = bytes(self._buffer[self._at : end])
            self._at = end
            return whole
        self.plain, self._message = False, False
        return self._begin(head, size, second)

    def _begin(self, head: int, size: int, second: int) -> bytes | None:
        self._left = head - self._at + (4 if second & 0x80 else 0) + size
        return self._piece(self._at)

    def _piece(self, at: int) -> bytes | None:
        end = min(len(self._buffer), at + self._left)
        if end == at:
            return None
        self._left -= end - at
        self._at = end
        if self._message:
            self._size += end - at
            if not self._left and self._final:
                self._declared = self._size = 0
        return bytes(self._buffer[at:end])


def close_frame(code: int, reason: str) -> bytes:
    """One unmasked close frame (RFC 6455 section 5.5.1); `reason` is at most 123 bytes."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes((CLOSE_FRAME, len(payload))) + payload


PING_FRAME = b"\x89\x00"
