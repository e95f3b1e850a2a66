"""The chart of storms: how many clients are back, against the time since they lost the server."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from trio_chat.sim.storm import Aftermath

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 60, 40, 40, 60
MOST_TICKS = 8  # of the time, but for that at 0
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200)  # seconds between two ticks
MINUTE = 60
COLORS = ("#2563a8", "#b3541e", "#2f7d4f", "#7a3b9c", "#8a6d00", "#a8325e")
DARK_COLORS = ("#7fb2ee", "#f0a472", "#7fcf9d", "#cfa2ec", "#dcc25a", "#f196b6")
TITLE = "Clients that are back, against the time since they lost the server"


def _style() -> str:
    """Colours, on a light ground and on a dark one."""
    light, dark = (
        " ".join(f".c{number} {{ color: {color} }}" for number, color in enumerate(colors))
        for colors in (COLORS, DARK_COLORS)
    )
    return f"""<style>
:root {{ color-scheme: light dark }} text {{ font: 13px system-ui, sans-serif; fill: #1c2430 }} .ground {{ fill: #fff }}
.axis {{ stroke: #6b7686 }} .grid {{ stroke: #e1e6ec }} polyline {{ fill: none }}
polyline, .sample {{ stroke: currentColor; stroke-width: 2 }}
.simple {{ stroke-dasharray: 6 3 }} {light}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6eaf0 }} .ground {{ fill: #14181f }} .axis {{ stroke: #98a3b3 }} .grid {{ stroke: #313a47 }}
{dark}
}}
</style>"""


def ticks(longest: float) -> list[tuple[float, str]]:
    """Where the axis of time has a tick, in seconds, and what is written there: no two alike.

    From 0 up to the first tick that is not before `longest`, which is positive; at most `MOST_TICKS` and that at 0.
    """
    step: float = next((step for step in STEPS if longest <= step * MOST_TICKS), longest / MOST_TICKS)
    count = 1
    while count * step < longest * (1 - 1e-9):
        count += 1
    return [(number * step, _written(number * step, step)) for number in range(count + 1)]


def _written(at: float, step: float) -> str:
    if step >= MINUTE:
        return f"{at / MINUTE:.4g} min"
    return f"{at:.{0 if step >= 1 else 1 if step >= 0.1 else 2}f} s"


def svg(all: Sequence[Aftermath]) -> str:
    """A line for each storm; dashed where the clients are simple."""
    marks = ticks(max((max(one.back, default=0.0) for one in all), default=0.0) or 1.0)
    longest, wide, high = marks[-1][0], WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    bottom, right = TOP + high, LEFT + wide
    parts = [f'<text x="{LEFT}" y="22">{TITLE}</text>']
    for step in range(5):
        y = TOP + high * (1 - step / 4)
        parts.append(_line("grid" if step else "axis", LEFT, y, right, y))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step * 25} %</text>')
    for at, written in marks:
        x = LEFT + wide * at / longest
        parts.append(_line("axis", x, bottom, x, bottom + 5))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{written}</text>')
    for number, one in enumerate(all):
        storm, color = one.storm, f"c{number % len(COLORS)}"
        points = [(0.0, 0)] + [(at, count) for count, at in enumerate(sorted(one.back), 1)]
        path = " ".join(
            f"{LEFT + wide * at / longest:.1f},{TOP + high * (1 - count / storm.clients):.1f}" for at, count in points
        )
        look = f"{color} simple" if storm.simple else color
        parts.append(f'<polyline class="{look}" points="{path}"/>')
        kind = "simple clients" if storm.simple else "clients"
        label = f"{storm.blow}: {storm.clients:,} {kind}, {storm.addresses:,} {_plural(storm.addresses)}"
        x, y = 24 + (WIDTH - 24) * (number % 2) / 2, bottom + 40 + 16 * (number // 2)
        parts.append(_line(f"sample {look}", x, y - 4, x + 24, y - 4))
        parts.append(f'<text x="{x + 30:.1f}" y="{y:.1f}">{escape(label)}</text>')
    height = HEIGHT + 16 * ((len(all) - 1) // 2)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{TITLE}</title>'
    ground = f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
    return "\n".join([head, _style(), ground, *parts, "</svg>", ""])


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _plural(count: int) -> str:
    return "address" if count == 1 else "addresses"
