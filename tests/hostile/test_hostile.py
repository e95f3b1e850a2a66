"""What is wrong with a server is found out: each fault is planted into one that is really attacked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest

from tests.core.matrix import CASES
from trio_chat.core.messages import COMMANDS

from .attacks.passwords import MOST, signed_rank
from .attacks.proofs import TRIED
from .report import Row
from .run import besiege, chosen
from .scene import Attack, Run, Scene, all_attacks
from .swarm import Dial, Swarm
from .vitals import MIB, Bounds, Vitals, complaints, excess, traces
from .wire import Broken

CALM = Vitals(at=0.0, cpu=1.0, rss=50 * MIB, peak=50 * MIB, threads=2, descriptors=Counter({"socket": 3}))
BOUNDS = Bounds(settle=1.0, lines=0.0)


def knock(scene: Scene) -> int:
    """Some ask for a page, in the time that a bystander needs to say something."""
    done = Swarm(scene.port, at_once=20).run(Dial(b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(200))
    return len(done)


def linger(scene: Scene) -> int:
    """Give the bystander the time to say a few things."""
    return sum(knock(scene) for _ in range(5))


def row_of(fault: str, run: Run = knock) -> Row:
    """One attack on a server with that fault."""
    attack = Attack("knock", run, "open", BOUNDS)
    return besiege([attack], seed=1, short=True, program=("tests.hostile.planted", fault))[0]


def test_a_server_without_a_fault_holds() -> None:
    row = row_of("none")

    assert row.faults == []
    assert row.outcome.attempts == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("descriptors", "more socket"),
        ("memory", "MiB more than before"),
        ("threads", "threads: "),
        ("traceback", "ZeroDivisionError"),
        ("lines", "log: 2"),
        ("long line", "a line of 1000 characters"),
        ("control", "a control character"),
        ("busy", "of a core more than before"),
        ("death", "the server ended with 7"),
    ],
)
def test_a_planted_fault_is_found(fault: str, told: str) -> None:
    row = row_of(fault)

    assert any(told in found for found in row.faults), row.faults
    assert row.verdict.startswith("BROKEN")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "attack", "told"),
    [
        ("patient", "half handshakes", "it is open"),
        ("patient", "handshakes a byte a second", "is waited for after"),
        ("plain too", "no TLS at the port of TLS", "was answered b'HTTP/1.1"),
        ("unpaced", "flood of ClientHello", "handshakes of one address were answered"),
        ("bottomless", "wss clients that stop reading", "is still there after"),
        ("everybody's proxy", "PROXY headers from anybody", "was answered b'HTTP/1.1"),
        ("headerless", "broken PROXY headers", "was answered b'HTTP/1.1 400"),
        ("patient", "PROXY headers a byte a second", "is waited for after"),
        ("everybody's word", "addresses forged behind a PROXY header", "somebody else's address"),
        ("owning", "every command, by guests whom it is not for", "was answered {'type': 'ack'"),
        ("sly", "every command, with tokens that it is not for", "had an effect"),
        ("open door", "every route of operators, without their token", "was answered 200"),
        ("guesses", "tokens of operators are guessed", "guesses were answered"),
        ("unsigned", "forged tokens", "was answered"),
        ("unsigned", "mutated tokens", "was answered"),
        ("timeless", "tokens of another time or place", "was answered"),
        ("timeless", "one token, again and again", "outlived it"),
        ("lending", "sessions and tickets of others, with tokens", "welcome"),
        ("renewing", "refresh with what is another's", "not refused with bad_token"),
        ("forgiving", "the banned come back", "welcome"),
        ("any password", "passwords of others", "not refused with bad_credentials"),
        ("quick", "login times", "σ apart, of at most 5"),
    ],
)
def test_a_planted_fault_is_found_by_its_attack(fault: str, attack: str, told: str) -> None:
    program = ("tests.hostile.planted", fault)
    (row,) = besiege([all_attacks()[attack]], seed=1, short=True, program=program)

    assert any(told in found for found in row.faults), row.faults


def test_no_command_is_forgotten() -> None:
    """What the matrix has not, proves something or is a first frame; and that is tried, too."""
    assert {command for command, _, _ in CASES.values()} | set(TRIED) == set(COMMANDS)


@pytest.mark.parametrize(
    ("differences", "beyond"),
    [([0.1, -0.1] * 25, False), ([3.0] * 20, False), ([0.001] * 50, True), ([-0.001] * 50, True), ([0.0] * 50, False)],
)
def test_the_rank_of_times(differences: list[float], beyond: bool) -> None:
    assert (abs(signed_rank(differences)) > MOST) is beyond


def test_a_message_that_the_bystander_does_not_get_is_found() -> None:
    row = row_of("lost", linger)

    assert any("did not come back" in found or "came back instead of" in found for found in row.faults), row.faults


def test_what_an_attack_finds_is_a_fault() -> None:
    def broken(scene: Scene) -> int:
        raise Broken(f"port {scene.port} did what it must not")

    assert any("did what it must not" in found for found in row_of("none", broken).faults)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"rss": 66 * MIB}, None),
        ({"rss": 67 * MIB}, "memory: 17.0 MiB more"),
        ({"descriptors": Counter({"socket": 2, "pipe": 1})}, "descriptors: 1 more pipe, 1 less socket"),
        ({"threads": 7}, "threads: 7, and 2 before"),
    ],
)
def test_traces(change: dict[str, Any], told: str | None) -> None:
    found = traces(CALM, attrs.evolve(CALM, **change), 0.0, Bounds())

    assert (len(found) == 1 and told in found[0]) if told else found == []


def test_a_process_that_is_not_at_rest_is_a_trace() -> None:
    assert traces(CALM, CALM, 0.14, Bounds()) == []
    assert len(traces(CALM, CALM, 0.16, Bounds())) == 1


def test_a_peak_is_judged_by_itself() -> None:
    assert excess(CALM, attrs.evolve(CALM, peak=306 * MIB), Bounds()) == []
    assert len(excess(CALM, attrs.evolve(CALM, peak=307 * MIB), Bounds())) == 1


@pytest.mark.parametrize(
    ("log", "attempts", "count"),
    [
        ("a line\n" * 22, 100, 0),
        ("a line\n" * 23, 100, 1),
        ("a line\n" * 23, None, 0),
        ("Traceback (most recent call last)\n", 1, 1),
        ("bug in connection 5; only this connection ends\n", 1, 1),
        ("a" * 301 + "\n", 1, 1),
        ("a\x1b[2J\n", 1, 1),
    ],
)
def test_complaints(log: str, attempts: int | None, count: int) -> None:
    assert len(complaints(log, attempts, Bounds())) == count


def test_the_table_has_an_attack_of_each_module_and_each_says_what_it_does() -> None:
    attacks = all_attacks()

    assert len(attacks) > 30
    assert all(one.purpose for one in attacks.values())


def test_a_name_that_is_none_ends_it() -> None:
    assert [one.name for one in chosen(["slow heads"])] == ["slow heads"]
    with pytest.raises(SystemExit, match="no attack 'unheard of'"):
        chosen(["unheard of"])
