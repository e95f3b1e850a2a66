"""What a load came to, for people and for programs."""

from __future__ import annotations

from typing import Any

from trio_chat.bench.load import Tally

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of an ascending, non-empty list does not exceed; nearest rank."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def summary(tally: Tally) -> dict[str, Any]:
    """All figures; latencies in milliseconds, from the moment when a message was due. None where nothing came."""
    seconds = tally.last - tally.start
    return {
        "connections": tally.plan.connections,
        "rooms": tally.plan.rooms,
        "sent": tally.sent,
        "acked": len(tally.acks),
        "delivered": len(tally.deliveries),
        "deliveries_per_second": round(len(tally.deliveries) / seconds, 1) if seconds > 0 else 0.0,
        "delivery_ms": _percentiles(tally.deliveries),
        "ack_ms": _percentiles(tally.acks),
        "errors": dict(tally.errors),
    }


def text(tally: Tally) -> str:
    """The same as a few lines."""
    it = summary(tally)
    lines = [
        f"{it['connections']} connections in {it['rooms']} rooms: {it['sent']:,} messages sent, {it['acked']:,} acked",
        f"{it['delivered']:,} deliveries, {it['deliveries_per_second']:,.0f} a second",
    ]
    for key, title in (("delivery_ms", "delivery"), ("ack_ms", "ack")):
        if it[key] is not None:
            lines.append(f"{title:9}" + "  ".join(f"{name} {value:.2f} ms" for name, value in it[key].items()))
    lines.append("errors: " + (", ".join(f"{name} {count:,}" for name, count in it["errors"].items()) or "none"))
    return "\n".join(lines)


def _percentiles(latencies: list[float]) -> dict[str, float] | None:
    ordered = sorted(latencies)
    return {name: round(1_000 * percentile(ordered, share), 3) for name, share in SHARES.items()} if ordered else None
