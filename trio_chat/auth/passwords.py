"""Passwords: hashed and verified with Argon2id, which is slow and large on purpose, in threads, a few at a time."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable
from typing import TypeVar

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2  # each takes 64 MiB
QUEUE = 32  # that may wait; one more is told to come back
BUSY_RETRY = 1.0  # seconds

Result = TypeVar("Result")


class BusyError(Exception):
    """Too many wait already; come back after `BUSY_RETRY` seconds."""


class Passwords:
    """Hashes and verifies. Making one hashes once: against that all are held who have no account."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_urlsafe())
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._asking = 0

    async def hash(self, password: str) -> str:
        """What is to be kept of a password. Cancelled: it waits for a hash that has begun, and nothing is left running.

        Raises:
            BusyError: too many wait.
        """
        return await self._in_thread(lambda: self._hasher.hash(_prepared(password)))

    async def verify(self, kept: str | None, password: str) -> str | None:
        """Hold a password against a kept hash; None as that is nobody's, and takes the same time. Cancelled: as `hash`.

        Returns:
            None: it is wrong. Else the hash that is to be kept from now on, or "" where that is the same.

        Raises:
            BusyError: too many wait.
        """
        return await self._in_thread(lambda: self._verified(kept, password))

    def _verified(self, kept: str | None, password: str) -> str | None:
        try:
            self._hasher.verify(self._nobody if kept is None else kept, _prepared(password))
        except (VerificationError, InvalidHashError):
            return None
        if kept is None:
            return None
        return self._hasher.hash(_prepared(password)) if self._hasher.check_needs_rehash(kept) else ""

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._asking >= AT_ONCE + QUEUE:
            raise BusyError
        self._asking += 1
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._asking -= 1


def _prepared(password: str) -> bytes:
    """The same characters are the same bytes, whatever keyboard wrote them (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password).encode()
