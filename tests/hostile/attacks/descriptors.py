"""A server that runs out of descriptors."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ..scene import Outcome, Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, Raw, upgrade
from .frames import LOGGED

SPARE = 40
BUSY = 0.5  # of a core, while nothing can be accepted


@contextmanager
def descriptors(pid: int, limit: int) -> Iterator[None]:
    """`ulimit -n` of a process that runs."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@attack("descriptors run out", bounds=Bounds(lines=LOGGED * 0.5, more_lines=200))
def run_out(scene: Scene) -> Outcome:
    """`ulimit -n` with room for 40, then for none, and below what is open: those inside are served, others get 503."""
    count = scene.count(2000, 300)
    with Raw(scene.port, "insider") as insider:
        used = scene.target.vitals().descriptors.total()
        with descriptors(scene.target.pid, used + SPARE):
            done = Swarm(scene.port, at_once=count).run(Dial(upgrade()) for _ in range(count))
            statuses = Counter(one.status for one in done)
            if set(statuses) != {101, 503}:
                raise Broken(f"with {SPARE} descriptors left, they were answered {dict(statuses)}")
            if not statuses[101] >= SPARE // 2:
                raise Broken(f"with {SPARE} descriptors left, only {statuses[101]} were let in")
            _inside(insider)
        used = scene.target.vitals().descriptors.total()
        with descriptors(scene.target.pid, used):
            none = Counter(one.status for one in Swarm(scene.port).run(Dial(upgrade()) for _ in range(count)))
            if set(none) != {503}:
                raise Broken(f"with no descriptor left, they were answered {dict(none)}")
            _inside(insider)
        with descriptors(scene.target.pid, used // 2):
            before = scene.target.vitals()
            Swarm(scene.port, patience=1.0).run(Dial(upgrade()) for _ in range(100))
            _inside(insider)
            time.sleep(0.5)
            after = scene.target.vitals()
            share = (after.cpu - before.cpu) / (after.at - before.at)
            if share > BUSY:
                raise Broken(f"it was busy with {share:.2f} of a core, and could accept nobody")
        _inside(insider)
        insider.leave()
    return Outcome(2 * count + 100, f"{statuses[101]} let in, {statuses[503] + none[503]} told 503")


def _inside(insider: Raw) -> None:
    """Somebody inside can do all that is done there."""
    ack = insider.ask("message", 1, room="inside", content="still here")
    page = insider.ask("history", 2, room="inside", limit=200)
    if ack["type"] != "ack" or page["entries"][-1]["content"] != "still here":
        raise Broken(f"somebody inside was answered {ack}, {page}")
