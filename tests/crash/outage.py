"""A conversation through a minute without a network, as a transcript: `python -m tests.crash.outage ws://HOST:PORT`.

Ann's way to the server leads through a proxy of ours, which for a while swallows nothing and delivers nothing, like a
network that is gone. Both go on talking. In the end each must have heard everything, once, in the order of the log.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
import trio

from trio_chat.client import ChatClient, Disconnected, Lagged, Message, Welcomed, open_chat_client

EVERY = 1.5  # seconds between two sentences of one
PATIENCE = 60.0  # seconds, after the outage and the talk, until everything must have come
DIAL_SECONDS = 5.0  # that a client gives each step of connecting

Say = Callable[[str, str], None]


class Network:
    """A TCP proxy to `host`:`port`, whose network can be cut: then bytes wait, and connections open to nobody."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._up = trio.Event()
        self._up.set()
        self.port = 0

    def cut(self) -> None:
        """From here on nothing gets through."""
        self._up = trio.Event()

    def mend(self) -> None:
        """What waited goes on."""
        self._up.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._pass_on, [listener])

    async def _pass_on(self, near: trio.SocketStream) -> None:
        await self._up.wait()
        try:
            far = await trio.open_tcp_stream(self._host, self._port)
        except OSError:
            return
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, near, far, nursery.cancel_scope)
            await self._pump(far, near, nursery.cancel_scope)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            while True:
                await self._up.wait()
                data = await source.receive_some()
                await self._up.wait()
                if not data:
                    break
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@attrs.define
class Person:
    """Somebody in the conversation. `posted`: content → the `seq` it was acked with."""

    name: str
    said: list[str] = attrs.field(factory=list)
    posted: dict[str, int] = attrs.field(factory=dict)
    heard: list[tuple[int, str]] = attrs.field(factory=list)
    lagged: int = 0
    losses: int = 0  # of the connection
    news: trio.Condition = attrs.field(factory=trio.Condition)

    async def listen(self, client: ChatClient, room: str, say: Say) -> None:
        """Write down all that comes."""
        async for event in client:
            match event:
                case Message(room=where, content=content, seq=seq, sender=sender) if where == room:
                    self.heard.append((seq, content))
                    if sender != self.name:
                        say(self.name, f"hears {seq:3}  {content!r}")
                case Disconnected():
                    self.losses += 1
                    say(self.name, f"** lost the connection ({event.reason}), tries again in {event.delay:.1f} s")
                case Welcomed():
                    say(self.name, f"** is connected, {'resumed' if event.resumed else 'anew'}")
                case Lagged(first=first):
                    self.lagged += 1
                    say(self.name, f"** has missed what was before {first}")
            async with self.news:
                self.news.notify_all()

    async def talk(self, client: ChatClient, room: str, say: Say, done: trio.Event) -> None:
        """Say something now and then, whether the last is through or not; return when all is, after `done`."""
        async with trio.open_nursery() as nursery:
            while not done.is_set():
                content = f"{self.name} says {len(self.said) + 1}"
                self.said.append(content)
                say(self.name, f"says       {content!r}")
                nursery.start_soon(self._post, client, room, content, say)
                with trio.move_on_after(EVERY):
                    await done.wait()

    async def _post(self, client: ChatClient, room: str, content: str, say: Say) -> None:
        posted = await client.send_message(content, room)
        self.posted[content] = posted.seq
        say(self.name, f"is told    {content!r} is {posted.seq}")

    async def hears_all(self, count: int) -> None:
        """Wait until `count` messages came; more may be a double."""
        async with self.news:
            while len(self.heard) < count:
                await self.news.wait()


@asynccontextmanager
async def joined(person: Person, url: str, room: str, say: Say) -> AsyncIterator[ChatClient]:
    """Be connected as `person`, in `room`, writing down all that comes."""
    async with open_chat_client(url, person.name, timeout=DIAL_SECONDS) as client, trio.open_nursery() as nursery:
        await client.join(room)
        nursery.start_soon(person.listen, client, room, say)
        yield client
        nursery.cancel_scope.cancel()


async def converse(url: str, *, before: float, outage: float, after: float, write: Callable[[str], None]) -> list[str]:
    """Let two talk, with `outage` seconds without a network for one of them; returns what went wrong."""
    started = trio.current_time()

    def say(who: str, what: str) -> None:
        write(f"{trio.current_time() - started:7.2f} s  {who:8}  {what}")

    parts = urlsplit(url)
    network = Network(parts.hostname or "127.0.0.1", parts.port or 80)
    mark = secrets.token_hex(2)
    room, ann, ben = f"outage-{mark}", Person(f"ann-{mark}"), Person(f"ben-{mark}")
    async with trio.open_nursery() as nursery:
        await nursery.start(network.serve)
        theirs = f"ws://127.0.0.1:{network.port}{parts.path}"
        async with joined(ann, theirs, room, say) as one, joined(ben, url, room, say) as other:
            done = trio.Event()
            async with trio.open_nursery() as talks:
                talks.start_soon(ann.talk, one, room, say, done)
                talks.start_soon(ben.talk, other, room, say, done)
                await trio.sleep(before)
                say("-----", f"the network of {ann.name} is gone")
                network.cut()
                await trio.sleep(outage)
                say("-----", f"the network of {ann.name} is back")
                network.mend()
                await trio.sleep(after)
                done.set()
                talks.cancel_scope.deadline = trio.current_time() + PATIENCE
            with trio.move_on_after(PATIENCE):
                for person in (ann, ben):
                    await person.hears_all(len(ann.said) + len(ben.said))
        nursery.cancel_scope.cancel()
    return verdict(ann, ben)


def verdict(ann: Person, ben: Person) -> list[str]:
    """What went wrong, a line each."""
    wrong: list[str] = []
    said = [*ann.said, *ben.said]
    posted = {**ann.posted, **ben.posted}
    for person in (ann, ben):
        contents = [content for _, content in person.heard]
        seqs = [seq for seq, _ in person.heard]
        wrong += [f"{person.name} never heard {content!r}" for content in said if content not in contents]
        wrong += [f"{person.name} heard {one!r} twice" for one in set(contents) if contents.count(one) > 1]
        if seqs != list(range(1, len(seqs) + 1)):
            wrong.append(f"{person.name} heard the entries {seqs}")
        if person.lagged:
            wrong.append(f"{person.name} was told to have missed something")
        wrong += [f"{content!r} of {person.name} was never acked" for content in person.said if content not in posted]
        own = [content for content in contents if content in set(person.said)]
        if own != person.said[: len(own)]:
            wrong.append(f"what {person.name} said is in another order: {own}")
    for seq, content in ann.heard:
        if posted.get(content, seq) != seq:
            wrong.append(f"{content!r} was acked as {posted[content]}, and came as {seq}")
    if ann.heard != ben.heard:
        wrong.append("they did not hear the same")
    return wrong


def main() -> int:
    """Print the transcript and the verdict; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="of the server, such as ws://127.0.0.1:10000/ws")
    parser.add_argument("--seconds", type=float, default=60.0, help="without a network")
    parser.add_argument("--around", type=float, default=10.0, help="seconds of talk before and after it")
    options = parser.parse_args()
    talk = partial(converse, before=options.around, outage=options.seconds, after=options.around, write=print)
    wrong = trio.run(talk, options.url)
    print("\n".join(wrong) if wrong else "nothing lost, nothing doubled, all in order, the same for both")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
