"""The plot of the swaps: seconds over Azure's own, per operation time and way, as an SVG made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.numbers import p50, p99

WAYS: Final = {"az": "#c0504d", "sdk": "#d8a13a", "ours": "#2f6f9f"}
NAMES: Final = {"az": "az", "sdk": "SDK script", "ours": "ours"}
WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 56, 60
RATIO_MAX: Final = 12.0


def svg(runs: Sequence[Mapping[str, Any]], operations: Sequence[int], retry_after: Mapping[str, str]) -> str:
    """Groups: operation time by Retry-After; bars: median ratio; the line above ours: its 99th percentile."""
    groups = [(each, name) for each in operations for name in retry_after]
    step = (WIDTH - LEFT - RIGHT) / len(groups)
    bar = step * 0.26
    parts = [*_frame(), *_scale()]
    for place, (each, name) in enumerate(groups):
        x = LEFT + place * step + step * 0.1
        for way, color in WAYS.items():
            ratios = [r["ratio"] for r in runs if (r["way"], r["operation_s"], r["retry_after"]) == (way, each, name)]
            if not ratios:
                continue
            middle = p50(ratios)
            y = _y(middle)
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" height="{_y(0) - y:.1f}" fill="{color}"/>')
            parts.append(_text(x + bar / 2, y - 4, f"{middle:.2f}", size=10))
            if way == "ours":
                parts.append(_line(x, x + bar, _y(p99(ratios)), "#123"))
            x += bar
        centre = LEFT + place * step + step / 2
        parts.append(_text(centre, HEIGHT - BOTTOM + 16, retry_after[name], size=10))
        if place % len(retry_after) == len(retry_after) // 2:
            parts.append(_text(centre, HEIGHT - BOTTOM + 34, f"operations of {each} s", size=12))
    return "\n".join([*parts, "</svg>", ""])


def _frame() -> list[str]:
    title = "A swap over Azure's own serial time (median; 1 = Azure alone), by operation time and Retry-After"
    legend = []
    for place, (way, color) in enumerate(WAYS.items()):
        x = LEFT + place * 110
        legend.append(f'<rect x="{x}" y="30" width="12" height="12" fill="{color}"/>')
        legend.append(_text(x + 18, 40, NAMES[way], anchor="start"))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 20, title, anchor="start", size=13),
        *legend,
    ]


def _scale() -> list[str]:
    found = []
    for value in (0, 1, 2, 4, 6, 8, 10, 12):
        y = _y(value)
        found.append(_line(LEFT, WIDTH - RIGHT, y, "#888" if value == 1 else "#ddd"))
        found.append(_text(LEFT - 8, y + 4, f"{value}", anchor="end"))
    return found


def _y(ratio: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(ratio, RATIO_MAX) / RATIO_MAX


def _line(x1: float, x2: float, y: float, color: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="#222">{text}</text>'
