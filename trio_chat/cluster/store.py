"""A log on a Redis server: the log kind `redis` without the waiting. See `Log` for what it guarantees.

Changes go in batches. Each batch has a number, and each change in it a place; the server remembers how far the last
batch came and what it answered. So a batch whose connection broke is sent again as it is, and nothing is done twice;
and a change is done only behind all those before it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import msgspec
from coredis.exceptions import RedisError

from trio_chat.cluster import scripts
from trio_chat.cluster.heads import key_of, packed, page_of
from trio_chat.cluster.link import BrokenError, Call, Link, Reply, UnreachableError, script, why
from trio_chat.cluster.lua import ANSWERS, KEPT, LEASE, OWNER, ROOMS, base
from trio_chat.cluster.opening import ABOUT, Claim, claim, oldest, run_of
from trio_chat.config import History
from trio_chat.core.effects import (
    Answer,
    Append,
    Change,
    Changed,
    Committed,
    Discard,
    Duplicate,
    Entry,
    Failed,
    Forget,
    Keep,
    KeyReused,
    Now,
    Read,
    Rejected,
    Stale,
)
from trio_chat.core.errors import ErrorCode
from trio_chat.core.records import ForgetRecord
from trio_chat.log import MAX_EMOJI, SHOWN_USERS, LostError
from trio_chat.log.marks import digest

log = logging.getLogger(__name__)
Job: TypeAlias = Append | Read | Change | Keep | Discard | Forget
RETRY = 1.0  # seconds from an attempt that failed to the next
ERASED = 100_000  # deleted entries whose keys are known in full; of the others, any retry is a duplicate
_encode = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class _Batch:
    """Jobs that were sent, or are about to be. `places`: of each job its place among the changes; 0: it only reads."""

    number: int
    jobs: list[tuple[Job, Now]]
    calls: list[Call]
    places: list[int]

    def part_with_reads(self) -> list[tuple[Job, Now]]:
        """Take out what only reads: sent again, it would show what was done behind it."""
        reads = [job for job, place in zip(self.jobs, self.places, strict=True) if not place]
        self.jobs = [job for job, place in zip(self.jobs, self.places, strict=True) if place]
        self.calls = [call for call, place in zip(self.calls, (*self.places, -1), strict=True) if place]
        self.places = [place for place in self.places if place]
        return reads


class Store:
    """An open log. One task at a time."""

    def __init__(self, link: Link, claimed: Claim, history: History) -> None:
        """Take over what `open` claimed."""
        self.link, self.claimed, self.history = link, claimed, history
        self.restored = claimed.restored
        self.trouble: str | None = None  # why nothing can be committed right now, and …
        self.away = False  # … then, whether nothing can be read, either
        self.rooms = dict.fromkeys(claimed.restored.spans)  # all there are
        self.unswept = dict.fromkeys(claimed.unswept)  # those with something to delete
        self.erased = True  # something was, and may still be in a file of the server's; or may have been, before us
        self.forgetting = True  # somebody may be to be forgotten
        self._before = "0:0"  # the last batch, and how many of it were done
        self._number = 0
        self._unknown: _Batch | None = None  # was sent, and its answers did not come
        self._unread: list[tuple[Job, Now]] = []  # what was to be read with it, and is asked for anew behind it
        self._owed: dict[tuple[str, ...], tuple[Keep | Discard | Forget, Now]] = {}  # could not be done yet, in order
        self._digests: dict[tuple[str, str, int], bytes] = {}  # of what was deleted, the oldest first: nowhere else
        self._made = link.made
        self._vouched = claimed.vouched
        self._noted = claimed.run if claimed.vouched else ""
        self._retry_at = -1e9  # monotonic
        self._trouble_from = 0.0  # monotonic
        self.refused = 0  # entries, since then

    @classmethod
    async def open(cls, link: Link, *, history: History, boot: str, wall: float) -> Store:
        """Take the log over. `boot`: part of the new epochs, if need be; `wall`: the time, for what is too old.

        Raises:
            LogError: another process has it, it is damaged or of a newer version, or the server cannot be reached.
        """
        return cls(link, await claim(link, history=history, boot=boot, wall=wall), history)

    # --- Requests --------------------------------------------------------------------------------------------------

    async def perform(self, jobs: Sequence[tuple[Job, Now]], now: Now) -> list[Answer]:
        """Do all of `jobs` in one round trip; answers each request, in order, and what was sent before.

        Where the server cannot, each of them is `Failed` and what is to be kept or forgotten is remembered.
        Where its answer does not come, the answers of these jobs come with a later call, when it is there again.
        Cancelled: what was sent may be done, or not; the next call finds out.

        Raises:
            LostError: see there.
        """
        answers: list[Answer] = []
        if self.trouble is not None and now.mono < self._retry_at:
            return self._refuse(jobs) if self.away else await self._only_read(jobs, now)
        if self._unknown is not None and not await self._send(self._unknown, answers, now):
            return answers + self._refuse(jobs)
        todo = [*self._owed.values(), *self._unread, *jobs]
        if todo or self.trouble is not None:
            self._owed.clear()
            self._unread.clear()
            await self._send(self._batch(todo), answers, now)
        return answers

    async def _only_read(self, jobs: Sequence[tuple[Job, Now]], now: Now) -> list[Answer]:
        """Read while nothing can be committed."""
        reads = [(job, at) for job, at in jobs if isinstance(job, Read)]
        answers = self._refuse([one for one in jobs if not isinstance(one[0], Read)])
        try:
            replies = await self.ask([self._read(*one) for one in reads]) if reads else []
            return answers + [page_of(job, reply) for (job, _), reply in zip(reads, replies, strict=True)]
        except (UnreachableError, BrokenError, RedisError) as error:
            self.failed(f"the server does not answer: {error}", now)
            return answers + self._refuse(reads)

    async def _send(self, batch: _Batch, answers: list[Answer], now: Now) -> bool:
        """Send a batch; returns whether its answers came, which are added to `answers`."""
        again = batch is self._unknown
        self._unknown = batch  # until its answers are there
        try:
            replies = await self.link.call(batch.calls)
        except UnreachableError as error:
            if not again:  # nobody has seen it
                self._unknown = None
                self._number -= 1
                answers += self._refuse(batch.jobs)
            self.failed(f"the server cannot be reached: {error}", now)
            return False
        except BrokenError as error:
            self._unread += batch.part_with_reads()
            self.failed(f"the server does not answer: {error}", now)
            return False
        self._unknown = None
        settled = self._settle(batch, replies, now)
        self._vouched = self._vouched or any(isinstance(job, Keep) for job, _ in batch.jobs)
        if self.trouble is None and self.link.made != self._made:
            self._made = self.link.made
            await self.renew(now)  # before anybody hears of what it says: it may have been started anew
        answers += settled
        return True

    def _batch(self, jobs: list[tuple[Job, Now]]) -> _Batch:
        self._number += 1
        batch = _Batch(self._number, jobs, [], [])
        changes = 0
        for job, now in jobs:
            if isinstance(job, Read):
                batch.calls.append(self._read(job, now))
                batch.places.append(0)
            else:
                changes += 1
                batch.calls.append(self._change(job, now, batch.number, changes))
                batch.places.append(changes)
        batch.calls.append(self.claimed.held())
        return batch

    def _read(self, request: Read, now: Now) -> Call:
        side, number = ("before", request.before or -1) if request.after is None else ("after", request.after)
        return script(
            scripts.READ,
            (OWNER, base(request.room)),
            *(self.claimed.fence, self.history.history_limit, oldest(self.history, now.wall)),
            *(request.epoch, side, number, max(0, request.limit), request.max_bytes, SHOWN_USERS),
        )

    def _change(self, job: Append | Change | Keep | Discard | Forget, now: Now, number: int, place: int) -> Call:
        guard = (self.claimed.fence, number, place, self._before)
        match job:
            case Append():
                draft, key = job.draft, key_of(job)
                return script(
                    scripts.APPEND,
                    (OWNER, ANSWERS, KEPT, base(job.room), ROOMS),
                    *(*guard, job.room, job.epoch, packed(draft, key), draft.content),
                    *(key, digest(draft) if key else b"", repr(now.wall + self.history.dedupe_window)),
                    *(repr(now.wall), self.history.history_limit, oldest(self.history, now.wall)),
                    *(int(job.moderator), MAX_EMOJI, repr(draft.at)),
                    *(part for change in job.keep for part in _kept(change)),
                )
            case Forget():
                return script(scripts.FORGET, (OWNER, ANSWERS, KEPT, base(job.room), ROOMS), *guard, job.room)
            case Change():
                parts = (part for change in job.keep for part in _kept(change))
                return script(scripts.KEEP, (OWNER, ANSWERS, KEPT), *guard, *parts)
            case _:
                return script(scripts.KEEP, (OWNER, ANSWERS, KEPT), *guard, *_kept(job))

    # --- Answers ---------------------------------------------------------------------------------------------------

    def _settle(self, batch: _Batch, replies: list[Reply], now: Now) -> list[Answer]:
        """What the server's answers to a batch come to. What it refused is not done, nor any change behind that."""
        answers: list[Answer] = []
        failure: str | None = None
        done = 0
        for one in replies:
            self.see(one)
        for (job, at), reply, place in zip(batch.jobs, replies, batch.places, strict=False):
            if isinstance(reply, RedisError):
                failure = failure or why(reply)
            if isinstance(reply, RedisError) or reply[0] == b"skipped":
                answers += self._refuse(((job, at),))
                continue
            done = place or done
            answer = self._answer(job, reply)
            if answer is not None:
                answers.append(answer)
        if done:
            self._before = f"{batch.number}:{done}"
        else:  # nothing was changed: the next batch may have its number
            self._number -= 1
        if isinstance(replies[-1], RedisError):
            failure = failure or why(replies[-1])
        if failure is None:
            self._over(now)
        else:
            self.failed(f"the server refuses: {failure}", now, away=False)
        return answers

    def see(self, reply: Reply) -> None:
        """Look whether an answer says that the log is not ours, or not whole, any more.

        Raises:
            LostError: it does.
        """
        if isinstance(reply, list) and reply and reply[0] in (b"fenced", b"lost"):
            if reply[0] == b"fenced" and reply[1]:
                raise LostError("another process has it by now")
            raise LostError("the server lost entries that it had acknowledged", again=True)

    def _answer(self, job: Job, reply: list[Any]) -> Answer | None:
        match job:
            case Append():
                return self._appended(job, reply)
            case Read():
                return page_of(job, reply)
            case Change():
                for change in job.keep:
                    self._look(change)
                return Changed(job)
            case Forget():
                self.rooms.pop(job.room, None)
                self.unswept.pop(job.room, None)
                self.erased = True
            case Keep():
                self._look(job)
        return None

    def _look(self, change: Keep | Discard) -> None:
        if isinstance(change, Keep) and isinstance(change.record, ForgetRecord):
            self.forgetting = True

    def _appended(self, request: Append, reply: list[Any]) -> Answer:
        room, epoch = request.room, request.epoch
        match reply:
            case [b"ok", seq, first, more, *digests]:
                self.rooms[room] = None
                if more:
                    self.unswept[room] = None
                if request.draft.kind == "delete":
                    self.erased = True
                    for said in digests:
                        self._remember(room, epoch, said)
                for change in request.keep:
                    self._look(change)
                return Committed(request, Entry(seq, epoch, request.draft), first)
            case [b"known", seq, known]:
                said = digest(request.draft)
                known = known or self._digests.get((room, epoch, seq), said)
                return Duplicate(request, seq) if known == said else KeyReused(request)
            case [b"duplicate", seq]:
                return Duplicate(request, seq)
            case [b"rejected", code]:
                return Rejected(request, ErrorCode[code.decode().upper()])
            case _:
                return Stale(request)

    def _remember(self, room: str, epoch: str, said: list[Any]) -> None:
        """What was deleted has no digest on the server any longer; ours is gone with this process."""
        for seq, known in zip(said[::2], said[1::2], strict=True):
            self._digests[room, epoch, seq] = known
        while len(self._digests) > ERASED:
            del self._digests[next(iter(self._digests))]

    # --- Trouble ---------------------------------------------------------------------------------------------------

    def _refuse(self, jobs: Sequence[tuple[Job, Now]]) -> list[Answer]:
        """Answer without the server; what is to be kept or forgotten is owed."""
        answers: list[Answer] = []
        for job, now in jobs:
            match job:
                case Append() | Read() | Change():
                    self.refused += isinstance(job, Append)
                    answers.append(Failed(job, RETRY))
                case Forget():
                    self._owed.pop(("", job.room), None)
                    self._owed["", job.room] = job, now
                case _:
                    of = job.record if isinstance(job, Keep) else job
                    self._owed.pop((of.kind, of.key), None)
                    self._owed[of.kind, of.key] = job, now
        return answers

    def failed(self, why: str, now: Now, *, away: bool = True) -> None:
        """Nothing can be committed from now on, nor be read where the server is `away`."""
        self.away = away
        if self.trouble is None:
            log.warning("log: nothing can be committed, and messages are refused: %s", why)
            self._trouble_from, self.refused = now.mono, 0
        self.trouble = why
        self._retry_at = now.mono + RETRY

    def _over(self, now: Now) -> None:
        if self.trouble is not None:
            self.trouble = None
            lasted = max(0.0, now.mono - self._trouble_from)
            log.info("log: the trouble is over after %.1f s; %d new entries were refused", lasted, self.refused)

    async def ask(self, calls: Sequence[Call]) -> list[Reply]:
        """Send what may be done twice as well as once, and is no batch.

        Raises:
            UnreachableError, BrokenError: as `Link.call`.
            RedisError: the server refused one of them.
            LostError: see there.
        """
        replies = await self.link.call(calls)
        for one in replies:
            self.see(one)
            if isinstance(one, RedisError):
                raise one
        return replies

    async def renew(self, now: Now) -> None:
        """Say that we live, and see whether the server has all that it acknowledged; it may have been started anew.

        Then its run is noted: the next start need not doubt it. After new epochs that waits until the first records are
        committed: those of all rooms, with their epochs, are among them.

        Raises:
            LostError: see there.
        """
        try:
            state = (b"HMGET", OWNER.encode(), b"batch", b"done")
            _, (number, done), about = await self.ask([self.claimed.held(), state, ABOUT])
            if self._unknown is None and (number, done) not in self._known():
                raise LostError("the server lost entries that it had acknowledged", again=True)
            run = run_of(about)
            if self._vouched and run != self._noted:
                await self.ask([script(scripts.NOTE, (OWNER,), self.claimed.fence, "run", run)])
                self._noted = run
        except (UnreachableError, BrokenError, RedisError) as error:
            self.failed(f"the server does not answer: {error}", now)

    def _known(self) -> list[tuple[bytes, bytes]]:
        """How far the changes may be, by what the server said of them."""
        number, done = self._before.encode().split(b":")
        return [(number, done), (b"%d" % (self._number + 1), b"0")]  # the latter: a script failed on its way

    async def close(self) -> None:
        """Let others have the log at once. What was not done before is lost."""
        try:
            await self.ask([script(scripts.RELEASE, (OWNER, LEASE), self.claimed.fence)])
        except (UnreachableError, BrokenError, RedisError, LostError) as error:
            log.warning("log: not given back, it is free when the lease ends: %s", error)


def _kept(change: Keep | Discard) -> tuple[str, str | bytes]:
    """Under what a change is kept, and what; empty: nothing any longer."""
    if isinstance(change, Keep):
        return f"{change.record.kind}\n{change.record.key}", _encode(change.record)
    return f"{change.kind}\n{change.key}", b""
