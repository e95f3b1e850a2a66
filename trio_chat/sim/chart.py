"""The chart of storms: how many clients are back, against the time since they lost the server."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from trio_chat.sim.storm import Aftermath

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 360, 60, 40, 60
COLORS = ("#2563a8", "#b3541e", "#2f7d4f", "#7a3b9c", "#8a6d00", "#a8325e")
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1c2430 } .axis { stroke: #98a3b3 } .grid { stroke: #e1e6ec }
@media (prefers-color-scheme: dark) { text { fill: #e6eaf0 } .grid { stroke: #313a47 } }
</style>"""


def svg(all: Sequence[Aftermath]) -> str:
    """A line for each storm."""
    longest = max((max(one.back, default=1.0) for one in all), default=1.0)
    wide, high = WIDTH - LEFT - 20, HEIGHT - TOP - BOTTOM
    parts = [f'<text x="{LEFT}" y="22">Clients that are back, against seconds since they lost the server</text>']
    for step in range(5):
        y, x = TOP + high * (1 - step / 4), LEFT + wide * step / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step * 25} %</text>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + high + 18}" text-anchor="middle">{longest * step / 4:.0f} s</text>')
    for number, one in enumerate(all):
        color, storm = COLORS[number % len(COLORS)], one.storm
        points = [(0.0, 0)] + [(at, count) for count, at in enumerate(sorted(one.back), 1)]
        path = " ".join(
            f"{LEFT + wide * at / longest:.1f},{TOP + high * (1 - count / storm.clients):.1f}" for at, count in points
        )
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>')
        kind = "simple clients" if storm.simple else "clients"
        label = f"{storm.blow}: {storm.clients:,} {kind}, {storm.addresses:,} {_plural(storm.addresses)}"
        x, y = LEFT + wide * (number % 2) / 2, TOP + high + 36 + 16 * (number // 2)
        parts.append(f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" fill="{color}"/>')
        parts.append(f'<text x="{x + 18:.1f}" y="{y:.1f}">{escape(label)}</text>')
    height = HEIGHT + 16 * ((len(all) - 1) // 2)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return "\n".join([head, STYLE, *parts, "</svg>", ""])


def _plural(count: int) -> str:
    return "address" if count == 1 else "addresses"
