"""What a load came to, for people and for programs."""

from __future__ import annotations

from typing import Any

from trio_chat.bench.tally import Tally

# Name → share of the samples, and how many there must be for it to mean something.
SHARES = {"p50": (0.5, 1), "p90": (0.9, 10), "p99": (0.99, 100), "p99.9": (0.999, 1_000), "max": (1.0, 1)}
LATE_SHARE, LATE_SECONDS = 0.01, 0.25  # over its time by both together, a load was not at the rate that was wanted


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of an ascending, non-empty list does not exceed; nearest rank."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def summary(tally: Tally) -> dict[str, Any]:
    """All figures; latencies in milliseconds, from the moment when a message was due.

    None: latencies where nothing came, a percentile of too few to have one, `stopped` where the server did not.
    """
    return {
        "connections": tally.plan.connections,
        "rooms": tally.plan.rooms,
        "rate": tally.plan.rate,
        "rate_reached": round(tally.sent / _seconds(tally), 1),
        "stopped": _stopped(tally),
        "sent": tally.sent,
        "acked": len(tally.acks),
        "delivered": len(tally.deliveries),
        "deliveries_per_second": round(len(tally.deliveries) / _seconds(tally), 1),
        "delivery_ms": _percentiles(tally.deliveries),
        "ack_ms": _percentiles(tally.acks),
        "errors": tally.errors,
    }


def text(tally: Tally) -> str:
    """The same as a few lines."""
    it = summary(tally)
    lines = [
        f"{count(it['connections'], 'connection')} in {count(it['rooms'], 'room')}: "
        f"{count(it['sent'], 'message')} sent, {it['acked']:,} acked",
        f"{count(it['delivered'], 'delivery', 'deliveries')}, {it['deliveries_per_second']:,.0f} a second",
    ]
    for key, title in (("delivery_ms", "delivery"), ("ack_ms", "ack")):
        if it[key] is not None:
            shown = (f"{name} {value:.2f} ms" for name, value in it[key].items() if value is not None)
            lines.append(f"{title:9}" + "  ".join(shown))
    if it["stopped"]:
        lines.append(it["stopped"])
    elif behind(tally):
        lines.append(
            f"{it['rate_reached']:,g} messages a second instead of {it['rate']:,g}: the server or this load "
            "cannot do more, and the latencies are mostly waiting"
        )
    lines.append("errors: " + (", ".join(f"{name} {number:,}" for name, number in it["errors"].items()) or "none"))
    return "\n".join(lines)


def count(number: int, one: str, several: str = "") -> str:
    """A number of things, in words: `1 room`, `2 rooms`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def behind(tally: Tally) -> bool:
    """Whether the answers came for so long after the time planned that the rate was not reached."""
    return _seconds(tally) > tally.plan.seconds * (1 + LATE_SHARE) + LATE_SECONDS


def _seconds(tally: Tally) -> float:
    """What a rate is divided by: the time planned, or until the last answer came, or until the server closed all."""
    if tally.stopped is not None:
        return max(tally.stopped - tally.start, 1 / tally.plan.rate)
    return max(tally.plan.seconds, tally.last - tally.start)


def _stopped(tally: Tally) -> str | None:
    if tally.stopped is None:
        return None
    codes = ", ".join(tally.closed)
    return f"the server closed all connections ({codes}) after {tally.stopped - tally.start:.1f} s"


def _percentiles(latencies: list[float]) -> dict[str, float | None] | None:
    ordered = sorted(latencies)
    if not ordered:
        return None
    return {
        name: round(1_000 * percentile(ordered, share), 3) if len(ordered) >= enough else None
        for name, (share, enough) in SHARES.items()
    }
