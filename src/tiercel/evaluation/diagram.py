"""``python -m tiercel.evaluation.diagram ROWS PICTURE``: reliability and coverage, drawn by Pillow from their rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.reliability import ALL, BINS, RAW, SHARES
from tiercel.evaluation.results import Row, read_rows
from tiercel.fix.picture import INK, MAT, MUTED, PAPER, WHITE, Colour

HUES: tuple[Colour, ...] = ((34, 94, 168), (216, 96, 32), (20, 136, 108), (146, 60, 140))

_SIDE, _GAP, _EDGE, _LINE = 440, 48, 48, 26
_HEAD, _AXIS, _LEFT, _ACROSS = 62, 66, 40, 2
_SMOOTH = 3  # everything but the words is drawn this many times too large and reduced


@dataclass(frozen=True)
class _Curve:
    """One line of a panel, in percent along both axes, with the ends of the 95 % interval of each point."""

    words: str
    colour: Colour
    before: bool
    points: tuple[tuple[float, float], ...]
    spans: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class _Panel:
    title: str
    across: str
    up: str
    curves: tuple[_Curve, ...]


def draw_reliability(rows: Sequence[Row]) -> Image.Image:
    """Four panels: picks among siblings, answers within 50 m, and how much the regions hold; before and after.

    A perfectly honest method stays on the diagonal; below it, it is surer than it should be.

    Args:
        rows: Of a calibration's measurement, see `tiercel.evaluation.reliability`.

    Raises:
        TiercelError: the rows hold neither reliability nor coverage.
    """
    area = next((row.parts[2] for row in rows), "")
    panels = [panel for panel in _panels({row.name: row for row in rows}, area) if panel.curves]
    if not panels:
        raise TiercelError("these rows hold no reliability: measure it by `tiercel evaluate --calibration FILE`.")
    drawn = [_draw(panel) for panel in panels]
    wide, high = drawn[0].width + _GAP, max(one.height for one in drawn) + _GAP
    rows_needed = -(-len(drawn) // _ACROSS)
    across = min(len(drawn), _ACROSS)
    page = Image.new("RGB", (across * wide - _GAP + 2 * _EDGE, rows_needed * high - _GAP + 2 * _EDGE), PAPER)
    for number, one in enumerate(drawn):
        down, right = divmod(number, _ACROSS)
        page.paste(one, (_EDGE + right * wide, _EDGE + down * high))
    return page


def _panels(rows: Mapping[str, Row], area: str) -> list[_Panel]:
    levels = sorted({name.split("/")[3] for name in rows if "/local_level_" in name and not name.endswith(RAW)})
    picks = [(f"level {method.rsplit('_', 1)[1]}", method) for method in levels]
    answers = [("zooming, all leaves", "global_within_50m"), ("the full pipeline", "match_within_50m")]
    held = "truths inside, %"
    return [
        _Panel("Picks among siblings", "probability of the pick, %", "it was right, %", _reliable(rows, area, picks)),
        _Panel(
            "Answers within 50 m", "probability of being within 50 m, %", "it was, %", _reliable(rows, area, answers)
        ),
        _Panel("Regions of the full pipeline", "region that should hold, %", held, _covering(rows, area, "match")),
        _Panel("Regions of zooming", "region that should hold, %", held, _covering(rows, area, "global")),
    ]


def _reliable(rows: Mapping[str, Row], area: str, methods: Sequence[tuple[str, str]]) -> tuple[_Curve, ...]:
    curves = []
    for (words, method), colour in zip(methods, HUES, strict=False):
        for before in (True, False):
            end = f"/{ALL}/{area}/{method}{RAW if before else ''}"
            pairs = [(rows.get(f"predicted_bin_{n}{end}"), rows.get(f"right_bin_{n}{end}")) for n in range(1, BINS + 1)]
            curves.append(_curve(words, colour, before, [(one.value, so) for one, so in pairs if one and so]))
    return tuple(curve for curve in curves if curve.points)


def _covering(rows: Mapping[str, Row], area: str, method: str) -> tuple[_Curve, ...]:
    curves = []
    for query, colour in zip(QUERIES, HUES, strict=True):
        for before in (True, False):
            end = f"/{query.name}/{area}/{method}{RAW if before else ''}"
            pairs = [(float(share), rows.get(f"coverage_{share}{end}")) for share in SHARES]
            curves.append(_curve(query.words, colour, before, [(share, row) for share, row in pairs if row]))
    return tuple(curve for curve in curves if curve.points)


def _curve(words: str, colour: Colour, before: bool, pairs: Sequence[tuple[float | None, Row]]) -> _Curve:
    known = [(at, row) for at, row in pairs if at is not None and row.value is not None]
    points = tuple((at, row.value or 0.0) for at, row in known)
    spans = tuple((row.low or 0.0, row.high or 0.0) for _, row in known)
    return _Curve(words, colour, before, points, spans)


def _draw(panel: _Panel) -> Image.Image:
    names = list(dict.fromkeys((curve.words, curve.colour) for curve in panel.curves))
    image = Image.new("RGB", (_LEFT + _SIDE + 20, _HEAD + _SIDE + _AXIS + _LINE * (len(names) + 1)), PAPER)
    _text(image, (0, 0), panel.title, 24, INK)
    _text(image, (0, 34), panel.up, 16, MUTED)
    image.paste(_plot(panel), (_LEFT, _HEAD))
    for tick in (0, 25, 50, 75, 100):
        at = _SIDE * tick / 100
        _text(image, (_LEFT - 6, _HEAD + _SIDE - at - 9), str(tick), 15, MUTED, right=True)
        _text(image, (_LEFT + at - _length(str(tick), 15) / 2, _HEAD + _SIDE + 6), str(tick), 15, MUTED)
    _text(image, (_LEFT + _SIDE - _length(panel.across, 16), _HEAD + _SIDE + 28), panel.across, 16, MUTED)
    top = _HEAD + _SIDE + _AXIS
    legend = [*((words, colour, False) for words, colour in names), ("the same before calibration", MUTED, True)]
    for row, (words, colour, before) in enumerate(legend):
        _key(image, top + row * _LINE, colour, before)
        _text(image, (_LEFT + 44, top + row * _LINE), words, 16, INK)
    return image


def _plot(panel: _Panel) -> Image.Image:
    size = _SIDE * _SMOOTH
    image = Image.new("RGB", (size, size), WHITE)
    draw = ImageDraw.Draw(image)
    for tick in (25, 50, 75):
        draw.line([(size * tick / 100, 0), (size * tick / 100, size)], fill=MAT, width=_SMOOTH)
        draw.line([(0, size * tick / 100), (size, size * tick / 100)], fill=MAT, width=_SMOOTH)
    draw.line([(0, size), (size, 0)], fill=MUTED, width=_SMOOTH)
    for curve in sorted(panel.curves, key=lambda one: not one.before):
        places = [(size * x / 100, size * (1 - y / 100)) for x, y in curve.points]
        colour = _pale(curve.colour) if curve.before else curve.colour
        draw.line(places, fill=colour, width=(2 if curve.before else 3) * _SMOOTH, joint="curve")
        for (x, y), (low, high) in zip(places, curve.spans, strict=True):
            reach = (2.5 if curve.before else 4.5) * _SMOOTH
            if not curve.before:
                draw.line([(x, size * (1 - low / 100)), (x, size * (1 - high / 100))], fill=colour, width=_SMOOTH)
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    draw.rectangle((0, 0, size - 1, size - 1), outline=MUTED, width=_SMOOTH)
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX)


def _key(image: Image.Image, top: float, colour: Colour, before: bool) -> None:
    draw = ImageDraw.Draw(image)
    shade = _pale(colour) if before else colour
    draw.line([(_LEFT + 2, top + 9), (_LEFT + 34, top + 9)], fill=shade, width=2 if before else 3)
    reach = 2.5 if before else 4.5
    draw.ellipse((_LEFT + 18 - reach, top + 9 - reach, _LEFT + 18 + reach, top + 9 + reach), fill=shade)


def _pale(colour: Colour) -> Colour:
    red, green, blue = (round(0.35 * value + 0.65 * paper) for value, paper in zip(colour, WHITE, strict=True))
    return red, green, blue


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _length(words: str, size: int) -> float:
    return float(_font(size).getlength(words))


def _text(
    image: Image.Image, at: tuple[float, float], words: str, size: int, colour: Colour, *, right: bool = False
) -> None:
    left = at[0] - (_length(words, size) if right else 0)
    ImageDraw.Draw(image).text((left, at[1]), words, fill=colour, font=_font(size))


if __name__ == "__main__":
    draw_reliability(read_rows(Path(sys.argv[1]))).save(Path(sys.argv[2]))
