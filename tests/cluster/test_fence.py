"""Only the last process that took the log may write, also on a Redis that was emptied in between and counts anew."""

from __future__ import annotations

import pytest

from tests.cluster.valkey import Valkey
from tests.log.kinds import NOW, draft
from trio_chat.cluster.link import open_link
from trio_chat.cluster.store import Store
from trio_chat.config import Config
from trio_chat.core.effects import Append, Committed, Read
from trio_chat.log import LostError
from trio_chat.redis_url import RedisUrl


@pytest.mark.parametrize("job", [Append("lobby", "e", draft("mine"), 1), Read("lobby", "e", 1, 10, 10**6, after=0)])
async def test_the_first_of_an_empty_server_is_not_the_first_of_the_next(server: Valkey, job: Append | Read) -> None:
    async with open_link(RedisUrl.read(server.url)) as link:
        old = await Store.open(link, history=Config().history, boot="a", wall=NOW.wall)
        server.empty()
        new = await Store.open(link, history=Config().history, boot="b", wall=NOW.wall)
        with pytest.raises(LostError, match="another process"):
            await old.perform([(job, NOW)], NOW)
        (answer,) = await new.perform([(Append("lobby", "f", draft("theirs"), 1), NOW)], NOW)
        assert isinstance(answer, Committed)
        assert answer.entry.seq == 1
        await new.close()
