"""A data set of pairs in one picture: photos beside their tiles with their places marked, and where all of them are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tiercel.datasets.curation.pictures import font, shortened, write
from tiercel.datasets.pairs.near import plane
from tiercel.datasets.pairs.pairs import PairDataset, PairQuery, PairSplit, Place, Reference
from tiercel.datasets.pairs.vigor import TILE_PIXELS
from tiercel.errors import TiercelError
from tiercel.fix.picture import INK, MAT, MUTED, PAPER, WHITE, Colour
from tiercel.photos.write import replacing

SHOWN = 6
"""Photos on the sheet."""

PLACE: Colour = (255, 176, 32)
LABEL: Colour = (0, 214, 232)
COLOURS: tuple[Colour, ...] = ((44, 123, 229), (255, 140, 0), (200, 30, 60), (110, 80, 190), (40, 150, 90))
"""Of the splits, in their order."""

_WIDTH, _EDGE, _GAP = 1480, 28, 12
_PHOTO, _TILE, _CAPTION, _LEGEND = 456, 228, 40, 30
_FILTER = Image.Resampling.LANCZOS
_MAPS = 4
_EMPTY = 0.1  # share of all ground that lies empty between two maps
_SMOOTH = 2

Doubles = NDArray[np.float64]


def plot(dataset: PairDataset, path: str | Path) -> None:
    """Draws a data set: some of its photos, each beside its positive and its semi-positives, and a map of all places.

    A ring marks where coordinates put the camera in a tile, a cross where labels put it. Pictures that are missing are
    left out.

    Args:
        dataset: Any data set of pairs.
        path: PNG or JPEG; its folder exists.

    Raises:
        TiercelError: No split has a whole pair, a picture is damaged, or the file cannot be written.
    """
    path = _picture(path)
    splits = _readable(dataset)
    sheet, maps = _contact_sheet(splits), _maps(splits)
    image = Image.new("RGB", (_WIDTH, 84 + sheet.height + maps.height), PAPER)
    write(image, (_EDGE, 20), dataset.name, 26, INK)
    counts = " · ".join(f"{split.name}: {_counted(len(split.queries), len(split.gallery))}" for split in splits)
    write(image, (_EDGE, 54), counts, 16, MUTED)
    image.paste(sheet, (0, 84))
    image.paste(maps, (0, 84 + sheet.height))
    save(image, path)


def save(image: Image.Image, path: str | Path) -> None:
    """Writes a picture as its name says, whole or not at all.

    Raises:
        TiercelError: The name ends in neither .png nor .jpg, or the file cannot be written.
    """
    path = _picture(path)
    with replacing(path) as part:
        image.save(part, "PNG" if path.suffix.lower() == ".png" else "JPEG", quality=88)


def _picture(path: str | Path) -> Path:
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise TiercelError(f"{path} would be a picture: end its name in .png or .jpg.")
    return Path(path)


def _readable(dataset: PairDataset) -> list[PairSplit]:
    """The splits that can be read, without what is missing."""
    splits, errors = [], []
    for name in dataset.splits:
        try:
            splits.append(dataset.split(name, missing="skip"))
        except TiercelError as error:
            errors.append(error)
    drawn = [split for split in splits if split.queries]
    if not drawn:
        raise errors[0] if errors else TiercelError(f"{dataset.folder} has no photos: there is nothing to draw.")
    return drawn


def place_in_tile(query: PairQuery, tile: Reference) -> Place | None:
    """Where a camera is in a tile by their coordinates, as shares of the tile's side below and right of its centre.

    None where coordinates or the tile's side are not known; a camera at the centre needs no side.
    """
    known = query.latitude, query.longitude, tile.latitude, tile.longitude
    if None in known:
        return None
    latitude, longitude, above, beside = (float(value) for value in known if value is not None)
    x, y = plane([latitude, above], [longitude, beside], above)
    down, right = float(y[1] - y[0]), float(x[0] - x[1])
    if math.hypot(down, right) < 0.01:
        return 0.0, 0.0
    return None if tile.side_m is None else (down / tile.side_m, right / tile.side_m)


def _contact_sheet(splits: Sequence[PairSplit]) -> Image.Image:
    """Photos from all splits in turn, each with its tiles."""
    shown = _chosen(splits)
    abreast = 1 if any(query.semi_positives for _, query in shown) else 2
    cells = [_cell(split, query) for split, query in shown]
    height = cells[0].height
    sheet = Image.new("RGB", (_WIDTH, _LEGEND + math.ceil(len(cells) / abreast) * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _ring(draw, (_EDGE + 8, 12), 7)
    write(sheet, (_EDGE + 24, 3), "the photo's place by coordinates", 15, MUTED)
    if any(query.places for _, query in shown):
        _cross(draw, (_EDGE + 290, 12), 7)
        write(sheet, (_EDGE + 306, 3), "by the labels", 15, MUTED)
    for number, cell in enumerate(cells):
        row, column = divmod(number, abreast)
        sheet.paste(cell, (_EDGE + column * (_PHOTO + _TILE + 2 * _GAP), _LEGEND + row * height))
    return sheet


def _chosen(splits: Sequence[PairSplit]) -> list[tuple[PairSplit, PairQuery]]:
    """Photos from all splits in turn, spread over each."""
    shares = [range(number, SHOWN, len(splits)) for number in range(len(splits))]
    chosen = []
    for split, turns in zip(splits, shares, strict=True):
        few = min(len(turns), len(split.queries))
        chosen += [(turns[index], split, split.queries[index * len(split.queries) // few]) for index in range(few)]
    return [(split, query) for _, split, query in sorted(chosen, key=lambda one: one[0])]


def _cell(split: PairSplit, query: PairQuery) -> Image.Image:
    """A photo, its positive, and up to three semi-positives."""
    shown = (query.positive, *query.semi_positives[:3])
    cell = Image.new("RGB", (_PHOTO + len(shown) * (_TILE + _GAP), _TILE + _CAPTION + _GAP), PAPER)
    cell.paste(_fitted(query.file), (0, 0))
    looks = "heading unknown" if query.heading is None else f"heading {query.heading:.0f}°"
    write(cell, (0, _TILE + 4), shortened(query.name, 14, _PHOTO), 14, INK)
    write(cell, (0, _TILE + 20), f"{split.name} · {looks} · view {query.field_of_view:.0f}°", 13, MUTED)
    for number, index in enumerate(shown):
        left = _PHOTO + _GAP + number * (_TILE + _GAP)
        tile, label = split.gallery[index], query.places[number] if query.places else None
        cell.paste(_tile(query, tile, label), (left, 0))
        more = len(query.semi_positives) - 3
        rest = f" (and {more} more)" if number == 3 and more > 0 else ""
        kind = "positive" if number == 0 else f"semi-positive{rest}"
        write(cell, (left, _TILE + 4), shortened(tile.name, 14, _TILE), 14, INK)
        write(cell, (left, _TILE + 20), f"{kind} · {_ground(tile)}", 13, MUTED)
    return cell


def _ground(tile: Reference) -> str:
    return "side unknown" if tile.side_m is None else f"{tile.side_m:.0f} m"


def _opened(file: Path, side: int) -> Image.Image:
    """A picture, no smaller than is needed."""
    try:
        with Image.open(file) as image:
            image.draft("RGB", (side, side))
            return image.convert("RGB")
    except Exception as error:  # whatever a broken file makes the decoder raise
        raise TiercelError(f"{file} is damaged ({error}): copy it again from its source.") from error


def _fitted(file: Path) -> Image.Image:
    """A photo fitted into its cell."""
    cell, photo = Image.new("RGB", (_PHOTO, _TILE), MAT), _opened(file, 2 * _PHOTO)
    shrink = min(_PHOTO / photo.width, _TILE / photo.height)
    small = photo.resize((max(1, round(photo.width * shrink)), max(1, round(photo.height * shrink))), _FILTER)
    cell.paste(small, ((_PHOTO - small.width) // 2, (_TILE - small.height) // 2))
    return cell


def _tile(query: PairQuery, tile: Reference, label: Place | None) -> Image.Image:
    """A tile with the camera's place, by coordinates and by labels."""
    cell = _opened(tile.file, 2 * _TILE).resize((_TILE, _TILE), _FILTER)
    draw = ImageDraw.Draw(cell)
    marks = ((place_in_tile(query, tile), _ring), (label and (label[0] / TILE_PIXELS, label[1] / TILE_PIXELS), _cross))
    for share, mark in marks:
        if share is not None and max(abs(share[0]), abs(share[1])) <= 0.5:
            mark(draw, (_TILE * (0.5 + share[1]), _TILE * (0.5 + share[0])), 8)
    return cell


def _ring(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float) -> None:
    x, y = at
    for extra, colour, width in ((1.5, INK, 6), (0.0, PLACE, 3)):
        reach = radius + extra
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=width)


def _cross(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float) -> None:
    x, y = at
    for colour, width in ((INK, 5), (LABEL, 2)):
        draw.line((x - radius, y, x + radius, y), fill=colour, width=width)
        draw.line((x, y - radius, x, y + radius), fill=colour, width=width)


@dataclass(frozen=True)
class _Ground:
    """Places in one map, metres east and north.

    Attributes:
        tiles: (n, 2) centres.
        sides: (n,) of the tiles, metres, NaN where unknown.
        photos: (m, 2).
        split: (m,) index of each photo's split.
    """

    tiles: Doubles
    sides: Doubles
    photos: Doubles
    split: NDArray[np.int64]

    def within(self, axis: int, low: float, high: float) -> _Ground:
        """What lies in a strip."""
        tiles = (self.tiles[:, axis] >= low) & (self.tiles[:, axis] <= high)
        photos = (self.photos[:, axis] >= low) & (self.photos[:, axis] <= high)
        return _Ground(self.tiles[tiles], self.sides[tiles], self.photos[photos], self.split[photos])

    @property
    def box(self) -> tuple[Doubles, float]:
        """South-western corner and side of the square around everything."""
        every = np.concatenate([self.tiles, self.photos])
        low, high = every.min(axis=0), every.max(axis=0)
        side = max(float((high - low).max()) * 1.08, 60.0) + float(np.nanmax(self.sides, initial=0.0))
        return (low + high - side) / 2, side


def _maps(splits: Sequence[PairSplit]) -> Image.Image:
    """A map for each patch of ground with photos coloured by split, or a sentence where there are no positions."""
    places = _places(splits)
    if places is None:
        strip = Image.new("RGB", (_WIDTH, 60), PAPER)
        write(strip, (_EDGE, 16), "This data set has no positions to draw a map of.", 18, MUTED)
        return strip
    grounds = _patches(places)
    side = (_WIDTH - 2 * _EDGE - (_MAPS - 1) * _GAP) // _MAPS if len(grounds) > 1 else 700
    strip = Image.new("RGB", (_WIDTH, side + 110), PAPER)
    left = _EDGE
    for number, split in enumerate(splits):
        ImageDraw.Draw(strip).ellipse((left, 14, left + 14, 28), fill=COLOURS[number % len(COLOURS)])
        words = f"{split.name}: {_counted(len(split.queries))}"
        write(strip, (left + 20, 10), words, 17, INK)
        left += 50 + int(font(17).getlength(words))
    write(strip, (left, 10), "grey: tiles", 17, MUTED)
    for number, ground in enumerate(grounds):
        _paste_map(strip, ground, (_EDGE + number * (side + _GAP), 42), side)
    return strip


def _places(splits: Sequence[PairSplit]) -> _Ground | None:
    tiles = {
        tile.file: (tile.latitude, tile.longitude, math.nan if tile.side_m is None else tile.side_m)
        for split in splits for tile in split.gallery if tile.latitude is not None
    }  # fmt: skip
    photos = [
        (query.latitude, query.longitude, number)
        for number, split in enumerate(splits) for query in split.queries if query.latitude is not None
    ]  # fmt: skip
    if not tiles and not photos:
        return None
    above, below = (np.array(list(rows), np.float64).reshape(-1, 3) for rows in (tiles.values(), photos))
    middle = float(np.median(np.concatenate([above[:, 0], below[:, 0]])))
    return _Ground(
        np.column_stack(plane(above[:, 0], above[:, 1], middle)), above[:, 2],
        np.column_stack(plane(below[:, 0], below[:, 1], middle)), below[:, 2].astype(np.int64),
    )  # fmt: skip


def _patches(ground: _Ground) -> list[_Ground]:
    """The ground cut where wide strips of it are empty, in four at most, the one with most photos first."""
    patches = [ground]
    extent = ground.box[1]
    while len(patches) < _MAPS:
        cuts = [(*_gap(patch), index) for index, patch in enumerate(patches)]
        width, axis, at, index = max(cuts)
        if width < _EMPTY * extent:
            break
        patch = patches.pop(index)
        patches += [patch.within(axis, -math.inf, at), patch.within(axis, at, math.inf)]
    return sorted(patches, key=lambda patch: -len(patch.photos))


def _gap(ground: _Ground) -> tuple[float, int, float]:
    """The widest empty strip: its width, its axis, and its middle."""
    every = np.concatenate([ground.tiles, ground.photos])
    best = (0.0, 0, 0.0)
    for axis in (0, 1):
        values = np.unique(every[:, axis])
        if len(values) > 1:
            steps = np.diff(values)
            widest = int(steps.argmax())
            best = max(best, (float(steps[widest]), axis, float(values[widest] + steps[widest] / 2)))
    return best


def _paste_map(strip: Image.Image, ground: _Ground, at: tuple[int, int], side: int) -> None:
    """One map with its scale."""
    corner, extent = ground.box
    pixels = side * _SMOOTH
    image = Image.new("RGB", (pixels, pixels), WHITE)
    draw = ImageDraw.Draw(image)

    def point(place: Doubles) -> tuple[float, float]:
        share = (place - corner) / extent
        return float(share[0]) * pixels, float(1 - share[1]) * pixels

    for centre, width in zip(ground.tiles, ground.sides, strict=True):
        x, y = point(centre)
        if width / extent * pixels > 12:  # and is known
            reach = width / 2 / extent * pixels
            draw.rectangle((x - reach, y - reach, x + reach, y + reach), outline=(214, 211, 203), width=_SMOOTH)
        draw.rectangle((x - 2, y - 2, x + 1, y + 1), fill=(190, 187, 180))
    radius = _SMOOTH * float(np.clip(60 / math.sqrt(max(1, len(ground.photos))), 1.5, 5))
    order = np.argsort(-np.bincount(ground.split)[ground.split], kind="stable")  # the rarest on top
    for place, split in zip(ground.photos[order], ground.split[order].tolist(), strict=True):
        x, y = point(place)
        colour = COLOURS[split % len(COLOURS)]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=WHITE, width=_SMOOTH)
    strip.paste(image.resize((side, side), Image.Resampling.BOX), at)
    length = 10 ** math.floor(math.log10(extent / 3))
    length *= max(step for step in (1, 2, 5) if length * step <= extent / 3)
    words = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    low = at[1] + side + 14
    ImageDraw.Draw(strip).line((at[0], low, at[0] + length / extent * side, low), fill=INK, width=3)
    write(strip, (at[0], low + 6), words, 15, INK)
    write(strip, (at[0] + 90, low + 6), _counted(len(ground.photos), len(ground.tiles)), 15, MUTED)


def _counted(photos: int, tiles: int | None = None) -> str:
    """Numbers of photos and tiles, in words."""
    numbers = [(photos, "photo")] + ([(tiles, "tile")] if tiles is not None else [])
    return ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in numbers)
