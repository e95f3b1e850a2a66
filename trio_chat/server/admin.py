"""The admin API over HTTP: who is an operator, and what is answered.

No web page can drive it: a request must name this machine in `Host` and bring no foreign `Origin`, and a token that no
browser has. Without the token nothing is told, not even which paths there are.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import attrs
import msgspec
import trio

from trio_chat.config import Admin, ConfigError
from trio_chat.core.orders import Act, Failure, Info, StartDrain
from trio_chat.server import http
from trio_chat.server.address import Address, counted_as
from trio_chat.server.broker import Broker
from trio_chat.server.routes import DESCRIPTION, RouteError, find, openapi, read, status_of
from trio_chat.server.wire import wire_of

log = logging.getLogger(__name__)
HEAD_SECONDS = 15.0
GUESSES, GUESS_SECONDS = 10, 60.0  # different wrong tokens of an address, and for how long each counts
LOGGED = 100  # characters of a request that is refused
NO_TOKEN = Failure(code="unauthorized", message="A token must be given: Authorization: Bearer …")
WRONG_TOKEN = Failure(code="unauthorized", message="The token is wrong")
WRONG_HOST = Failure(code="forbidden", message="This host is not served here")
FOREIGN = Failure(code="forbidden", message="Web pages are not served here")
JSON = ("Content-Type", "application/json")
NOT_KEPT = ("Cache-Control", "no-store")


def token_of(config: Admin) -> tuple[str, str]:
    """The token, and what to tell the operator of where it is.

    Raises:
        ConfigError: the file of the token cannot be read, or made.
    """
    if config.admin_token:
        return config.admin_token, "as configured"
    if not config.admin_token_file:
        token = secrets.token_urlsafe(32)
        return token, token
    path = Path(config.admin_token_file)
    try:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise ConfigError("admin_token_file", str(path), f"a file that can be read or made ({reason})") from None
    if len(token) < 16:
        raise ConfigError("admin_token_file", str(path), "a file with a token of 16 characters or more")
    return token, f"in {path}"


@attrs.define
class Guesses:
    """Wrong tokens by address: the same one again is a stale client, and no guess."""

    made: dict[str, dict[bytes, float]] = attrs.field(factory=dict)

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again."""
        for one in [one for one, tries in self.made.items() if all(until <= now for until in tries.values())]:
            del self.made[one]
        tries = [until for until in self.made.get(address, {}).values() if until > now]
        return 0.0 if len(tries) < GUESSES else min(tries) - now

    def count(self, address: str, token: str, now: float) -> None:
        """A wrong one was tried."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        self.made.setdefault(address, {})[digest] = now + GUESS_SECONDS


class AdminDoor:
    """Serves operators. `drain` is called when one asks for it."""

    def __init__(self, config: Admin, token: str, broker: Broker, drain: Callable[[], None]) -> None:
        self._host, self._broker, self._drain = config.admin_host, broker, drain
        self._token = token.encode()
        self._guesses = Guesses()

    async def serve(self, stream: trio.abc.Stream, peer: Address) -> None:
        """Serve a peer until it is gone; a bug ends here, with it. Cancelled: the answer is lost."""
        wire = wire_of(stream)
        try:
            connection, address = http.HttpConnection(wire), counted_as(peer)
            while await self._request(connection, address):
                pass
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("an operator left")
        except* Exception:
            log.exception("bug; only this admin connection ends")
        finally:
            wire.close()
            await trio.aclose_forcefully(stream)

    async def _request(self, connection: http.HttpConnection, address: str) -> bool:
        """Answer one request. Returns whether another may follow."""
        try:
            head = await connection.head(HEAD_SECONDS)
            if head is None:
                return False
            refused = self._refusal(head, address)
            body = await connection.body() if refused is None else b""
        except http.HttpError as error:
            failed = Failure(code="bad_message", message=error.text)
            await connection.respond(error.status, msgspec.json.encode(failed), JSON, NOT_KEPT)
            return False
        status, answer, headers = await self._answer(head, body, address, refused)
        keep = head.keep and (refused is None or await connection.skip_body())
        return await connection.respond(status, answer, *headers, JSON, NOT_KEPT, keep=keep)

    async def _answer(
        self, head: http.Head, body: bytes, address: str, refused: Failure | None
    ) -> tuple[int, bytes, list[tuple[str, str]]]:
        headers: list[tuple[str, str]] = []
        if refused is None and (head.method, head.path) == ("GET", DESCRIPTION):
            return 200, openapi(), headers
        result: object = refused
        if refused is None:
            try:
                result = await self._do(head, body, address)
            except RouteError as error:
                result = error.failure
                headers += [("Allow", error.allow)] if error.allow else []
        if not isinstance(result, Failure):
            return 200, msgspec.json.encode(result), headers
        if head.method != "GET":
            asked = f"{head.method} {head.path}"[:LOGGED]  # whoever reaches the port chooses it
            log.warning("admin: %s from %s refused: %s", asked, address, result.code)
        if result.code == "unauthorized":
            headers.append(("WWW-Authenticate", "Bearer"))
        if result.retry_after is not None:
            headers.append(("Retry-After", str(int(result.retry_after) + 1)))
        return status_of(result), msgspec.json.encode(result), headers

    def _refusal(self, head: http.Head, address: str) -> Failure | None:
        """Why the request is nobody's who may ask."""
        if not self._names_us(head.headers.get("host", "")):
            return WRONG_HOST
        if "origin" in head.headers and not head.own_origin:
            return FOREIGN
        now = trio.current_time()
        wait = self._guesses.wait(address, now)
        if wait:
            return Failure(code="too_many_attempts", message="Too many wrong tokens; wait", retry_after=wait)
        scheme, _, token = head.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return NO_TOKEN
        if hmac.compare_digest(token.strip().encode(), self._token):
            return None
        self._guesses.count(address, token.strip(), now)
        log.warning("admin: a wrong token from %s", address)
        return WRONG_TOKEN

    def _names_us(self, host: str) -> bool:
        """Whether `Host` is an address, which no foreign page can turn to us, or a name that is known to be ours."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower() in ("localhost", self._host.lower()):
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    async def _do(self, head: http.Head, body: bytes, address: str) -> object:
        route, fields = find(head.method, head.path)
        order = read(route, fields, head.query, body)
        result = await self._broker.orders.ask("admin", order)
        if isinstance(order, Act) and not isinstance(result, Failure):
            log.info("admin: %s %s from %s done", head.method, route.path, address)
        if isinstance(order, StartDrain) and not isinstance(result, Failure):
            self._drain()
        if isinstance(result, Info):
            return msgspec.structs.replace(result, draining=self._broker.state.draining, trouble=self._broker.trouble)
        return result
