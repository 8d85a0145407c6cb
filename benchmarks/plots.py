"""Bar charts as SVG, in colours that are legible on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from .libraries import LIBRARIES

COLOURS = ("#8a8f98", "#4c8bd8", "#d9822b", "#4a9d63", "#b565c9", "#c9a227", "#d0525f", "#3fa7a3")
_COLOURS = dict(zip(LIBRARIES, COLOURS, strict=True))
"""Each library has the same colour in every chart."""

_TEXT = "#7d8590"
_WIDTH, _LABELS, _BAR, _GAP = 800, 260, 13, 16


class Group(NamedTuple):
    """Adjacent bars: a title, and a number for each series, or None."""

    title: str
    numbers: Sequence[float | None]


def draw(title: str, series: Sequence[str], groups: Sequence[Group], *, line: float | None = None) -> str:
    """Return a chart of horizontal bars. ``line`` is a value to mark with a line."""
    most = max((number for group in groups for number in group.numbers if number is not None), default=1.0)
    scale = (_WIDTH - _LABELS - 70) / most
    colours = [_COLOURS.get(name) or COLOURS[index % len(COLOURS)] for index, name in enumerate(series)]
    body = list(_legend(series, colours, 34))
    y = 34.0 + 22 * (1 + (len(series) - 1) // 3)
    top = y
    for group in groups:
        shown = [(index, number) for index, number in enumerate(group.numbers) if number is not None]
        body.append(_text(_LABELS - 10, y + len(shown) * _BAR / 2 + 4, group.title, anchor="end"))
        for index, number in shown:
            width = max(number * scale, 1)
            at = f'x="{_LABELS}" y="{y:.0f}" width="{width:.1f}" height="{_BAR - 2}"'
            body.append(f'<rect {at} fill="{colours[index]}"/>')
            body.append(_text(_LABELS + width + 5, y + 10, _short(number), size=11))
            y += _BAR
        y += _GAP
    if line is not None:
        x = _LABELS + line * scale
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6:.0f}" y2="{y - _GAP + 4:.0f}" '
            f'stroke="{_TEXT}" stroke-dasharray="4 3"/>'
        )
    return "\n".join(_wrap(title, y, body)) + "\n"


def _wrap(title: str, height: float, body: Iterable[str]) -> Iterator[str]:
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">'
    yield f"<title>{escape(title)}</title>"
    yield _text(0, 16, title, size=14)
    yield from body
    yield "</svg>"


def _legend(series: Sequence[str], colours: Sequence[str], y: float) -> Iterator[str]:
    for index, name in enumerate(series):
        x, row = 10 + index % 3 * 250, y + index // 3 * 20
        yield f'<rect x="{x}" y="{row - 10:.0f}" width="11" height="11" fill="{colours[index]}"/>'
        yield _text(x + 17, row, name)


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{_TEXT}">{escape(text)}</text>'
    )


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:,.0f}"
