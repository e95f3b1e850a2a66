"""A log file: the log kind `sqlite` without the waiting. See `Log` for what it guarantees."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from trio_chat.config import History
from trio_chat.core.effects import (
    Answer,
    Append,
    Change,
    Changed,
    Committed,
    Discard,
    Failed,
    Forget,
    Found,
    Keep,
    Now,
    Page,
    Read,
    Search,
    Stale,
)
from trio_chat.core.records import ForgetRecord, Restored, Span
from trio_chat.log import LogError, kept
from trio_chat.log.database import Database, said, undecodable, why
from trio_chat.log.entries import Entries
from trio_chat.log.forgetting import Forgetting
from trio_chat.log.opening import Opened, Sync, open_log, regenerate
from trio_chat.log.search import Finder
from trio_chat.log.spans import Spans
from trio_chat.log.tidy import Tidy
from trio_chat.log.watch import GoneError, Watch

log = logging.getLogger(__name__)
Job: TypeAlias = Append | Read | Change | Keep | Discard | Forget
T = TypeVar("T")
RETRY = 1.0  # seconds from a commit that failed to the next that is tried
TIDY_RETRY = 30.0  # … and from an upkeep that failed


class Store:
    """An open log file. One thread at a time, but for `search`, which may be another's."""

    def __init__(self, opened: Opened, history: History) -> None:
        """Take over `opened`; see `open`."""
        self._opened, self._db = opened, opened.db
        self._spans = Spans(self._db, history)
        self._entries = Entries(self._db, self._spans, history.dedupe_window)
        self._forgetting = Forgetting(self._db, self._spans, opened.path)
        self._tidy = Tidy(self._db, self._spans, opened.file, self._forgetting)
        self._owed: kept.Changes = {}  # what is to be kept and could not be committed
        self._forgets: dict[str, Forget] = {}  # likewise, of each room the last
        self._retry_at = self._tidy_at = -1e9  # monotonic
        self.trouble: str | None = None  # why it cannot commit right now
        self._trouble_from = self._clock = 0.0  # monotonic: when that began, and the last time that was told
        self._refused = 0  # entries, since then
        self._watch = Watch(opened.path)
        self._vouched = opened.trusted
        self.restored = self._restore()
        self._finder = Finder(Database(opened.path, None), history)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        history: History,
        sync: Sync,
        boot: str,
        wall: float,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> Store:
        """Open the log file `path`, or make it. `wall`: the time, for what is too old.

        Raises:
            LogError: it is open elsewhere, damaged, not ours, of a newer version, or cannot be read and written.
        """
        opened = open_log(path, history=history, sync=sync, boot=boot, wall=wall, factory=factory)
        try:
            return cls(opened, history)
        except (sqlite3.Error, OSError) as error:
            _release(opened, clean=False)
            raise LogError(f"{path} cannot be opened: {said(error)}") from None
        except BaseException:
            _release(opened, clean=False)
            raise

    def _restore(self) -> Restored:
        found = self._opened.contents
        self._tidy.notice(found.rooms)
        return Restored(
            records=found.records,
            spans={room.key: Span(epoch=room.epoch, first=room.first, last=room.last) for room in found.rooms},
            secret=found.meta["secret"],
            trusted=self._opened.trusted,
        )

    # --- Requests --------------------------------------------------------------------------------------------------

    def perform(self, batch: Sequence[tuple[Job, Now]]) -> list[Answer]:
        """Do all of `batch` in one transaction; answers each `Append`, `Read` and `Change`, in order.

        Where that fails, and for `RETRY` after it, nothing is appended and reads show what is committed; what is to be
        kept or forgotten is remembered for the next transaction. It raises nothing.
        """
        if not batch:
            return []
        now = batch[-1][1]
        self._clock = now.mono
        try:
            if not self._owes and all(isinstance(job, Read) for job, _ in batch):
                return self._refuse(batch)
            if self.trouble is None or now.mono >= self._retry_at:
                try:
                    self._watch.look(now)
                    answers = self._anyway(partial(self._commit, batch))
                    self._over()
                    return answers
                except (sqlite3.Error, GoneError) as error:
                    self._failed(error, now)
            return self._refuse(batch)
        except Exception:  # a bug, or damage within a row: what else is in the batch shall not suffer
            self._undo()
            if len(batch) > 1:
                return [answer for one in batch for answer in self.perform((one,))]
            job = batch[0][0]
            log.exception("log: bug: %s was not done", type(job).__name__)
            return [Failed(job, RETRY)] if isinstance(job, Append | Read | Change) else []

    @property
    def _owes(self) -> bool:
        return bool(self._owed or self._forgets)

    def _anyway(self, work: Callable[[], T]) -> T:
        """Do `work`; where it meets a text that is not UTF-8, do it anew with what can be read of it."""
        try:
            return work()
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            if not undecodable(error):
                raise
        self._undo()
        self._tidy.again()
        with self._db.tolerant():
            return work()

    def _over(self) -> None:
        """A transaction was committed."""
        if self.trouble is not None:
            self.trouble = None
            lasted = max(0.0, self._clock - self._trouble_from)
            log.info("log: the trouble is over after %.1f s; %d new entries were refused", lasted, self._refused)

    def _commit(self, batch: Sequence[tuple[Job, Now]]) -> list[Answer]:
        changes = dict(self._owed)
        answers: list[Answer] = []
        erasing = bool(self._forgets)
        if self.trouble is not None:
            self._db.forget_pages()  # they may have been read where the file had a hole
        self._db.begin()
        if self.trouble is not None:  # something must be written, to see whether it can be
            self._db.execute("UPDATE meta SET value = value + 1 WHERE key = 'tries'")
        for forget in self._forgets.values():
            self._entries.forget(forget)
        for job, now in batch:
            match job:
                case Append():
                    answer = self._entries.append(job, now)
                    answers.append(answer)
                    if isinstance(answer, Committed):
                        erasing = erasing or job.draft.kind == "delete"
                        for change in job.keep:
                            kept.note(changes, change)
                case Read():
                    answers.append(self._entries.read(job, now))
                case Change():
                    for change in job.keep:
                        kept.note(changes, change)
                    answers.append(Changed(job))
                case Forget():
                    self._entries.forget(job)
                    erasing = True
                case _:
                    kept.note(changes, job)
        self._spans.save()
        kept.write(self._db, changes)
        self._db.commit()
        if changes and not self._vouched:
            self._vouch()
        self._watch.grown()
        self._tidy.notice(self._spans.committed())
        if erasing:
            self._tidy.erased()
        if any(kind == ForgetRecord.kind for kind, _ in changes):
            self._forgetting.look()
        self._owed.clear()
        self._forgets.clear()
        return answers

    def _vouch(self) -> None:
        """The first changes after new epochs are committed: the records of all rooms, with their epochs, among them."""
        try:
            self._opened.lock.vouch()
        except OSError as error:  # then the next start gives new epochs once more
            log.warning("log: the lock file cannot be written: %s", said(error))
        else:
            self._vouched = True

    def _refuse(self, batch: Sequence[tuple[Job, Now]]) -> list[Answer]:
        """Answer without a transaction."""
        answers: list[Answer] = []
        for job, now in batch:
            match job:
                case Append():
                    self._refused += 1
                    answers.append(Failed(job, RETRY))
                case Read():
                    answers.append(self._read(job, now))
                case Change():
                    answers.append(Failed(job, RETRY))
                case Forget():
                    self._forgets[job.room] = job
                case _:
                    kept.note(self._owed, job)
        return answers

    def _read(self, request: Read, now: Now) -> Page | Stale | Failed:
        """Read what is committed."""
        if request.room in self._forgets:
            return Page(request, (), 1, 0)
        try:
            return self._entries.read(request, now)
        except sqlite3.Error as error:
            log.warning("log: a page cannot be read: %s", said(error))
            return Failed(request, RETRY)

    def _failed(self, error: Exception, now: Now) -> None:
        """Nothing of the transaction counts; what is in memory is read anew."""
        self._undo()
        if self.trouble is None:
            log.warning("log: nothing can be committed, and messages are refused: %s", said(error))
            self._trouble_from, self._refused = now.mono, 0
        self.trouble = said(error)
        self._retry_at = now.mono + RETRY

    def _undo(self) -> None:
        self._spans.rolled_back()
        self._tidy.rolled_back()
        try:
            self._db.rollback()
        except sqlite3.Error as error:  # the file is gone: the next commit says so again
            log.debug("log: cannot be opened any more: %s", error)

    def search(self, request: Search, now: Now) -> Found | Failed:
        """Answer a search among what is indexed; see `catch_up`. For another thread."""
        return self._finder.search(request, now)

    def stop_searching(self) -> None:
        """Let the search that is under way fail. For any thread."""
        self._finder.stop()

    # --- Upkeep ----------------------------------------------------------------------------------------------------

    def tidy(self, now: Now) -> bool:
        """Do a slice of upkeep, of about 10 ms, and see whether trouble is over. Returns whether there is more."""
        self._clock = now.mono
        if self.trouble is None or now.mono >= self._retry_at:
            try:
                self._watch.look(now)
                if self.trouble is not None or (self._owes and now.mono >= self._retry_at):
                    self._commit(())
                    self._over()
            except Exception as error:
                self._failed(error, now)
        return self._keep_up(self._tidy.slice, now)

    def catch_up(self, now: Now) -> bool:
        """Index a slice of what a search would not find yet. Returns whether there is more."""
        return self._keep_up(self._tidy.catch_up, now)

    @property
    def due(self) -> float:
        """When `tidy` is worth a call again after it said that there is no more; monotonic seconds."""
        return self._retry_at if self.trouble is not None else max(self._tidy_at, self._tidy.due)

    def _keep_up(self, work: Callable[[Now], bool], now: Now) -> bool:
        if self.trouble is not None or now.mono < self._tidy_at:
            return False
        try:
            more = self._anyway(partial(work, now))
            self._watch.grown()
            return more
        except Exception as error:  # upkeep can wait; what is wrong is seen by what is asked, too
            self._undo()
            self._tidy_at = now.mono + TIDY_RETRY
            log.warning("log: upkeep failed, and waits %d s: %s", TIDY_RETRY, why(error))
            return False

    def close(self) -> None:
        """Close the file; all that `perform` took is committed, if it can be."""
        clean = False
        try:
            self._watch.look()
        except GoneError as error:
            if self._watch.cut_short:  # nothing is to be written over a hole, and the -wal is needed to mend it
                log.warning("log: not closed, but left as it is: %s", error)
                self._opened.db.close()  # not the last, and the last only reads: neither touches the file
                self._finder.close()
                os.close(self._opened.file)
                self._opened.lock.release()
                return
        try:
            self._finder.close()  # nobody reads any more: all can be brought into the file
            self._commit(())
            regenerate(self._db, self._opened.lock, self._mark_clean, trusted=self._vouched)
            clean = True
        except (sqlite3.Error, OSError) as error:
            log.warning("log: not closed cleanly: %s", said(error))
        finally:
            _release(self._opened, clean=clean)

    def _mark_clean(self) -> None:
        self._db.execute("UPDATE meta SET value = 1 WHERE key = 'clean'")


def _release(opened: Opened, *, clean: bool) -> None:
    if clean:
        opened.db.close()
    else:
        opened.db.abandon()
    os.close(opened.file)
    opened.lock.release()
