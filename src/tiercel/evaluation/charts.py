"""Panels of curves with their intervals, drawn by Pillow: what the figures of the docs are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from tiercel.fix.picture import INK, MAT, MUTED, PAPER, WHITE, Colour

HUES: tuple[Colour, ...] = ((34, 94, 168), (216, 96, 32), (20, 136, 108), (146, 60, 140), (120, 120, 40), (90, 90, 90))

_SIDE, _GAP, _EDGE, _LINE = 440, 48, 48, 26
_HEAD, _AXIS, _LEFT = 62, 66, 56
_SMOOTH = 3  # everything but the words is drawn this many times too large and reduced


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Attributes:
        words: What it shows, with its unit.
        ticks: Values that are named; the first and the last are its ends.
        log: Whether it is logarithmic.
    """

    words: str
    ticks: tuple[float, ...] = (0, 25, 50, 75, 100)
    log: bool = False

    def share(self, value: float) -> float:
        """Where on the axis a value lies, 0 to 1 between its ends."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            value, low, high = (math.log(max(number, 1e-12)) for number in (value, low, high))
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        words: Its name in the legend.
        colour: Its colour.
        points: (x, y) in the units of the axes.
        spans: Ends of the 95 % interval of each point, or nothing.
        faint: Drawn paler and thinner, and left out of the legend.
    """

    words: str
    colour: Colour
    points: tuple[tuple[float, float], ...]
    spans: tuple[tuple[float, float], ...] = ()
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """One square of curves.

    Attributes:
        title: Above it.
        across: The axis from left to right.
        up: The axis from bottom to top.
        curves: What is drawn.
        diagonal: Whether a line from corner to corner is drawn beneath.
        faint_words: What faint curves are, for the legend.
    """

    title: str
    across: Axis
    up: Axis
    curves: tuple[Curve, ...]
    diagonal: bool = False
    faint_words: str = ""


def draw(panels: Sequence[Panel], across: int = 2) -> Image.Image:
    """Panels side by side.

    Args:
        panels: One or more.
        across: How many stand in a row.
    """
    drawn = [_panel(panel) for panel in panels]
    wide, high = drawn[0].width + _GAP, max(one.height for one in drawn) + _GAP
    across = min(len(drawn), across)
    rows = -(-len(drawn) // across)
    page = Image.new("RGB", (across * wide - _GAP + 2 * _EDGE, rows * high - _GAP + 2 * _EDGE), PAPER)
    for number, one in enumerate(drawn):
        down, right = divmod(number, across)
        page.paste(one, (_EDGE + right * wide, _EDGE + down * high))
    return page


def _panel(panel: Panel) -> Image.Image:
    legend = [
        (*name, False) for name in dict.fromkeys((one.words, one.colour) for one in panel.curves if not one.faint)
    ]
    legend += [(panel.faint_words, MUTED, True)] if panel.faint_words else []
    image = Image.new("RGB", (_LEFT + _SIDE + 20, _HEAD + _SIDE + _AXIS + _LINE * len(legend)), PAPER)
    _text(image, (0, 0), panel.title, 24, INK)
    _text(image, (0, 34), panel.up.words, 16, MUTED)
    image.paste(_plot(panel), (_LEFT, _HEAD))
    for tick in panel.up.ticks:
        _text(image, (_LEFT - 6, _HEAD + _SIDE * (1 - panel.up.share(tick)) - 9), _short(tick), 15, MUTED, right=True)
    for tick in panel.across.ticks:
        left = _LEFT + _SIDE * panel.across.share(tick) - _length(_short(tick), 15) / 2
        _text(image, (left, _HEAD + _SIDE + 6), _short(tick), 15, MUTED)
    words = panel.across.words
    _text(image, (_LEFT + _SIDE - _length(words, 16), _HEAD + _SIDE + 28), words, 16, MUTED)
    for row, (name, colour, faint) in enumerate(legend):
        top = _HEAD + _SIDE + _AXIS + row * _LINE
        _key(image, top, colour, faint)
        _text(image, (_LEFT + 44, top), name, 16, INK)
    return image


def _plot(panel: Panel) -> Image.Image:
    size = _SIDE * _SMOOTH
    image = Image.new("RGB", (size, size), WHITE)
    pen = ImageDraw.Draw(image)
    for tick in panel.across.ticks[1:-1]:
        pen.line([(size * panel.across.share(tick), 0), (size * panel.across.share(tick), size)], MAT, _SMOOTH)
    for tick in panel.up.ticks[1:-1]:
        down = size * (1 - panel.up.share(tick))
        pen.line([(0, down), (size, down)], MAT, _SMOOTH)
    if panel.diagonal:
        pen.line([(0, size), (size, 0)], MUTED, _SMOOTH)
    for curve in sorted(panel.curves, key=lambda one: not one.faint):
        places = [(size * panel.across.share(x), size * (1 - panel.up.share(y))) for x, y in curve.points]
        colour, reach = _shade(curve.colour, curve.faint), (2.5 if curve.faint else 4.5) * _SMOOTH
        pen.line(places, colour, (2 if curve.faint else 3) * _SMOOTH, joint="curve")
        for (x, _), (low, high) in zip(places, curve.spans, strict=False):
            if not curve.faint:
                pen.line([(x, size * (1 - panel.up.share(end))) for end in (low, high)], colour, _SMOOTH)
        for x, y in places:
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    pen.rectangle((0, 0, size - 1, size - 1), outline=MUTED, width=_SMOOTH)
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX)


def _key(image: Image.Image, top: float, colour: Colour, faint: bool) -> None:
    pen, shade = ImageDraw.Draw(image), _shade(colour, faint)
    pen.line([(_LEFT + 2, top + 9), (_LEFT + 34, top + 9)], fill=shade, width=2 if faint else 3)
    reach = 2.5 if faint else 4.5
    pen.ellipse((_LEFT + 18 - reach, top + 9 - reach, _LEFT + 18 + reach, top + 9 + reach), fill=shade)


def _shade(colour: Colour, faint: bool) -> Colour:
    if not faint:
        return colour
    red, green, blue = (round(0.35 * value + 0.65 * paper) for value, paper in zip(colour, WHITE, strict=True))
    return red, green, blue


def _short(value: float) -> str:
    """A number in as few characters as a tick has room for."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _length(words: str, size: int) -> float:
    return float(_font(size).getlength(words))


def _text(
    image: Image.Image, at: tuple[float, float], words: str, size: int, colour: Colour, *, right: bool = False
) -> None:
    left = at[0] - (_length(words, size) if right else 0)
    ImageDraw.Draw(image).text((left, at[1]), words, fill=colour, font=_font(size))
