"""Pictures of an answer, drawn with Pillow alone.

`draw_fix` composes the whole figure; its parts (`heat_over`, `draw_map`, `draw_steps`, `draw_candidates`) stand by
themselves for web pages. All return RGB images. An `Overhead` is anything that gives the overhead view of a square:
`Basemap.read`, or a function that reads a stored overview.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tiercel.fix.words import coordinate, direction, metres, percent
from tiercel.geo import Square

if TYPE_CHECKING:
    from tiercel.fix.fix import Candidate, Fix
    from tiercel.photos import Photo

Overhead = Callable[[Square, int], tuple[NDArray[np.uint8], NDArray[np.bool_]]]
"""(square, pixels) -> (pixels, pixels, 3) uint8 RGB and (pixels, pixels) bool covered."""

Colour = tuple[int, int, int]
Point = tuple[float, float]

PAPER: Colour = (250, 249, 246)
INK: Colour = (27, 31, 38)
MUTED: Colour = (112, 117, 126)
MAT: Colour = (235, 233, 227)
PICK: Colour = (255, 176, 32)
TRUTH: Colour = (0, 214, 232)
WHITE: Colour = (255, 255, 255)

_HEAT = np.array(  # position 0..1, then red, green, blue, opacity
    [
        (0.00, 70, 10, 100, 0.00),
        (0.15, 88, 16, 110, 0.35),
        (0.45, 187, 45, 85, 0.62),
        (0.75, 246, 120, 40, 0.78),
        (1.00, 255, 226, 110, 0.90),
    ]
)
_SEAM = 6
_SMOOTH = 3  # lines are drawn this many times too large and reduced
_WIDTH, _EDGE, _GAP = 1600, 48, 32
INNER = _WIDTH - 2 * _EDGE
"""Pixels across a page, between its margins."""


def heat_levels(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities as 0 to 1: 0 where a place is no likelier than chance, 1 at the likeliest, even in the logarithm.

    A heat map that knows nothing (all alike) stays cold: at least a tenfold rise over chance is needed for full heat.

    Args:
        heat: Probabilities of any shape; NaN where nothing is known.
    """
    chance, top = _heat_range(heat)
    values = np.where(np.isfinite(heat) & (heat > 0), heat, chance)
    levels = np.log10(values / chance) / math.log10(top / chance)
    return np.clip(levels, 0, 1).astype(np.float32)


def _heat_range(heat: NDArray[np.floating]) -> tuple[float, float]:
    """The probabilities drawn as cold and as hot."""
    known = heat[np.isfinite(heat)]
    chance = float(known.mean()) if known.size and known.sum() > 0 else 1.0
    return chance, max(float(known.max()) if known.size else 1.0, 10 * chance)


def heat_colours(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(..., 4) uint8 RGBA of levels 0 to 1: from clear through violet and orange to pale yellow."""
    channels = [np.interp(levels, _HEAT[:, 0], _HEAT[:, column]) for column in range(1, 5)]
    channels[3] = channels[3] * 255
    return np.stack(channels, -1).round().astype(np.uint8)


def heat_over(
    overhead: NDArray[np.uint8], heat: NDArray[np.floating], covered: NDArray[np.bool_] | None = None
) -> Image.Image:
    """An overhead view, greyed a little, with a heat map of the same square laid over it.

    Args:
        overhead: (pixels, pixels, 3) uint8 RGB.
        heat: (n, n) probabilities of the cells of the same square, row 0 north; NaN where nothing is known.
        covered: (pixels, pixels) bool; what the map does not show is hatched.
    """
    return _heated(overhead, heat_levels(heat), covered)


def _heated(overhead: NDArray[np.uint8], levels: NDArray[np.float32], covered: NDArray[np.bool_] | None) -> Image.Image:
    size = (overhead.shape[1], overhead.shape[0])
    grey = np.asarray(Image.fromarray(overhead).convert("L"), np.float32)[..., None]
    calm = 0.82 * (0.45 * overhead + 0.55 * grey) + 22
    base = Image.fromarray(_ground(calm.astype(np.uint8), covered))
    level = Image.fromarray((levels * 255).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    cell = size[0] / levels.shape[1]
    if cell > 4:  # softened, yet the cells stay visible
        level = level.filter(ImageFilter.GaussianBlur(min(cell * 0.22, 4)))
    glow = Image.fromarray(heat_colours(np.asarray(level, np.float32) / 255))
    base.paste(glow, (0, 0), glow)
    return base


def draw_map(fix: Fix, overhead: Overhead, pixels: int, truth: Point | None = None) -> Image.Image:
    """The map with its heat, the circles of 50 % and 90 %, the best place, a scale bar and a north arrow.

    Args:
        fix: The answer.
        overhead: Reads the map.
        pixels: Side of the picture.
        truth: Where the photo was taken, metres in the map's frame, if known.
    """
    view, window = _view(fix)
    rgb, covered = overhead(view, pixels)
    sheet = _Sheet(_heated(rgb, heat_levels(fix.heat)[window], covered), view)
    centre = sheet.at(fix.x, fix.y)
    for radius, dashed in ((fix.radius_90_m, True), (fix.radius_50_m, False)):
        length = radius / sheet.metre if math.isfinite(radius) else 0
        dashes = max(10, round(length / 7)) if dashed else 0
        if 5 < length < 2 * pixels:
            sheet.circle(centre, length, INK, 4.5, dashes)
            sheet.circle(centre, length, WHITE, 2.2, dashes)
    if truth is not None:
        _truth_mark(sheet, sheet.at(*truth))
    _best_mark(sheet, centre, fix.heading)
    _scale_bar(sheet)
    _north_arrow(sheet)
    return sheet.done()


def draw_steps(
    steps: Sequence[Square],
    overhead: Overhead,
    pixels: int,
    *,
    best: Point | None = None,
    truth: Point | None = None,
    heat: Sequence[NDArray[np.floating]] = (),
    gap: int = _GAP,
) -> Image.Image:
    """The squares zoomed through in a row, the picked child of each outlined and joined to its enlargement.

    Args:
        steps: Squares, each one a child of the one before; at least one.
        overhead: Reads the map.
        pixels: Side of each square in the picture.
        best: The best place, metres in the map's frame.
        truth: Where the photo was taken, if known.
        heat: For the first squares, (g, g) probabilities of their children, row 0 north, to be laid over them.
        gap: Pixels between the squares.
    """
    row = Image.new("RGB", (len(steps) * (pixels + gap) - gap, pixels + 34), PAPER)
    beams: list[tuple[Point, Point]] = []
    for index, square in enumerate(steps):
        left = index * (pixels + gap)
        rgb, covered = overhead(square, pixels)
        view = heat_over(rgb, heat[index], covered) if index < len(heat) else Image.fromarray(_ground(rgb, covered))
        sheet = _Sheet(view, square)
        if index + 1 < len(steps):
            child = steps[index + 1]
            _grid(sheet, round(square.side / child.side))
            west, north = sheet.at(child.west, child.north)
            east, south = sheet.at(child.east, child.south)
            sheet.box((west, north, east, south), INK, 6)
            sheet.box((west, north, east, south), PICK, 3.5)
            beams += [((left + east, north), (left + pixels + gap, 0)),
                      ((left + east, south), (left + pixels + gap, pixels))]  # fmt: skip
        if truth is not None and _inside(square, truth):
            _truth_mark(sheet, sheet.at(*truth))
        if best is not None and _inside(square, best):
            _best_mark(sheet, sheet.at(*best), None)
        row.paste(sheet.done(), (left, 0))
        _text(row, (left, pixels + 8), f"{metres(square.side)} across", 17, MUTED)
    return _beamed(row, beams)


def draw_candidates(
    candidates: Sequence[Candidate],
    overhead: Overhead,
    pixels: int,
    side: float,
    *,
    best: Point,
    truth: Point | None = None,
    gap: int = 24,
) -> Image.Image:
    """Overhead crops around candidates in a row, with rank, probability and distance to the best place.

    Args:
        candidates: Best first; at least one.
        overhead: Reads the map.
        pixels: Side of each crop in the picture.
        side: Side of each crop on the ground, metres.
        best: The best place, metres in the map's frame.
        truth: Where the photo was taken, if known.
        gap: Pixels between the crops.
    """
    row = Image.new("RGB", (len(candidates) * (pixels + gap) - gap, pixels + 64), PAPER)
    for index, candidate in enumerate(candidates):
        left = index * (pixels + gap)
        square = Square(candidate.x, candidate.y, side)
        rgb, covered = overhead(square, pixels)
        sheet = _Sheet(Image.fromarray(_ground(rgb, covered)), square)
        if truth is not None and _inside(square, truth):
            _truth_mark(sheet, sheet.at(*truth))
        _best_mark(sheet, (pixels / 2, pixels / 2), candidate.heading)
        if index == 0:
            _scale_bar(sheet)
        crop = sheet.done()
        _badge(crop, str(candidate.rank))
        row.paste(crop, (left, 0))
        away = math.hypot(candidate.x - best[0], candidate.y - best[1])
        _text(row, (left, pixels + 8), percent(candidate.probability), 22, INK)
        where = "the best place" if index == 0 and away < 0.05 else f"{metres(away)} from the best"
        if candidate.heading is not None:
            where += f" · looking {direction(candidate.heading)}"
        _text(row, (left, pixels + 38), where, 16, MUTED)
    return row


def draw_photo(photo: Photo, width: int, height: int) -> Image.Image:
    """The photo, as large as fits, centred on a mat of exactly the size asked for."""
    image = Image.fromarray(photo.pixels)
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    mat = Image.new("RGB", (width, height), MAT)
    mat.paste(image.resize(size, Image.Resampling.LANCZOS), ((width - size[0]) // 2, (height - size[1]) // 2))
    return mat


def draw_photos(photos: Sequence[Photo], width: int, height: int) -> Image.Image:
    """Photos side by side in rows, as large as fits, on a mat of exactly the size asked for."""
    mat = Image.new("RGB", (width, height), MAT)
    columns = max(range(1, len(photos) + 1), key=lambda columns: _area(photos, width, height, columns))
    cell = _cell(width, height, columns, math.ceil(len(photos) / columns))
    for index, photo in enumerate(photos):
        row, column = divmod(index, columns)
        mat.paste(draw_photo(photo, *cell), (column * (cell[0] + _SEAM), row * (cell[1] + _SEAM)))
    return mat


def _cell(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    return (width - (columns - 1) * _SEAM) // columns, (height - (rows - 1) * _SEAM) // rows


def _area(photos: Sequence[Photo], width: int, height: int, columns: int) -> float:
    """How much of the mat photos cover that are laid out in so many columns."""
    cell = _cell(width, height, columns, math.ceil(len(photos) / columns))
    covered = 0.0
    for tall, wide in (photo.pixels.shape[:2] for photo in photos):
        covered += min(cell[0] / wide, cell[1] / tall) ** 2 * wide * tall
    return covered


def draw_fix(
    fix: Fix, photo: Photo, overhead: Overhead, truth: Point | None = None, others: Sequence[Photo] = ()
) -> Image.Image:
    """The whole figure: coordinate, photo, map with heat, zoom steps, candidates.

    Args:
        fix: The answer.
        photo: The photo that was located.
        overhead: Reads the map.
        truth: Where the photo was taken, metres in the map's frame, if known.
        others: Photos from the same spot that were located with it.
    """
    map_side, inner = 680, INNER
    left_width, photo_height = inner - _GAP - map_side, 500
    parts = [_headline(fix, inner, truth)]
    top = Image.new("RGB", (inner, map_side), PAPER)
    top.paste(draw_photos([photo, *others], left_width, photo_height), (0, 0))
    top.paste(_legend(fix, photo, left_width, map_side - photo_height, truth), (0, photo_height))
    top.paste(draw_map(fix, overhead, map_side, truth), (left_width + _GAP, 0))
    parts.append(top)
    best = (fix.x, fix.y)
    if fix.steps:
        side = min(352, (inner + _GAP) // len(fix.steps) - _GAP)
        parts.append(titled("Zoom", draw_steps(fix.steps, overhead, side, best=best, truth=truth), inner))
    if fix.candidates:
        shown, ground = fix.candidates[:5], 4 * fix.tree.side(fix.tree.depth)
        row = draw_candidates(shown, overhead, (inner + 24) // 5 - 24, ground, best=best, truth=truth)
        parts.append(titled("Candidates", row, inner))
    return stacked(parts)


def _headline(fix: Fix, width: int, truth: Point | None) -> Image.Image:
    image = Image.new("RGB", (width, 92), PAPER)
    _text(image, (0, 0), coordinate(fix.latitude, fix.longitude), 42, INK)
    words = [f"half of the probability within {metres(fix.radius_50_m)}", f"90 % within {metres(fix.radius_90_m)}"]
    if fix.heading is not None:
        words.append(f"looking {direction(fix.heading)}")
    if truth is not None:
        words.append(f"{metres(fix.distance(*truth))} from where it was taken")
    _text(image, (0, 58), "  ·  ".join(words), 20, MUTED)
    return image


def _legend(fix: Fix, photo: Photo, width: int, height: int, truth: Point | None) -> Image.Image:
    """What the photo knew, and what the marks and colours of the map mean."""
    image = Image.new("RGB", (width, height), PAPER)
    kind = "panorama" if photo.panorama else "photo"
    facts = [f"{kind}, {photo.field_of_view.value:.0f}° wide: {photo.field_of_view.source}", "heading unknown"]
    if photo.heading is not None:
        facts[1] = f"heading {photo.heading.value:.0f}°: {photo.heading.source}"
    more = f" and {len(fix.together)} more from the same spot" if fix.together else ""
    _text(image, (0, 14), _shortened((photo.name or fix.photo) + more, 22, width), 22, INK)
    for line, fact in enumerate(facts):
        _text(image, (0, 44 + 23 * line), _shortened(fact, 17, width), 17, MUTED)
    marks = _Sheet(image, Square(0, 0, 1))
    middle, left = height - 62, 8.0
    entries: list[tuple[str, Callable[[Point], None]]] = [
        ("best place", lambda at: _best_mark(marks, at, None)),
        ("holds 50 %", lambda at: marks.circle(at, 9, INK, 2)),
        ("holds 90 %", lambda at: marks.circle(at, 9, INK, 2, 6)),
    ]
    if truth is not None:
        entries.append(("where it was taken", lambda at: _truth_mark(marks, at)))
    labels = []
    for name, draw in entries:
        draw((left + 4, middle))
        labels.append((left + 22, name))
        left += 22 + _font(17).getlength(name) + 36
    image = marks.done()
    for at, name in labels:
        _text(image, (at, middle - 10), name, 17, INK)
    _heat_bar(image, fix, height - 26)
    return image


def _heat_bar(image: Image.Image, fix: Fix, top: int) -> None:
    """The colours of the heat and the probabilities they stand for, on one line."""
    chance, hottest = _heat_range(fix.heat)
    length, left = 260, 0.0
    leaf = fix.tree.side(fix.tree.depth)
    for part in ("chance, " + percent(chance), "", f"{percent(hottest)} a cell of {metres(leaf)}"):
        if part:
            _text(image, (left, top), part, 17, INK)
            left += _font(17).getlength(part) + 14
            continue
        ramp = heat_colours(np.tile(np.linspace(0, 1, length, dtype=np.float32), (16, 1)))
        bar = Image.new("RGB", (length, 16), (126, 128, 126))
        glow = Image.fromarray(ramp)
        bar.paste(glow, (0, 0), glow)
        image.paste(bar, (round(left), top + 3))
        left += length + 14


def titled(title: str, row: Image.Image, width: int) -> Image.Image:
    """A row of a page, `width` pixels wide, under its title."""
    image = Image.new("RGB", (width, row.height + 40), PAPER)
    _text(image, (0, 0), title, 24, INK)
    image.paste(row, (0, 40))
    return image


def stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """A page of parts, one below the other."""
    page = Image.new("RGB", (_WIDTH, sum(part.height + _GAP for part in parts) - _GAP + 2 * _EDGE), PAPER)
    top = _EDGE
    for part in parts:
        page.paste(part, (_EDGE, top))
        top += part.height + _GAP
    return page


def _view(fix: Fix) -> tuple[Square, tuple[slice, slice]]:
    """The smallest square of leaves around what the map shows, and where it lies in the heat map."""
    count, leaf, root = fix.heat.shape[0], fix.tree.side(fix.tree.depth), fix.tree.root
    rows, cols = np.nonzero(np.isfinite(fix.heat))
    if rows.size == 0:
        return root, (slice(None), slice(None))
    size = int(min(count, max(np.ptp(rows), np.ptp(cols)) + 3))
    top = int(np.clip((rows.min() + rows.max() + 1 - size) // 2, 0, count - size))
    left = int(np.clip((cols.min() + cols.max() + 1 - size) // 2, 0, count - size))
    square = Square(root.west + (left + size / 2) * leaf, root.north - (top + size / 2) * leaf, size * leaf)
    return square, (slice(top, top + size), slice(left, left + size))


def _ground(rgb: NDArray[np.uint8], covered: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The view with what the map does not show hatched, so that nobody takes it for dark ground."""
    if covered is None or covered.all():
        return rgb
    stripe: NDArray[np.bool_] = np.add.outer(np.arange(covered.shape[0]), np.arange(covered.shape[1])) % 14 < 2
    hatch = np.where(stripe[..., None], np.uint8(205), np.array(MAT, np.uint8))
    return np.where(covered[..., None], rgb, hatch)


def _inside(square: Square, point: Point) -> bool:
    return bool(square.contains(*point))


class _Sheet:
    """A picture of a square of ground, with smooth lines laid over it."""

    def __init__(self, image: Image.Image, square: Square) -> None:
        self.image, self.square = image, square
        self.metre = square.side / image.width  # metres a pixel
        self.layer = Image.new("RGBA", (image.width * _SMOOTH, image.height * _SMOOTH), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.layer)
        self.words: list[tuple[Point, str, int, Colour]] = []

    def at(self, x: float, y: float) -> Point:
        """Pixel of a place, from the upper left corner."""
        return (x - self.square.west) / self.metre, (self.square.north - y) / self.metre

    def circle(self, at: Point, radius: float, colour: Colour, width: float, dashes: int = 0) -> None:
        outer = radius + width / 2  # Pillow draws outlines inwards
        box = [value * _SMOOTH for value in (at[0] - outer, at[1] - outer, at[0] + outer, at[1] + outer)]
        stroke = round(width * _SMOOTH)
        if not dashes:
            self.draw.ellipse(box, outline=colour, width=stroke)
        for index in range(dashes):
            start = 360 * index / dashes
            self.draw.arc(box, start, start + 220 / dashes, fill=colour, width=stroke)

    def disc(self, at: Point, radius: float, colour: Colour) -> None:
        self.draw.ellipse(
            [value * _SMOOTH for value in (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)],
            fill=colour,
        )

    def box(self, corners: tuple[float, float, float, float], colour: Colour, width: float) -> None:
        grown = width / 2
        west, north, east, south = corners
        outer = (west - grown, north - grown, east + grown, south + grown)
        self.draw.rectangle([value * _SMOOTH for value in outer], outline=colour, width=round(width * _SMOOTH))

    def line(self, start: Point, end: Point, colour: tuple[int, ...], width: float) -> None:
        self.draw.line([value * _SMOOTH for value in (*start, *end)], fill=colour, width=round(width * _SMOOTH))

    def polygon(self, points: Sequence[Point], colour: tuple[int, ...]) -> None:
        self.draw.polygon([(x * _SMOOTH, y * _SMOOTH) for x, y in points], fill=colour)

    def pill(self, corners: tuple[float, float, float, float]) -> None:
        self.draw.rounded_rectangle([value * _SMOOTH for value in corners], 7 * _SMOOTH, fill=(*INK, 190))

    def write(self, at: Point, words: str, size: int, colour: Colour) -> None:
        self.words.append((at, words, size, colour))

    def done(self) -> Image.Image:
        smooth = self.layer.resize(self.image.size, Image.Resampling.BOX)
        self.image.paste(smooth, (0, 0), smooth)
        for at, words, size, colour in self.words:
            _text(self.image, at, words, size, colour)
        return self.image


def _best_mark(sheet: _Sheet, at: Point, heading: float | None) -> None:
    """A white ring around an orange disc, with a wedge in the direction of view."""
    if heading is not None:
        left, right = (math.radians(heading + turn) for turn in (-24, 24))
        reach = 34.0
        tips = [(at[0] + reach * math.sin(angle), at[1] - reach * math.cos(angle)) for angle in (left, right)]
        sheet.polygon([at, *tips], (*PICK, 150))
        for tip in tips:
            sheet.line(at, tip, (*WHITE, 230), 1.6)
    sheet.disc(at, 8.5, INK)
    sheet.disc(at, 7.2, WHITE)
    sheet.disc(at, 4.6, (236, 88, 24))


def _truth_mark(sheet: _Sheet, at: Point) -> None:
    """A cyan cross with dark edges."""
    for colour, width, reach in ((INK, 6.0, 9.5), (TRUTH, 3.2, 8.0)):
        for sign in (1, -1):
            sheet.line((at[0] - reach, at[1] - sign * reach), (at[0] + reach, at[1] + sign * reach), colour, width)


def _grid(sheet: _Sheet, cells: int) -> None:
    size = sheet.image.width
    for index in range(1, cells):
        along = size * index / cells
        sheet.line((along, 0), (along, size), (*WHITE, 110), 1)
        sheet.line((0, along), (size, along), (*WHITE, 110), 1)


def _scale_bar(sheet: _Sheet) -> None:
    """A round length of about a quarter of the picture, lower left."""
    size = sheet.image.width
    length = _round_length(sheet.square.side / 4)
    pixels = length / sheet.metre
    label = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    bottom = size - 14
    sheet.pill((12, bottom - 38, 12 + pixels + 24, bottom))
    for start, end in (
        ((24, bottom - 10), (24 + pixels, bottom - 10)),
        ((24, bottom - 15), (24, bottom - 9)),
        ((24 + pixels, bottom - 15), (24 + pixels, bottom - 9)),
    ):
        sheet.line(start, end, WHITE, 2)
    sheet.write((24 + pixels / 2 - _font(15).getlength(label) / 2, bottom - 34), label, 15, WHITE)


def _round_length(about: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is at most `about`."""
    scale: float = 10.0 ** math.floor(math.log10(about))
    return next(step * scale for step in (5, 2, 1) if step * scale <= about)


def _north_arrow(sheet: _Sheet) -> None:
    right, top = sheet.image.width - 34, 14
    sheet.pill((right - 20, top, right + 20, top + 62))
    sheet.polygon([(right, top + 7), (right + 9, top + 33), (right, top + 27)], WHITE)
    sheet.polygon([(right, top + 7), (right - 9, top + 33), (right, top + 27)], (176, 180, 188))
    sheet.write((right - _font(18).getlength("N") / 2, top + 36), "N", 18, WHITE)


def _badge(image: Image.Image, words: str) -> None:
    badge = _Sheet(image, Square(0, 0, 1))
    badge.pill((10, 10, 44, 44))
    badge.write((27 - _font(20).getlength(words) / 2, 15), words, 20, WHITE)
    badge.done()


def _beamed(row: Image.Image, beams: Sequence[tuple[Point, Point]]) -> Image.Image:
    """Lines from each picked child to its enlargement."""
    sheet = _Sheet(row, Square(0, 0, 1))
    for start, end in beams:
        sheet.line(start, end, (*PICK, 235), 1.8)
    return sheet.done()


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(image: Image.Image, at: Point, words: str, size: int, colour: Colour) -> None:
    ImageDraw.Draw(image).text(at, _drawable(words), fill=colour, font=_font(size))


def _drawable(words: str) -> str:
    """The words in the letters that Pillow's own font has: Latin without accents."""
    plain = unicodedata.normalize("NFKD", words.replace("°", "\0"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("\0", "°")
    return "".join(letter if letter < "\x7f" or letter in "°·±" else "?" for letter in plain)


def _shortened(words: str, size: int, width: float) -> str:
    """The words cut in the middle where they are too long for the width."""
    font = _font(size)
    while len(words) > 8 and font.getlength(_drawable(words)) > width:
        middle = len(words) // 2
        words = words[: middle - 2].rstrip(".") + "..." + words[middle + 2 :].lstrip(".")
    return words
