"""Who asks by the clock which names there are."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Sequence

from ..entrance import PASSWORD
from ..scene import Outcome, Scene, attack
from ..vitals import Bounds
from ..wire import Broken
from .frames import LOGGED

FAILURES = 10  # that a name may have within five minutes
MOST = 5.0  # standard deviations: of a million honest servers not one is beyond
NUMBERS = itertools.count(1)


def failing(scene: Scene, name: str) -> float:
    """Seconds from a login to its refusal."""
    with scene.entrance.open() as raw:
        began = time.perf_counter()
        raw.send(type="login", username=name, password="a wrong password")
        answer = raw.receive()
        seconds = time.perf_counter() - began
        if answer.get("code") != "bad_credentials":
            raise Broken(f"a login that fails was answered {answer}")
        raw.to_the_end()
    return seconds


def signed_rank(differences: Sequence[float]) -> float:
    """Wilcoxon's signed-rank statistic in its standard deviations: 0 where neither kind is the longer one.

    Only the order within each pair is chance, and that we toss ourselves: so nothing that the machine does beside,
    however long it takes, makes it large.
    """
    order = sorted((one for one in differences if one), key=abs)
    total = sum(math.copysign(rank, one) for rank, one in enumerate(order, 1))
    return total / math.sqrt(sum(rank * rank for rank in range(1, len(order) + 1)) or 1)


@attack("login times", setting="accounts", bounds=Bounds(lines=LOGGED, memory=32))
def login_times(scene: Scene) -> Outcome:
    """200 logins with an unknown name and 200 with a wrong password, in pairs: the clock does not tell them apart."""
    pairs, number = scene.count(200, 50), next(NUMBERS)
    owners = [f"owner {number} {n}" for n in range(-(-pairs // FAILURES))]
    for owner in owners:
        scene.entrance.greet({"type": "register", "username": owner, "password": PASSWORD}).leave()
    unknown: list[float] = []
    wrong: list[float] = []
    for n in range(pairs):
        kinds = [(unknown, f"nobody {number} {n}"), (wrong, owners[n // FAILURES])]
        scene.rng.shuffle(kinds)
        for times, name in kinds:
            times.append(failing(scene, name))
    apart = signed_rank([one - other for one, other in zip(unknown, wrong, strict=True)])
    told = f"unknown name {_quartiles(unknown)}, wrong password {_quartiles(wrong)}, {abs(apart):.1f} σ apart"
    if abs(apart) > MOST:
        raise Broken(f"{told}, of at most {MOST:g}")
    return Outcome(2 * pairs, told)


def _quartiles(times: Sequence[float]) -> str:
    low, middle, high = (1000 * one for one in statistics.quantiles(times, n=4))
    return f"{middle:.1f} ms ({low:.1f} – {high:.1f})"
