"""Buckets, windows and deadlines, against models that anyone can follow."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.limits import Alarms, Deadlines, TokenBucket, Window

STEPS = st.lists(st.one_of(st.just(0.0), st.sampled_from([0.1, 0.25, 0.5, 1.0, 3.0]), st.floats(0, 5)), max_size=60)


def test_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1) == 0.0
    assert [bucket.take(500.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]


@given(steps=STEPS, rate=st.floats(0.01, 100), burst=st.integers(1, 10))
def test_bucket_against_exact_arithmetic(steps: list[float], rate: float, burst: int) -> None:
    now, at = 1000.0, Fraction(1000)
    bucket, tokens = TokenBucket(rate, burst, now), Fraction(burst)
    for step in steps:
        now += step
        tokens = min(Fraction(burst), tokens + (Fraction(now) - at) * Fraction(rate))
        at = Fraction(now)
        wait = bucket.take(now)
        assert wait >= 0
        if wait:
            assert tokens < 1 + Fraction(1, 10**6)
            assert wait == pytest.approx(float((1 - tokens) / Fraction(rate)), rel=1e-4, abs=1e-4)
        else:
            assert tokens > 1 - Fraction(1, 10**6)
            tokens -= 1


@given(rate=st.floats(0.01, 1e6), burst=st.integers(1, 5), start=st.floats(0, 1e6))
def test_who_waits_as_long_as_told_gets_a_token(rate: float, burst: int, start: float) -> None:
    bucket = TokenBucket(rate, burst, start)
    while not (wait := bucket.take(start)):
        pass
    assert bucket.take(start + wait + 1e-9 * max(1.0, start)) == 0.0


@given(steps=STEPS, limit=st.integers(1, 4), seconds=st.sampled_from([0.1, 1.0, 2.5]))
def test_window_against_a_list(steps: list[float], limit: int, seconds: float) -> None:
    now, hits, window = 1000.0, list[float](), Window(limit, seconds)
    for step in steps:
        now += step
        live = [hit for hit in hits if hit + seconds > now]
        allowed = len(live) < limit
        assert window.wait(now) == (0.0 if allowed else live[0] + seconds - now)
        assert window.idle(now) == (not live)
        assert window.hit(now) is allowed
        if allowed:
            hits.append(now)


def test_a_refused_hit_is_not_counted() -> None:
    window = Window(1, 10)
    assert window.hit(0.0)
    assert not window.hit(5.0)
    assert window.hit(10.0)


@given(actions=st.lists(st.tuples(st.sampled_from(["set", "discard", "pop", "pass"]), st.integers(0, 5)), max_size=60))
def test_deadlines_against_a_list(actions: list[tuple[str, int]]) -> None:
    now, deadlines, model = 0.0, Deadlines[int](3.0), list[tuple[float, int]]()
    for action, item in actions:
        if action in ("set", "discard"):
            model = [(due, other) for due, other in model if other != item]
            if action == "set":
                deadlines.set(item, now)
                model.append((now + 3.0, item))
            else:
                deadlines.discard(item)
        elif action == "pop":
            assert deadlines.pop(now) == [other for due, other in model if due <= now]
            model = [(due, other) for due, other in model if due > now]
        else:
            now += item
        assert deadlines.next() == (model[0][0] if model else None)
        assert list(deadlines) == [other for _, other in model]
        assert [item in deadlines for item in range(6)] == [item in [other for _, other in model] for item in range(6)]
        assert deadlines.due(item) == next((due for due, other in model if other == item), None)


def test_a_hit_that_is_taken_back_was_none() -> None:
    window = Window(2, 10)
    window.take_back(0.0)
    assert [window.hit(0.0), window.hit(1.0), window.hit(2.0)] == [True, True, False]
    window.take_back(5.0)
    assert not window.hit(3.0)
    window.take_back(1.0)
    assert [window.hit(4.0), window.hit(5.0), window.hit(10.0)] == [True, False, True]


def test_those_that_fall_due_first_are_evicted() -> None:
    deadlines: Deadlines[str] = Deadlines(10)
    for at, item in enumerate("abcd"):
        deadlines.set(item, at)
    deadlines.set("a", 9)
    assert deadlines.evict(4) == []
    assert deadlines.evict(2) == ["b", "c"]
    assert list(deadlines) == ["d", "a"]


@given(
    actions=st.lists(
        st.tuples(st.sampled_from(["set", "set", "set", "discard", "pop"]), st.integers(0, 5), st.integers(0, 9)),
        max_size=200,
    )
)
def test_alarms_against_a_list(actions: list[tuple[str, int, int]]) -> None:
    """The first due comes first; of those at one time, the one that was set first."""
    now, alarms, model = 0.0, Alarms[int](), list[tuple[float, int, int]]()
    for number, (action, item, ahead) in enumerate(actions):
        if action != "pop":
            model = [alarm for alarm in model if alarm[2] != item]
        if action == "set":
            alarms.set(item, now + ahead)
            model.append((now + ahead, number, item))
        elif action == "discard":
            alarms.discard(item)
        else:
            now += ahead
            assert alarms.pop(now) == [item for at, _, item in sorted(model) if at <= now]
            model = [alarm for alarm in model if alarm[0] > now]
        assert (item in alarms) is (item in [other for _, _, other in model])
        assert alarms.next() == min((at for at, _, _ in model), default=None)
        assert len(alarms._heap) <= 2 * len(model) + 17


def test_an_alarm_that_is_set_again_and_again_takes_no_more_room() -> None:
    alarms = Alarms[str]()
    for at in range(100):
        alarms.set("one", float(at))
    assert len(alarms._heap) <= 18
    assert alarms.next() == 99.0
    assert alarms.pop(99.0) == ["one"]
