"""Where a connection brings a command that is to prove something, before it goes to the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import trio

from trio_chat.auth.attempts import Attempts
from trio_chat.auth.keys import Key
from trio_chat.auth.passwords import BUSY_RETRY, BusyError, Passwords
from trio_chat.auth.tokens import BadTokenError, Tokens
from trio_chat.config import Auth
from trio_chat.core.effects import Received
from trio_chat.core.errors import ErrorCode
from trio_chat.core.identity import Identity, account_id
from trio_chat.core.messages import ChangePassword, Command, Connect, Denied, Login, Refresh, Register
from trio_chat.core.names import RULE, parse_name

NAME_FAILURES, ADDRESS_FAILURES, FAILURE_SECONDS = 10, 100, 300.0
REGISTRATIONS, REGISTRATION_SECONDS = 20, 3600.0  # of one address
TOO_OFTEN = "Too many attempts; wait a little"


@attrs.frozen
class Asker:
    """Who brings a command. `address`: empty where it is not counted; `account`: the user id, once it is welcomed."""

    address: str = ""
    account: str | None = None


class Prover:
    """Turns tokens and passwords into identities.

    Args:
        auth: the configuration.
        keys: of tokens.
        accounts: user id → the hash of the password, as the broker has them.
        wall: seconds since 1970.
        passwords: what hashes; None makes one where there are accounts.
    """

    def __init__(
        self,
        auth: Auth,
        keys: tuple[Key, ...],
        accounts: Mapping[str, str],
        wall: Callable[[], float],
        passwords: Passwords | None = None,
    ) -> None:
        self._tokens = Tokens(auth, keys, wall) if auth.auth == "jwt" else None
        self._passwords = (passwords or Passwords()) if auth.auth == "accounts" else None
        self._accounts = accounts
        self._of_name = Attempts(NAME_FAILURES, FAILURE_SECONDS)
        self._of_address = Attempts(ADDRESS_FAILURES, FAILURE_SECONDS)
        self._registrations = Attempts(REGISTRATIONS, REGISTRATION_SECONDS)

    def concerns(self, command: Command, *, first: bool) -> bool:
        """Whether there is something to prove: before `welcome`, and behind it, other commands may do that."""
        if self._tokens is not None:
            return (isinstance(command, Connect) and command.token is not None) if first else type(command) is Refresh
        if self._passwords is not None:
            return isinstance(command, Login | Register if first else ChangePassword)
        return False

    async def prove(self, given: Received, asker: Asker) -> Received:
        """The command with the identity that it proves, or `Denied` in its place.

        Cancelled: a hash that has begun is waited for, and an attempt that was not over counts as a failure.
        """
        command = given.command
        try:
            match command:
                case Connect() | Refresh():
                    identity = self._bearer(command.token or "")
                case Register():
                    identity = await self._register(command, asker)
                case Login():
                    identity = await self._login(command, asker)
                case ChangePassword():
                    identity = await self._change(command, asker)
                case _:
                    return given
        except _Denial as denial:
            verdict = Denied(code=denial.code, content=denial.content, retry_after=denial.retry_after, id=command.id)
            return attrs.evolve(given, command=verdict)
        return attrs.evolve(given, identity=identity)

    def _bearer(self, token: str) -> Identity:
        assert self._tokens is not None
        try:
            return self._tokens.identity(token)
        except BadTokenError as error:
            raise _Denial(ErrorCode.BAD_TOKEN, str(error)) from None

    async def _register(self, command: Register, asker: Asker) -> Identity:
        assert self._passwords is not None
        try:
            name = parse_name(command.username)
        except ValueError:
            raise _Denial(ErrorCode.BAD_USERNAME, f"username must be {RULE}") from None
        _count({self._registrations: asker.address})
        hash = await _hashed(self._passwords, command.password)
        return Identity(id=account_id(name.text), name=name.text, hash=hash)

    async def _login(self, command: Login, asker: Asker) -> Identity:
        try:
            user = account_id(command.username)
        except ValueError:
            user = ""  # nobody's; that is found out as slowly as with any other
        counted = {self._of_name: user or "nobody", self._of_address: asker.address}
        kept, newer = await self._verified(user, command.password, counted)
        for attempts, key in counted.items():
            attempts.take_back(key)
        return Identity(id=user, proof=kept, hash=newer)

    async def _change(self, command: ChangePassword, asker: Asker) -> Identity:
        """It counts as a failure even where it is none, so that nobody keeps us hashing."""
        assert self._passwords is not None
        user = asker.account
        if user is None:
            raise _Denial(ErrorCode.NOT_CONNECTED)
        kept, _ = await self._verified(user, command.password, {self._of_name: user})
        return Identity(id=user, proof=kept, hash=await _hashed(self._passwords, command.new_password))

    async def _verified(self, user: str, password: str, counted: dict[Attempts, str]) -> tuple[str, str]:
        """The kept hash that the password is held against, and the newer one to be kept, if any."""
        assert self._passwords is not None
        _count(counted)
        kept = self._accounts.get(user)
        try:
            newer = await self._passwords.verify(kept, password)
        except BusyError:
            for attempts, key in counted.items():
                attempts.take_back(key)
            raise _busy() from None
        if kept is None or newer is None:
            raise _Denial(ErrorCode.BAD_CREDENTIALS)
        return kept, newer


class _Denial(Exception):
    def __init__(self, code: ErrorCode, content: str = "", retry_after: float | None = None) -> None:
        super().__init__(code.value)
        self.code, self.content, self.retry_after = code, content or code.text, retry_after


def _busy() -> _Denial:
    return _Denial(ErrorCode.UNAVAILABLE, retry_after=BUSY_RETRY)


async def _hashed(passwords: Passwords, password: str) -> str:
    try:
        return await passwords.hash(password)
    except BusyError:
        raise _busy() from None


def _count(counted: dict[Attempts, str]) -> None:
    """Count an attempt under each key, if all allow it. An empty key is not counted."""
    now = trio.current_time()
    wait = max((attempts.wait(key, now) for attempts, key in counted.items() if key), default=0.0)
    if wait:
        raise _Denial(ErrorCode.RATE_LIMITED, TOO_OFTEN, wait)
    for attempts, key in counted.items():
        if key:
            attempts.begin(key, now)
