"""The log kind `sqlite` by itself: `python -m tests.benchmarks.journal`.

How many entries a second it commits, and when their answers come, with few and with many senders that each wait for
their answer; then how long a page takes out of a large room, and how large the file is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Literal

import attrs
import trio

from trio_chat.config import Config
from trio_chat.core.effects import Answer, Append, Committed, Draft, Now, Page, Read
from trio_chat.log.sqlite import SqliteLog, open_sqlite

from .pace import percentile

CONTENT = "the quick brown fox jumps over the lazy dog, and so on again"  # 60 characters
PAGE = 50
SLICE_MS = 10  # of upkeep, which a page may have to wait for
INDEXED = 120.0  # seconds within which a million entries are surely in the index of words


@attrs.define
class Senders:
    """`count` of them, each in a room of its own, each waiting for its answer before it sends again."""

    log: SqliteLog
    count: int
    seconds: float
    latencies: list[float] = attrs.Factory(list)
    _began: dict[int, float] = attrs.Factory(dict)
    _end: float = 0.0

    async def run(self) -> float:
        """Send for `seconds`. Returns entries a second. Cancelled: what was sent may be committed."""
        began = time.perf_counter()
        self._end = began + self.seconds
        with trio.move_on_after(self.seconds + 1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.log.run, self._answered)
                for number in range(self.count):
                    self._send(number)
        return len(self.latencies) / self.seconds

    def _send(self, number: int) -> None:
        self._began[number] = time.perf_counter()
        draft = Draft("message", "ann", "ann", CONTENT, time.time(), 1200, room=f"room {number}")
        self.log.submit(Append(f"room {number}", "e", draft, number), _now())

    def _answered(self, answer: Answer) -> None:
        assert isinstance(answer, Committed), answer
        number, now = answer.request.conn, time.perf_counter()
        if now < self._end:
            self.latencies.append(now - self._began[number])
            self._send(number)


async def fill(log: SqliteLog, entries: int) -> None:
    """Append so many entries to one room. Cancelled: some are there."""
    done = trio.Event()
    left = entries

    def answered(answer: Answer) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run, answered)
        sent = 0
        while sent < entries:
            while sent < entries and sent - (entries - left) < 4000:
                draft = Draft("message", "ann", "ann", f"{sent} {CONTENT}"[:60], time.time(), 1200, room="large")
                log.submit(Append("large", "e", draft, 1), _now())
                sent += 1
            await trio.sleep(0.001)  # for real: real threads commit meanwhile, and there is no hurry
        await done.wait()
        nursery.cancel_scope.cancel()


async def page(log: SqliteLog, after: int) -> float:
    """Milliseconds for a page after `after`: the median of 50. Cancelled: nothing is lost."""
    times: list[float] = []
    answers: list[float] = []

    def answered(answer: Answer) -> None:
        assert isinstance(answer, Page)
        assert len(answer.entries) == PAGE
        answers.append(time.perf_counter())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run, answered)
        for _ in range(50):
            began = time.perf_counter()
            log.submit(Read("large", "e", 1, PAGE, 1 << 20, after=after), _now())
            while len(answers) <= len(times):
                await trio.lowlevel.checkpoint()
            times.append(answers[-1] - began)
        nursery.cancel_scope.cancel()
    return 1000 * sorted(times)[len(times) // 2]


def _now() -> Now:
    return Now(trio.current_time(), time.time())


async def measure(directory: Path, sync: Literal["normal", "full"], seconds: float, entries: int) -> None:
    """All of it, printed as it comes. Cancelled: nothing is lost but the rest."""
    history = Config.of(history_limit=100_000_000).history
    for count in (1, 10, 100, 1000):
        path = directory / f"{sync}-{count}.db"
        async with open_sqlite(path, history=history, sync=sync, boot="bench", wall=time.time) as log:
            senders = Senders(log, count, seconds)
            rate = await senders.run()
            ordered = sorted(senders.latencies)
            p50, p99 = (1000 * percentile(ordered, share) for share in (0.5, 0.99))
            print(f"{sync}, {count} senders: {rate:,.0f} entries/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
    if entries and sync == "normal":
        path = directory / "large.db"
        async with open_sqlite(path, history=history, sync=sync, boot="bench", wall=time.time) as log:
            await fill(log, entries)
            print(f"page of {PAGE} of {entries:,}, while all that is indexed: {await page(log, 0):.2f} ms", flush=True)
            with trio.move_on_after(INDEXED):
                while await page(log, 0) > SLICE_MS / 2:
                    pass
            for where, after in (("oldest", 0), ("middle", entries // 2), ("newest", entries - PAGE)):
                print(f"page of {PAGE} of {entries:,}, {where}: {await page(log, after):.2f} ms", flush=True)
        print(f"file: {path.stat().st_size / entries:.0f} bytes an entry of {len(CONTENT)} characters", flush=True)


def main() -> None:
    """Measure in a temporary directory, on whatever disk that is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large room; 0: none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for sync in ("normal", "full"):
            trio.run(measure, Path(directory), sync, options.seconds, options.entries)


if __name__ == "__main__":
    main()
