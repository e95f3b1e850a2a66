"""A hostile server for who writes a client: it drops, delays, doubles, closes, and judges what comes back.

Each *lure* is a connection or two of the client's: it does something to the client, and judges how that comes back.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random

import attrs
import trio

from trio_chat.fuzz.model import Json
from trio_chat.fuzz.shreds import Shredder
from trio_chat.fuzz.visit import ClientError, Visit

COMES_BACK = 30.0  # seconds within which a client must be there again
LISTENS = 1.0  # seconds for which a client is served between two tricks
SPEAKS = 8.0  # seconds for a client to say something by itself
RECONNECT = {"base": 0.2, "max": 2.0, "jitter": 0.2}  # seconds; what the client is told
QUIET = 6.0  # seconds in which a client that was told to stop must not come: more than it would ever wait
KNOCKS = 5  # attempts in vain, which must take …
LEAST = 1.0  # … seconds in all, or there is no back-off
GIVES = 0.15  # seconds that a client may be early
COME_BACK_CODES = (1001, None, 1011, 1012, 4003, 4004, 4005, 4006, 4499)
STOP_CODES = (4500, 4501, 4502, 4503, 4504, 4505, 4506, 4507, 4508, 4999)
SHREDDED = ("short", "Ünïcödé 🙂 in pieces, 日本語 as well. " * 8, "long " * 14_000)  # frames of each kind of length
LIMITS = {
    "message_bytes": 1_048_576,
    "content_chars": 1_044_480,
    "rooms_per_user": 100,
    "messages_per_second": 10,
    "messages_burst": 40,
}


@attrs.define
class Bait:
    """What the server knows: one room, one client. `wrong`: what the client did that it must not."""

    arrivals: trio.MemoryReceiveChannel[trio.abc.Stream]
    seed: int = 0  # of fragments and chunks
    wrong: list[str] = attrs.field(factory=list)
    tried: list[str] = attrs.field(factory=list)
    untried: list[str] = attrs.field(factory=list)
    name: str = ""
    session: str = ""  # that must be resumed; empty: none yet
    sessions: int = 0
    epoch: str = "epoch-1"
    last: int = 0
    taken: dict[str, int] = attrs.field(factory=dict)  # key → seq
    withheld: Json | None = None  # a message that was never answered
    ended_at: float = -math.inf
    here: Visit | None = None  # the last one

    async def visit(self, within: float = COMES_BACK) -> Visit | None:
        """The client's next connection, not upgraded yet; None where none comes. Cancelled: nothing is lost."""
        with trio.move_on_after(within):
            stream = await self.arrivals.receive()
            self.here = Visit(stream, trio.current_time() - self.ended_at)
            return self.here
        return None

    async def welcome(
        self, *, resumed: bool | None = None, why: str = "the connection was lost", shredder: Shredder | None = None
    ) -> Visit:
        """Let the client come (back), and judge how it does. With a `shredder`, all that it gets is in fragments.

        Raises:
            ClientError: it does not, or without what must be there.
        """
        visit = await self.visit(COMES_BACK if self.session else math.inf)
        if visit is None:
            raise ClientError(f"it did not come back within {COMES_BACK:g} s, after {why}")
        visit.shredder = shredder
        await visit.upgrade()
        frame = await visit.next(10.0)
        if frame is None or frame["type"] != "connect":
            raise ClientError(f"its first frame should be `connect`, and was {frame}")
        self._judge(frame, why)
        goes_on = bool(self.session) if resumed is None else resumed
        if not goes_on:
            self.sessions += 1
            self.session = f"session-{self.sessions}"
        self.name = frame.get("username") or self.name
        await visit.send(
            "system",
            event="welcome",
            content=f"Welcome {self.name}!",
            user=self.name,
            session=self.session,
            ticket="a-ticket",
            server="trio_chat fuzz",
            protocol=1,
            heartbeat={"interval": 20, "timeout": 10},
            reconnect=RECONNECT,
            limits=LIMITS,
            resumed=goes_on,
            rooms=[{"room": "general", "epoch": self.epoch, "last": self.last, "read": 0}],
            **({"id": frame["id"]} if "id" in frame else {}),
        )
        return visit

    def _judge(self, frame: Json, why: str) -> None:
        """What a returning client says of its session."""
        if not self.session:
            return
        resume = frame.get("resume")
        if not isinstance(resume, dict) or resume.get("session") != self.session:
            self.wrong.append(f"it came back without `resume` of its session, after {why}: {frame}")
            return
        if not frame.get("username") and not frame.get("token"):
            self.wrong.append("it resumed without a username: a server that forgot the session cannot take it")
        position = (resume.get("rooms") or {}).get("general")
        expected = {"epoch": self.epoch, "seq": self.last}
        if position != expected:
            self.wrong.append(f"its position in general should be {expected}, after {why}, and was {position}")

    async def post(self, visit: Visit, content: str) -> None:
        """An entry of somebody else's."""
        self.last += 1
        await visit.send("message", content=content, sender="bait", room="general", seq=self.last)

    async def serve(self, visit: Visit, seconds: float, *, until_message: bool = False) -> Json | None:
        """Answer what the client asks; with `until_message`, up to its first message, which is not answered."""
        deadline = trio.current_time() + seconds
        while not visit.over and trio.current_time() < deadline:
            frame = await visit.next(deadline - trio.current_time())
            if frame is None:
                break
            if until_message and frame["type"] == "message" and "id" in frame:
                return frame
            await self._answer(visit, frame)
        return None

    async def _answer(self, visit: Visit, frame: Json) -> None:
        given = {"id": frame["id"]} if "id" in frame else {}
        here = {"room": "general", "epoch": self.epoch}
        match frame["type"]:
            case "ping":
                await visit.send("pong", **given)
            case "message":
                await self._message(visit, frame, given)
            case "join" if given:
                room = frame.get("room")
                await visit.send(
                    "ack", **given, room=room, epoch=self.epoch, last=self.last if room == "general" else 0
                )
            case "history":
                page = {"entries": [], "first": 1, "last": self.last, "more": False}
                await visit.send("history", **given, **here, **page)
            case "users":
                await visit.send("user_list", **given, users=[self.name], room="general", total=1)
            case "rooms":
                listed = {**here, "members": 1, "kind": "public", "last": self.last, "read": 0}
                await visit.send("room_list", **given, rooms=[listed])
            case "search":
                await visit.send("search_result", **given, hits=[])
            case "connect":
                self.wrong.append("it sent `connect` a second time on one connection")
            case "private":
                await visit.send("error", **given, code="no_such_user", content="There is no such user")
            case _ if given:
                await visit.send("ack", **given, room=frame.get("room", "general"))

    async def _message(self, visit: Visit, frame: Json, given: Json) -> None:
        key, held = frame.get("key"), self.withheld
        if held is not None and frame.get("content") == held.get("content"):
            if key is None or key != held.get("key"):
                self.wrong.append(f"it sent a message twice, and not with its key: {held}, then {frame}")
            self.withheld = None
        seq = self.taken.get(key) if key is not None else None
        again = seq is not None
        if seq is None:
            self.last += 1
            seq = self.last
            if key is not None:
                self.taken[key] = seq
        room = frame.get("room", "general")
        if given:
            await visit.send("ack", **given, seq=seq, room=room, epoch=self.epoch)
        if not again:
            await visit.send("message", content=frame.get("content"), sender=self.name, room="general", seq=seq)

    def ends(self) -> None:
        """The connection is over, from now on."""
        self.ended_at = trio.current_time()


Lure = Callable[[Bait], Awaitable[None]]


async def doubles(bait: Bait) -> None:
    """Entries, one of them twice, and a loss without a close."""
    visit = await bait.welcome()
    await bait.serve(visit, LISTENS)
    for _ in range(3):
        await bait.post(visit, "listen")
    await visit.send("message", content="listen", sender="bait", room="general", seq=bait.last)
    await bait.serve(visit, LISTENS)
    await visit.cut()
    bait.ends()


async def lags(bait: Bait) -> None:
    """A gap that `lagged` tells, in a new epoch: positions from before it are worth nothing."""
    visit = await bait.welcome(why="an entry that came twice, and a loss")
    bait.epoch, bait.last = "epoch-2", 12
    told = {"room": "general", "epoch": bait.epoch, "first": 10, "last": 12}
    await visit.send("system", event="lagged", content="Some earlier messages are no longer held", **told)
    for seq in (10, 11, 12):
        await visit.send("message", content="what is still held", sender="bait", room="general", seq=seq)
    await bait.serve(visit, LISTENS)
    await visit.close(4003)
    bait.ends()


async def withholds(bait: Bait) -> None:
    """A message that is never answered: it may be sent again, with its key only."""
    visit = await bait.welcome(why="`lagged` (was it ignored?)")
    bait.withheld = await bait.serve(visit, SPEAKS, until_message=True)
    if bait.withheld is None:
        bait.untried.append("a message that is not answered: the client sent none with an id")
    await visit.cut()
    bait.ends()
    visit = await bait.welcome(why="a message that was not answered")
    await bait.serve(visit, SPEAKS / 2)
    await visit.close(4006)
    bait.ends()


async def puzzles(bait: Bait) -> None:
    """Types and fields that nobody knows, and a ping: all of that is to be taken in good part."""
    visit = await bait.welcome()
    await visit.send("sparkle", content="a type of a later version")
    await visit.send("system", event="sparkled", content="an event of a later version", more={"deep": [1]})
    await visit.ping(b"there?")
    await bait.serve(visit, 2 * LISTENS)
    if visit.over:
        bait.wrong.append("it left when it got what it does not know")
    elif b"there?" not in visit.pongs:
        bait.wrong.append("it answered no ping with what was in that")
    await visit.close(1001)
    bait.ends()


async def shreds(bait: Bait) -> None:
    """Every message in fragments, with control frames between them, and in any chunks of bytes."""
    shredder = Shredder(Random(bait.seed))
    visit = await bait.welcome(why="what it does not know", shredder=shredder)
    for content in SHREDDED:
        await bait.post(visit, content)
        await bait.serve(visit, LISTENS / 4)
    await bait.serve(visit, 2 * LISTENS)
    unanswered = shredder.pings[-1] not in visit.pongs  # of several pings, the last must be answered (RFC 6455, 5.5.3)
    if visit.over:
        bait.wrong.append(f"it left when messages came in fragments{_said(visit)}")
    elif unanswered:
        bait.wrong.append("it answered no ping between the fragments of a message")
    await visit.begin("message", content="cut off in the midst", sender="bait", room="general", seq=bait.last + 1)
    await visit.close(4003)
    bait.ends()
    visit = await bait.welcome(why="messages in fragments (were they read?)")
    await bait.serve(visit, LISTENS)
    await visit.cut()
    bait.ends()


def _said(visit: Visit) -> str:
    """How the client closed."""
    return "" if visit.code is None else f", and closed with {visit.code}"


async def drains(bait: Bait) -> None:
    """Times to come back after: in `draining`, and of a 503."""
    visit = await bait.welcome()
    await visit.send("system", event="draining", content="Come back later", retry_after=1.5, jitter=0.2)
    await visit.close(4001)
    bait.ends()
    early = await bait.visit()
    if early is None:
        raise ClientError("it did not come back after 4001")
    if early.waited < 1.5 - GIVES:
        bait.wrong.append(f"it was told to come back after 1.5 s, and came after {early.waited:.2f} s")
    await early.refuse("503 Service Unavailable", 2)
    bait.ends()
    late = await bait.visit()
    if late is None:
        raise ClientError("it did not come back after a 503")
    if early.page:
        bait.untried.append("`Retry-After` of a 503: a page is not shown it")
    elif late.waited < 2 - GIVES:
        bait.wrong.append(f"a 503 said `Retry-After: 2`, and it came after {late.waited:.2f} s")
    await late.cut()
    bait.ends()


async def slams(bait: Bait) -> None:
    """Connections that are cut at once: it must wait longer each time."""
    waited = []
    for _ in range(KNOCKS):
        visit = await bait.visit()
        if visit is None:
            raise ClientError("it gave up when connections were cut before the upgrade")
        waited.append(visit.waited)
        await visit.cut()
        bait.ends()
    if sum(waited) < LEAST:
        shown = ", ".join(f"{one:.2f}" for one in waited)
        bait.wrong.append(f"it does not back off: it came back after {shown} s")


async def closes(bait: Bait) -> None:
    """All codes after which one comes back."""
    why = "connections that were cut"
    for code in COME_BACK_CODES:
        visit = await bait.welcome(why=why)
        await bait.post(visit, "before a close")
        await bait.serve(visit, LISTENS / 4)
        await visit.close(code)
        bait.ends()
        why = "a close without a code" if code is None else f"a close with {code}"


async def forgets(bait: Bait) -> None:
    """A session that the server does not know: the client is welcomed anew, and must go on with what it is given."""
    visit = await bait.welcome(resumed=False)
    await bait.post(visit, "in the new session")
    await bait.serve(visit, LISTENS)
    await visit.cut()
    bait.ends()
    visit = await bait.welcome(why="a welcome with `resumed` false and a new session")
    await bait.serve(visit, LISTENS)
    await visit.close(4003)
    bait.ends()


LURES: tuple[Lure, ...] = (doubles, lags, withholds, puzzles, shreds, drains, slams, closes, forgets)


async def stops(bait: Bait, code: int) -> None:
    """A close after which one does not come back."""
    visit = await bait.welcome()
    await visit.close(code)
    bait.ends()
    again = await bait.visit(QUIET)
    if again is not None:
        bait.wrong.append(f"it was closed with {code}, which is final, and came back after {again.waited:.1f} s")
        await again.cut()


async def catch(bait: Bait, lures: tuple[Lure, ...], code: int) -> None:
    """Try all lures, and at last a final close. What ends a lure ends all; cancelled or not, the client is cut off."""
    try:
        for lure in lures:
            await lure(bait)
            bait.tried.append((lure.__doc__ or "").partition("\n")[0].rstrip(".:"))
        await stops(bait, code)
        bait.tried.append(f"A close with {code}")
    except ClientError as error:
        bait.wrong.append(str(error))
    finally:
        if bait.here is not None:
            await bait.here.cut()
