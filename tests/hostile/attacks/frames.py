"""WebSocket frames that break the framing, or the patience."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

from tests.benchmarks.framing import CLOSE, TEXT

from ..scene import Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import BINARY, CONTINUATION, NO_CLOSE, PING, Broken, Raw, frame, text, upgrade

FLOOD = 20.0  # seconds within which a flood must have been cut: it may be over its budget for five
LOGGED = 4.0  # lines of one that was let in: it came, made its room, was cut, and its session ended


def flood(scene: Scene, name: str, wave: bytes, count: int, *, first: bytes = b"") -> int:
    """Some clients send `wave` again and again, and read what they get. The number of waves.

    All are cut with 4005; or, where `first` begins a message that never ends, with the code for that.
    """
    raws = [Raw(scene.port, f"{name} {n}") for n in range(count)]
    waves = 0
    ends = dict.fromkeys(raws, 0)
    try:
        deadline = time.monotonic() + FLOOD
        for raw in raws:
            raw.push(first)
            raw.sock.setblocking(False)
        open_ones = list(raws)
        rest = dict.fromkeys(raws, b"")
        while open_ones and time.monotonic() < deadline:
            for raw in list(open_ones):
                try:
                    data = rest[raw] or wave
                    rest[raw] = data[raw.sock.send(data) :]
                    waves += not rest[raw]
                except BlockingIOError:
                    pass
                except ConnectionError:
                    open_ones.remove(raw)
                    continue
                try:
                    while (got := raw.next()) is not None:
                        if got[0] == CLOSE:
                            ends[raw] = int.from_bytes(got[1][:2], "big")
                    open_ones.remove(raw)
                except BlockingIOError:
                    pass
            time.sleep(0.005)
        if open_ones:
            raise Broken(f"{len(open_ones)} of {count} are still there after {FLOOD:g} s")
        codes = (4005, 0, 4004) if first else (4005, 0)  # 0: it could not read to the end
        wrong = [code for code in ends.values() if code not in codes]
        if wrong or 4005 not in ends.values():
            raise Broken(f"a flood was closed with {sorted(ends.values())}")
    finally:
        for raw in raws:
            raw.sock.close()
    return waves


@attack("ping flood", bounds=Bounds(lines=LOGGED))
def ping_flood(scene: Scene) -> int:
    """Some clients send pings of 125 bytes as fast as they can: reading pauses, then 4005."""
    return 100 * flood(scene, "pinger", frame(PING, b"p" * 125) * 100, scene.count(20, 5))


@attack("endless empty fragments", bounds=Bounds(lines=LOGGED))
def endless_fragments(scene: Scene) -> int:
    """Some clients begin a message and continue it with nothing, for ever: reading pauses, then 4005, or 4004."""
    _begun_and_ended(scene)
    begun, more = frame(TEXT, b"{", fin=False), frame(CONTINUATION, b"", fin=False) * 200
    return 200 * flood(scene, "fragmenter", more, scene.count(20, 5), first=begun)


def _begun_and_ended(scene: Scene) -> None:
    """A message with empty fragments within it is a message: the flood is what is cut, not the fragment."""
    with Raw(scene.port, "patient") as raw:
        raw.push(frame(TEXT, b'{"type": "ping", ', fin=False) + frame(CONTINUATION, b"", fin=False) * 20)
        raw.push(frame(CONTINUATION, b'"id": 7}'))
        if raw.answer_to(7)["type"] != "pong":
            raise Broken("a message with empty fragments in it was not understood")


LENGTHS = (
    (1 << 20) + 1,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)


def closes(scene: Scene, sends: Iterator[tuple[str, bytes, tuple[int, ...]]], name: str) -> int:
    """Send each, as a client that was welcomed, and hold the code of the close frame against those that it may be."""
    count = 0
    for what, data, codes in sends:
        count += 1
        with Raw(scene.port, f"{name} {count}") as raw:
            raw.push(data)
            code = raw.to_the_end()[1]
            if code not in codes:
                raise Broken(f"{what} was closed with {code}, not {' or '.join(map(str, codes))}")
    return count


@attack("huge declared lengths", bounds=Bounds(lines=LOGGED, peak=32))
def huge_lengths(scene: Scene) -> int:
    """Frames that claim up to 2^64 - 1 bytes, and send some of them: 1009 or 1002, with nothing set aside."""

    def sends() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        for _ in range(scene.count(20, 2)):
            for length in LENGTHS:
                for opcode in (TEXT, BINARY):
                    for more in (b"", b"x" * 30_000):
                        yield f"a length of {length}", frame(opcode, more, length=length), (1009, 1002)
            yield "a ping of 2^62 bytes", frame(PING, b"", length=1 << 62), (1002,)
            yield "a close of 126 bytes", frame(CLOSE, b"", length=126), (1002,)
            pieces = frame(TEXT, b"x" * 600_000, fin=False) + frame(CONTINUATION, b"", length=1 << 62)
            yield "a continuation of 2^62 bytes", pieces, (1009, 1002)

    return closes(scene, sends(), "giant")


def all_push(raws: list[Raw], data: bytes) -> list[int]:
    """Let each send the same; returns the codes with which they are closed."""
    try:
        for raw in raws:
            raw.push(data)
        return [raw.to_the_end()[1] for raw in raws]
    finally:
        for raw in raws:
            raw.sock.close()


@attack("lengths that are kept waiting", bounds=Bounds(lines=LOGGED, memory=32, peak=200), setting="guarded")
def kept_waiting(scene: Scene) -> int:
    """Frames of 1 MiB that stay a byte short, from many at once: held within the bound for all, then closed."""
    data = frame(TEXT, b"x" * 1_000_000, length=1_000_001)
    raws = [Raw(scene.port, f"short of a byte {n}", source=f"127.0.4.{n + 1}") for n in range(scene.count(100, 20))]
    codes = all_push(raws, data)
    if set(codes) != {4004}:
        raise Broken(f"a message that never got whole was closed with {sorted(set(codes))}")
    return len(raws)


@attack("unfinished messages fill the bound for all", setting="small", bounds=Bounds(lines=LOGGED + 1, memory=48))
def fill_the_bound(scene: Scene) -> int:
    """1,000 unfinished messages of 8 KB, where 4 MiB are there for all: those that hold most go, and nobody else."""
    data = frame(TEXT, b"x" * 8000, length=8190)
    raws = [Raw(scene.port, f"filler {n}") for n in range(1000)]
    codes = all_push(raws, data)
    if not {4003, 4004} >= set(codes) - {NO_CLOSE} or 4003 not in codes:
        raise Broken(f"messages that never got whole were closed with {sorted(set(codes))}")
    return len(raws)


@attack("compressed bit", bounds=Bounds(lines=LOGGED, peak=32))
def compressed_bit(scene: Scene) -> int:
    """Frames with reserved bits, deflated bombs among them, though nothing was agreed on: 1002, nothing is inflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"[" * 50_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)

    def sends() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        for _ in range(scene.count(10, 1)):
            for rsv in range(1, 8):
                for opcode in (TEXT, BINARY, PING, CLOSE, CONTINUATION):
                    payload = bomb if opcode in (TEXT, BINARY) else b""
                    yield f"reserved bits {rsv:03b} of opcode {opcode}", frame(opcode, payload, rsv=rsv), (1002,)
            begun = frame(TEXT, b"{", fin=False) + frame(CONTINUATION, bomb, rsv=4)
            yield "a reserved bit in a continuation", begun, (1002,)
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
                yield f"opcode {opcode}", frame(opcode, b"x"), (1002,)

    return closes(scene, sends(), "deflater")


BAD_TEXT = (
    b"\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",  # a surrogate
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf8\x88\x80\x80\x80",
    b"\x80",
)


@attack("broken UTF-8", bounds=Bounds(lines=LOGGED))
def broken_text(scene: Scene) -> int:
    """Invalid UTF-8, whole or split over fragments and writes, also in fields that nobody reads: 1007, always."""

    def sends() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        for _ in range(scene.count(10, 1)):
            for bad in BAD_TEXT:
                whole = b'{"type": "ping", "unknown": "' + bad + b'"}'
                yield f"{bad!r}", frame(TEXT, whole), (1007,)
                for at in range(28, 30 + len(bad)):
                    parts = frame(TEXT, whole[:at], fin=False) + frame(CONTINUATION, whole[at:])
                    yield f"{bad!r}, split", parts, (1007,)
            cut = '{"type": "ping", "a": "€'.encode()[:-1]
            yield "a character that stays cut", frame(TEXT, cut), (1007,)
            yield "the same, in fragments", frame(TEXT, cut, fin=False) + frame(CONTINUATION, b""), (1007,)
            for reason in BAD_TEXT:
                data = frame(CLOSE, (1000).to_bytes(2, "big") + reason)
                yield f"a close with the reason {reason!r}", data, (1007, 1002)

    return closes(scene, sends(), "garbler") + _whole_after_all(scene)


def _whole_after_all(scene: Scene) -> int:
    """A character that is split over frames, and then whole, is text: its message is taken."""
    whole = '{"type": "ping", "id": 3, "a": "€𝄞"}'.encode()
    with Raw(scene.port, "splitter") as raw:
        for at in range(len(whole)):
            raw.push(frame(TEXT, whole[:at], fin=False) + frame(CONTINUATION, whole[at:]))
            if raw.answer_to(3)["type"] != "pong":
                raise Broken(f"a text that was split at {at} was not understood")
    return len(whole)


@attack("closes of all kinds", bounds=Bounds(lines=LOGGED))
def closes_of_all_kinds(scene: Scene) -> int:
    """Close frames with codes that must not be sent, of one byte, or twice: 1002, or the echo; and all are gone."""
    codes = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    data = [frame(CLOSE, code.to_bytes(2, "big")) for code in codes] + [frame(CLOSE, b"x"), frame(CLOSE) * 2]
    with_head = [_upgraded(one) for one in data for _ in range(scene.count(50, 5))]
    done = Swarm(scene.port, at_once=100).run(Dial(one) for one in with_head)
    for one in done:
        if one.end == "open":
            raise Broken(f"still there after {one.data[-20:]!r}")
    return len(done)


def _upgraded(data: bytes) -> bytes:
    return upgrade() + text(type="connect", username="closer") + data
