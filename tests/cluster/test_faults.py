"""A connection that is cut, a server that pauses or refuses, an owner that was away: nothing lost, nothing twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.client.proxy import Plan, Proxy, anywhere
from tests.cluster.valkey import Valkey
from tests.log.kinds import NOW, draft
from trio_chat.cluster.link import open_link
from trio_chat.cluster.redis import RedisLog, open_redis
from trio_chat.cluster.store import Store
from trio_chat.cluster.upkeep import Upkeep
from trio_chat.config import Config
from trio_chat.core.effects import (
    Answer,
    Append,
    Committed,
    Duplicate,
    Failed,
    Forget,
    Keep,
    KeyReused,
    Now,
    Page,
    Read,
    Rejected,
)
from trio_chat.core.records import UserRecord
from trio_chat.log import LogError, LostError
from trio_chat.redis_url import RedisUrl

HISTORY = Config().history
SECONDS = 30.0  # within which all must be answered


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after a moment."""
    monkeypatch.setattr("trio_chat.cluster.store.RETRY", 0.01)
    monkeypatch.setattr("trio_chat.cluster.redis.RETRY", 0.01)


def url_of(server: Valkey, port: int | None = None) -> RedisUrl:
    return RedisUrl.read(server.url.replace(str(server.port), str(port or server.port)))


def now() -> Now:
    return Now(trio.current_time(), NOW.wall)


@asynccontextmanager
async def running(url: RedisUrl) -> AsyncIterator[tuple[RedisLog, list[Answer]]]:
    """A log that runs, and its answers so far."""
    answers: list[Answer] = []
    opened = open_redis(url, history=HISTORY, boot="boot", wall=lambda: NOW.wall)
    async with opened as log, trio.open_nursery() as tasks:
        tasks.start_soon(log.run, answers.append)
        yield log, answers
        tasks.cancel_scope.cancel()


async def until(count: int, answers: list[Answer]) -> None:
    with trio.fail_after(SECONDS):
        while len(answers) < count:  # noqa: ASYNC110 - that is what is waited for
            await trio.sleep(0.005)


async def contents(server: Valkey, room: str) -> list[str]:
    """All that a new process finds in a room."""
    async with running(url_of(server)) as (log, answers):
        log.submit(Read(room, "e", 1, 100_000, 10**9, after=0), now())
        await until(1, answers)
        assert isinstance(answers[0], Page)
        return [entry.draft.content for entry in answers[0].entries]


def post(content: str, *, room: str = "lobby", key: str | None = None, keep: tuple[Keep, ...] = ()) -> Append:
    return Append(room, "e", draft(content), 1, 7, key, keep=keep)


def user(number: int) -> Keep:
    return Keep(UserRecord(key=f"u{number % 5}", number=number, name=f"n{number}"))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("hasty")
async def test_cut_anywhere(server: Valkey, seed: int) -> None:
    chance = random.Random(seed)
    faulty = False
    proxy = Proxy(server.port, lambda: anywhere(chance) if faulty else Plan())
    asked: list[Append] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with running(url_of(server, proxy.port)) as (log, answers):
            faulty = True
            await proxy.cut_all()
            at_once: list[Answer] = []
            step = 0
            while proxy.accepted < 25:
                step += 1
                for _ in range(chance.randrange(1, 12)):
                    number = len(asked)
                    request = post(f"m{number}", room=chance.choice(["lobby", "park"]), keep=(user(number),))
                    asked.append(request)
                    refused = log.submit(request, now())
                    if refused is not None:
                        at_once.append(refused)
                log.keep(Keep(UserRecord(key="step", number=step, name="step")))
                await trio.sleep(chance.choice([0, 0.001, 0.01]))
            faulty = False
            await proxy.cut_all()
            await until(len(asked) - len(at_once), answers)
            with trio.fail_after(SECONDS):
                while log.trouble is not None:  # noqa: ASYNC110 - that is what is waited for
                    await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    everything = [*at_once, *answers]
    assert sorted(id(one.request) for one in everything) == sorted(map(id, asked))
    committed = [one for one in everything if isinstance(one, Committed)]
    assert len(committed) + sum(isinstance(one, Failed) for one in everything) == len(everything)
    for room in ("lobby", "park"):
        mine = [one.entry for one in committed if one.request.room == room]
        assert [entry.seq for entry in mine] == list(range(1, len(mine) + 1))
        assert await contents(server, room) == [entry.draft.content for entry in mine]
    async with running(url_of(server)) as (log, _):
        kept = {record.key: record for record in log.restored.records}
    last = {
        change.record.key: change.record for one in committed for change in one.request.keep if isinstance(change, Keep)
    }
    assert kept == {**last, "step": UserRecord(key="step", number=step, name="step")}


@pytest.mark.usefixtures("hasty")
async def test_what_was_done_before_the_cut_is_known_after_it(server: Valkey) -> None:
    """Every answer that can be lost with a connection is the same when it is asked for again."""
    plan = Plan()
    proxy = Proxy(server.port, lambda: plan)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with running(url_of(server, proxy.port)) as (log, answers):
            log.submit(post("one", key="k"), now())
            await until(1, answers)
            requests = [
                post("two", key="l"),
                post("one", key="k"),
                post("other", key="k"),
                Append("lobby", "e", draft("", kind="delete", of=9), 1),
                Append("lobby", "e", draft("", kind="react", of=1, emoji="+"), 1),
                Append("lobby", "e", draft("", kind="delete", of=2), 1),
                post("three"),
            ]
            plan = Plan(cut_down=1300)  # behind the handshake, within the answers
            await proxy.cut_all()
            for request in requests:
                log.submit(request, now())
            log.keep(user(1))
            await trio.sleep(0.2)
            plan = Plan()
            await proxy.cut_all()
            await until(1 + len(requests), answers)
        nursery.cancel_scope.cancel()
    kinds = [type(one) for one in answers[1:]]
    if kinds != [Failed] * len(requests):  # where the cut was before all of it
        assert kinds == [Committed, Duplicate, KeyReused, Rejected, Committed, Committed, Committed]
        assert await contents(server, "lobby") == ["one", "", "", "", "three"]


async def test_a_server_that_is_full_refuses_and_goes_on(server: Valkey) -> None:
    async with open_link(url_of(server)) as link:
        store = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        assert isinstance((await store.perform([(post("held"), NOW)], NOW))[0], Committed)
        server.ask("CONFIG", "SET", "maxmemory", "1")
        answers = await store.perform([(user(1), NOW), (post("lost"), NOW), (post("lost"), NOW)], NOW)
        assert [type(one) for one in answers] == [Failed, Failed]
        assert store.trouble is not None
        assert "OOM" in store.trouble
        for wait in (0, 2, 2.5):  # before it is tried again, then, and after that
            again = Now(NOW.mono + wait, NOW.wall)
            (page,) = await store.perform([(Read("lobby", "e", 1, 10, 1000, after=0), again)], again)
            assert isinstance(page, Page)
            assert [entry.draft.content for entry in page.entries] == ["held"]
        server.ask("CONFIG", "SET", "maxmemory", "0")
        later = Now(NOW.mono + 4, NOW.wall)
        (answer,) = await store.perform([(post("more"), later)], later)
        assert isinstance(answer, Committed)
        assert answer.entry.seq == 2
        assert store.trouble is None
        await store.close()
        again_open = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        assert [record.key for record in again_open.restored.records] == ["u1"]


async def test_an_owner_that_was_away_does_nothing_more(server: Valkey) -> None:
    async with open_link(url_of(server)) as link:
        old = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        await old.perform([(post("mine"), NOW)], NOW)
        server.ask("DEL", "trio_chat:lease")  # as time does
        assert isinstance((await old.perform([(post("still mine"), NOW)], NOW))[0], Committed)
        server.ask("DEL", "trio_chat:lease")
        new = await Store.open(link, history=HISTORY, boot="c", wall=NOW.wall)
        jobs = [post("too late"), Read("lobby", "e", 1, 10, 1000), user(1), Forget("lobby", "e")]
        for job in jobs:
            with pytest.raises(LostError, match="another process has it by now") as caught:
                await old.perform([(job, NOW)], NOW)  # type: ignore[list-item] # each is one
            assert not caught.value.again
        with pytest.raises(LostError):
            await old.renew(NOW)
        await old.close()
        (answer,) = await new.perform([(post("the next"), NOW)], NOW)
        assert isinstance(answer, Committed)
        assert answer.entry.seq == 3
        assert server.ask("EXISTS", "trio_chat:lease") == b":1\r\n"


async def test_another_is_told_while_the_owner_lives(server: Valkey) -> None:
    async with running(url_of(server)):
        with pytest.raises(LogError, match=r"process .* has it"):
            async with running(url_of(server)):
                pass


@pytest.mark.parametrize("lost", ["FLUSHALL", "HSET trio_chat:owner batch 0", "HSET trio_chat:owner done 7"])
async def test_a_server_without_what_it_acknowledged(server: Valkey, lost: str) -> None:
    async with open_link(url_of(server)) as link:
        store = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        await store.perform([(post("one"), NOW)], NOW)
        server.ask(*lost.split())
        with pytest.raises(LostError, match="lost entries") as caught:
            await store.perform([(post("two"), NOW)], NOW)
        assert caught.value.again


async def test_a_server_that_was_started_anew_while_nobody_had_the_log(server: Valkey) -> None:
    """It may have lost its end, or be a backup: rooms get new epochs, until one start got as far as the records."""
    async with open_link(url_of(server)) as link:
        store = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        await store.perform([(post("one"), NOW), (user(1), NOW)], NOW)
        await store.close()
    server.kill()
    server.start()
    async with open_link(url_of(server)) as link:
        for boot, jobs in (("c", []), ("d", [(user(2), NOW)]), ("e", [])):
            store = await Store.open(link, history=HISTORY, boot=boot, wall=NOW.wall)
            assert store.restored.trusted == (boot == "e")
            assert store.restored.spans["lobby"].epoch == ("d-r1" if boot == "e" else f"{boot}-r1")
            await store.perform(jobs, NOW)
            await store.renew(NOW)
            await store.close()


async def test_words_that_were_deleted_are_in_no_file(server: Valkey) -> None:
    def said() -> bool:
        return any(b"a secret word" in file.read_bytes() for file in server.directory.rglob("*") if file.is_file())

    async with open_link(url_of(server)) as link:
        store = await Store.open(link, history=HISTORY, boot="b", wall=NOW.wall)
        upkeep = Upkeep(store)
        while await upkeep.slice(NOW):
            pass
        await store.perform([(post("a secret word"), NOW)], NOW)
        assert said()
        await store.perform([(Append("lobby", "e", draft("", kind="delete", of=1), 1), NOW)], NOW)
        with trio.fail_after(SECONDS):
            mono = NOW.mono
            while said():
                mono += 60
                await upkeep.slice(Now(mono, NOW.wall))
                await trio.sleep(0.05)


async def test_many_that_wait_are_refused(server: Valkey) -> None:
    async with open_redis(url_of(server), history=HISTORY, boot="b", wall=lambda: NOW.wall) as log:
        answers = [log.submit(post("x"), NOW) for _ in range(10_000)]
        assert answers[0] is None
        assert isinstance(answers[-1], Failed)
        assert sum(answer is None for answer in answers) == 8192
    assert len(await contents(server, "lobby")) == 8192  # what waits is committed at the end


@pytest.mark.usefixtures("hasty")
async def test_a_server_that_was_started_anew_while_we_had_the_log(server: Valkey) -> None:
    """It has all that it acknowledged: no epoch changes, then or at the next start."""
    async with running(url_of(server)) as (log, answers):
        log.submit(post("one"), now())
        await until(1, answers)
        server.kill()
        server.start()
        with trio.fail_after(SECONDS):
            while len(answers) < 2 or isinstance(answers[-1], Failed):
                log.submit(post("two"), now())
                await trio.sleep(0.05)
        await until(2, answers)
    async with running(url_of(server)) as (log, _):
        assert log.restored.trusted
        assert log.restored.spans["lobby"].epoch == "e"


@pytest.mark.usefixtures("hasty")
async def test_a_server_that_comes_back_without_its_end(server: Valkey) -> None:
    """That is seen at once, also by a process that only reads."""

    async def lose_it() -> None:
        async with running(url_of(server)) as (log, answers):
            log.submit(post("one"), now())
            await until(1, answers)
            copy = {file: file.read_bytes() for file in server.directory.rglob("*") if file.is_file()}
            log.submit(post("two"), now())
            await until(2, answers)
            server.kill()
            for file, content in copy.items():
                file.write_bytes(content)
            server.start()
            await trio.sleep(0.05)
            log.submit(Read("lobby", "e", 1, 10, 1000, after=0), now())
            await until(4, answers)

    with pytest.raises(BaseExceptionGroup) as caught:
        await lose_it()
    assert caught.group_contains(LostError, match="lost entries")
