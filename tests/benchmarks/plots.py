"""Plots as small SVG files, legible on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 14px }
.axis { stroke: #8c959f; stroke-width: 1 } .bar { fill: #8c959f } .ours { fill: #0969da }
.line { fill: none; stroke: #0969da; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #4493f8 } .line { stroke: #4493f8 }
}
</style>"""
LEFT, WIDTH, ROW, HEAD = 150, 640, 18, 44


def bars(groups: Mapping[str, Mapping[str, float]], title: str, ours: str) -> str:
    """Bars on a logarithmic scale: scenario → server → ratio, above 0. Names that begin with `ours` stand out."""
    values = [value for group in groups.values() for value in group.values()]
    low, high = min([0.5, *values]), max([2.0, *values])

    def at(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 60) * math.log(value / low) / math.log(high / low)

    parts, y = [_text(8, 20, title, "title")], HEAD
    for scenario, group in groups.items():
        parts.append(_text(8, y + 12, scenario, "title"))
        top = y = y + ROW + 2
        for server, value in group.items():
            kind = "ours" if server.startswith(ours) else "bar"
            left, right = sorted((at(1), at(value)))
            width = max(right - left, 1)
            parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 4}"/>')
            parts.append(_text(LEFT - 8, y + 11, server, "", "end"))
            parts.append(_text(right + 4, y + 11, f"{value:.2f}"))
            y += ROW
        parts.append(f'<line class="axis" x1="{at(1):.1f}" x2="{at(1):.1f}" y1="{top - 2}" y2="{y}"/>')
        y += ROW // 2
    return _svg(WIDTH, y + 8, parts)


def lines(series: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """A small plot each, side by side, of at least one (x, y), above 0; x is logarithmic, y begins at 0."""
    width, height = 215, 150
    top = max([y for points in series.values() for _x, y in points], default=1.0)
    parts = [_text(8, 20, title, "title")]
    for n, (name, points) in enumerate(series.items()):
        left, bottom = 40 + n * width, HEAD + height
        first, last = points[0][0], points[-1][0]
        places = [
            (
                left + (width - 70) * (math.log(x / first) / math.log(last / first) if last > first else 0),
                bottom - height * 0.85 * y / top,
            )
            for x, y in points
        ]
        parts.append(f'<line class="axis" x1="{left}" x2="{left + width - 60}" y1="{bottom}" y2="{bottom}"/>')
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line" points="{path}"/>')
        for (x, y), (count, value) in zip(places, points, strict=True):
            parts.append(f'<circle class="ours" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
            parts.append(_text(x, y - 8, f"{value:.2g}", "", "middle"))
            parts.append(_text(x, bottom + 16, f"{count / 1_000:g}k" if count >= 1_000 else f"{count:g}", "", "middle"))
        parts.append(_text(left, bottom + 36, f"against {name}"))
    return _svg(max(WIDTH, 20 + len(series) * width), HEAD + height + 48, parts)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, STYLE, *parts, "</svg>", ""])
