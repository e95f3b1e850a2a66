"""What was to be read when a connection broke is read behind the changes that were sent with it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.cluster.valkey import Valkey
from tests.log.kinds import NOW, draft, later, seqs
from trio_chat.cluster.link import BrokenError, Call, Link, Reply, open_link
from trio_chat.cluster.store import Store
from trio_chat.config import Config
from trio_chat.core.effects import Append, Committed, Failed, Page, Read
from trio_chat.redis_url import RedisUrl


class Forgetful(Link):
    """Of so many round trips the answers are lost."""

    losing = 0

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        replies = await super().call(calls)
        if self.losing:
            self.losing -= 1
            raise BrokenError("the answers are lost")
        return replies


def post(content: str) -> Append:
    return Append("lobby", "e", draft(content), 1)


async def test_it_shows_nothing_that_is_committed_behind_it(server: Valkey) -> None:
    """Else somebody who catches up is sent that twice: on the page, and as it is committed."""
    read = Read("lobby", "e", 1, 10, 10**6, after=0)
    async with open_link(RedisUrl.read(server.url)) as opened:
        link = Forgetful(opened._pool)
        store = await Store.open(link, history=Config().history, boot="b", wall=NOW.wall)
        link.losing = 2
        assert await store.perform([(post("one"), NOW), (read, NOW), (post("two"), NOW)], NOW) == []
        assert store.trouble is not None
        (refused,) = await store.perform([(post("too soon"), later(2))], later(2))
        assert isinstance(refused, Failed)
        answers = await store.perform([(post("three"), later(4)), (read, later(4))], later(4))
        known = 0
        for answer in answers:
            if isinstance(answer, Committed):
                known = answer.entry.seq
            else:
                assert isinstance(answer, Page)
                assert (answer.last, seqs(answer)) == (known, list(range(1, known + 1)))
        assert [type(answer) for answer in answers] == [Committed, Committed, Page, Committed, Page]
        await store.close()


async def test_nothing_but_reads(server: Valkey) -> None:
    async with open_link(RedisUrl.read(server.url)) as opened:
        link = Forgetful(opened._pool)
        store = await Store.open(link, history=Config().history, boot="b", wall=NOW.wall)
        link.losing = 1
        assert await store.perform([(Read("lobby", "e", 1, 10, 10**6, after=0), NOW)], NOW) == []
        first, second = await store.perform([(post("one"), later(2))], later(2))
        assert isinstance(first, Page)
        assert isinstance(second, Committed)
        await store.close()
