"""Plots of the page, as inline SVG: no script, colours from the page's style, a text for those who don't see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from launcher.comparison.sketches import Sketch

_WIDTH, _HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 44
_MOST_POINTS = 200
_PERCENTS = (0, 25, 50, 75, 90, 100)


def latency_curves(curves: Sequence[tuple[str, Sketch]], described: str) -> str:
    """The share of the answers that came within a time, one curve a role; time on a logarithmic axis."""
    curves = [(name, sketch) for name, sketch in curves if sketch.count]
    if not curves:
        return ""
    points = [(name, _thinned(sketch.shares())) for name, sketch in curves]
    low = max(1.0, min(line[0][0] for _, line in points) / 1.2)
    high = max(line[-1][0] for _, line in points) * 1.1
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(described)}">',
        *_grid(low, high),
    ]
    for number, (name, line) in enumerate(points):
        path = " ".join(f"{_x(value, low, high):.1f},{_y(share):.1f}" for value, share in _steps(line, low))
        parts.append(f'<polyline class="curve c{number % 4}" points="{path}"/>')
        x = _LEFT + 8
        y = _TOP + 14 + number * 18
        parts.append(f'<line class="curve c{number % 4}" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{escape(name)}</text>')
    parts.append(f'<text class="axis" x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">answered within</text>')
    return "".join([*parts, "</svg>"])


def bar(share: float, described: str) -> str:
    """A small bar for a share of 0 to 1, or its negative to the left."""
    width = max(1.0, min(abs(share), 1.0) * 50)
    start = 50.0 if share >= 0 else 50.0 - width
    side = "worse" if share >= 0 else "better"
    return (
        f'<svg class="bar" viewBox="0 0 100 10" role="img" aria-label="{escape(described)}">'
        f'<line x1="50" x2="50" y1="0" y2="10"/><rect class="{side}" x="{start:.1f}" y="2" width="{width:.1f}" '
        'height="6"/></svg>'
    )


def _grid(low: float, high: float) -> list[str]:
    parts = []
    for percent in _PERCENTS:
        y = _y(percent / 100)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for value in _ticks(low, high):
        x = _x(value, low, high)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        label = escape(duration(value))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{label}</text>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten, or fewer if there would be many."""
    for steps in ((1, 2, 5), (1,)):
        ticks = [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(ticks) <= 8:
            return ticks
    return ticks


def duration(microseconds: float) -> str:
    """For people: 850 µs, 12.3 ms, 1.52 s."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if abs(microseconds) >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.0f} µs"


def _thinned(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(line) // _MOST_POINTS)
    return [*line[:-1:step], line[-1]]


def _steps(line: Sequence[tuple[float, float]], low: float) -> list[tuple[float, float]]:
    return [(low, 0.0), *line]


def _x(value: float, low: float, high: float) -> float:
    span = math.log(high / low) or 1.0
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(1.0, max(0.0, math.log(max(value, low) / low) / span))


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)
