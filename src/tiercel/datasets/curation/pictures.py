"""Two pictures to look at before trusting a benchmark: what was kept and dropped, and where it lies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tiercel.datasets.curation.choosing import REASONS, Fate
from tiercel.datasets.curation.splitting import LEFT_OUT, Block, Box
from tiercel.fix.picture import INK, MAT, MUTED, PAPER, Colour
from tiercel.photos.write import replacing

SHOWN_KEPT = 32
"""Photos that stay, on the contact sheet."""

SHOWN_DROPPED = 16
"""Photos on it for each reason to drop some."""

TRAIN: Colour = (44, 123, 229)
VALIDATION: Colour = (255, 140, 0)
DROPPED: Colour = (200, 30, 60)
STATES: dict[str, tuple[str, Colour]] = {
    "dropped": ("dropped", DROPPED),
    LEFT_OUT: ("left out between the two", (120, 120, 125)),
    "photo": ("photos", TRAIN),
    "train": ("training", TRAIN),
    "val": ("validation", VALIDATION),
}
"""What photos are for, in the order in which they are drawn, each over the one before."""

_COLUMNS, _CELL, _PICTURE, _GAP, _EDGE = 8, 196, 132, 10, 28
_MAP = 1200
_SMOOTH = 2  # the map's marks are drawn so many times too large and reduced


def contact_sheet(fates: Sequence[Fate], splits: dict[str, str], title: str) -> Image.Image:
    """A sample of the photos that stay, and of those that are dropped, reason by reason.

    Args:
        fates: All photos.
        splits: The split of every photo that stays, by its name in the benchmark.
        title: What to write above.
    """
    kept = [fate for fate in fates if fate.kept]
    groups = [("kept", kept, SHOWN_KEPT)]
    for reason in REASONS:
        members = [fate for fate in fates if fate.reasons[:1] == (reason,)]
        groups.append((reason, members, SHOWN_DROPPED))
    groups = [group for group in groups if group[1]]
    heights = [_section_height(min(len(members), most)) for _, members, most in groups]
    width = 2 * _EDGE + _COLUMNS * _CELL + (_COLUMNS - 1) * _GAP
    sheet = Image.new("RGB", (width, 2 * _EDGE + 44 + sum(heights)), PAPER)
    write(sheet, (_EDGE, _EDGE - 6), title, 24, INK)
    top = _EDGE + 44
    for (name, members, most), height in zip(groups, heights, strict=True):
        _section(sheet, top, name, members, most, splits)
        top += height
    return sheet


def coverage_map(
    overhead: NDArray[np.uint8],
    places: Sequence[tuple[float, float, str]],
    blocks: Sequence[Block],
    side: float,
    title: str,
) -> Image.Image:
    """The map of a benchmark with its photos, coloured by split, and the blocks of the split.

    Args:
        overhead: (n, n, 3) uint8 RGB of the root square.
        places: For every photo, shares of the square from its north-western corner, east and south, and "train", "val",
            "left out" or "dropped".
        blocks: Of the split, none for one that is not by block.
        side: Of the root square, metres.
        title: What to write above.
    """
    view = _window(places)
    picture = _calm(overhead, view)
    layer = Image.new("RGBA", (_MAP * _SMOOTH, _MAP * _SMOOTH))
    draw = ImageDraw.Draw(layer)
    for block in blocks:
        corners = [*_at(block.box[0], block.box[1], view), *_at(block.box[2], block.box[3], view)]
        colour = VALIDATION if block.split == "val" else TRAIN
        draw.rectangle(corners, fill=(*colour, 60 if block.split == "val" else 26), outline=(*colour, 170), width=2)
    radius = _SMOOTH * float(np.clip(90 / math.sqrt(max(1, len(places))), 2.5, 6))
    for east, south, split in sorted(places, key=lambda place: list(STATES).index(place[2])):
        _dot(draw, _at(east, south, view), radius, split)
    smooth = layer.resize((_MAP, _MAP), Image.Resampling.BOX)
    picture.paste(smooth, (0, 0), smooth)
    return _framed(picture, places, side * (view[2] - view[0]), title)


def save(image: Image.Image, path: Path) -> None:
    """Writes a picture as a JPEG, whole or not at all."""
    with replacing(path) as part:
        image.save(part, "JPEG", quality=88)


def _section_height(count: int) -> int:
    rows = math.ceil(count / _COLUMNS)
    return 44 + rows * (_PICTURE + 44 + _GAP)


def _section(
    sheet: Image.Image, top: int, name: str, members: Sequence[Fate], most: int, splits: dict[str, str]
) -> None:
    shown = [members[index * len(members) // min(len(members), most)] for index in range(min(len(members), most))]
    some = f" ({len(shown)} of them shown)" if len(shown) < len(members) else ""
    write(sheet, (_EDGE, top + 8), f"{name}: {len(members):,}{some}", 18, TRAIN if name == "kept" else DROPPED)
    for index, fate in enumerate(shown):
        row, column = divmod(index, _COLUMNS)
        at = (_EDGE + column * (_CELL + _GAP), top + 40 + row * (_PICTURE + 44 + _GAP))
        sheet.paste(_thumbnail(fate.listed.file), at)
        label = fate.image_id if fate.kept else fate.listed.name.rpartition("/")[2]
        write(sheet, (at[0], at[1] + _PICTURE + 4), shortened(label, 13, _CELL), 13, INK)
        under = _numbers(fate, splits) if fate.kept else _why(fate)
        write(sheet, (at[0], at[1] + _PICTURE + 21), shortened(under, 12, _CELL), 12, MUTED)


def _numbers(fate: Fate, splits: dict[str, str]) -> str:
    measures = fate.examined.measures
    blur = f" · blur {measures.blur:.2f} · light {measures.brightness:.2f}" if measures else ""
    return f"{STATES[splits[fate.image_id]][0]}{blur}"


def _why(fate: Fate) -> str:
    """A few words below a dropped photo: the number behind the reason, and the other reasons."""
    measures = fate.examined.measures
    numbers = {} if measures is None else {
        "dark": f"light {measures.brightness:.2f}",
        "blurred": f"blur {measures.blur:.2f}",
        "sky only": f"sky {measures.sky:.2f}",
        "obstructed": f"hidden {measures.obstruction:.2f}",
        "indoors": f"bare above {measures.ceiling:.2f}",
    }  # fmt: skip
    first = numbers.get(fate.reasons[0])
    also = f"also {', '.join(fate.reasons[1:])}" if len(fate.reasons) > 1 else ""
    words = fate.words.removeprefix(f"{fate.listed.file} ").removeprefix("It shows the ")
    return " · ".join(part for part in (first, also) if part) or words


def _thumbnail(path: Path) -> Image.Image:
    """A photo shrunk to a cell, or a crossed cell where there is none to be seen."""
    cell = Image.new("RGB", (_CELL, _PICTURE), MAT)
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * _CELL, 2 * _PICTURE))
            small = image.convert("RGB")
        small.thumbnail((_CELL, _PICTURE), Image.Resampling.LANCZOS)
    except Exception:  # whatever a broken file makes the decoder raise
        draw = ImageDraw.Draw(cell)
        draw.line((0, 0, _CELL, _PICTURE), fill=MUTED, width=1)
        draw.line((0, _PICTURE, _CELL, 0), fill=MUTED, width=1)
        return cell
    cell.paste(small, ((_CELL - small.width) // 2, (_PICTURE - small.height) // 2))
    return cell


def _window(places: Sequence[tuple[float, float, str]]) -> Box:
    """The part of the root square to show: all photos in it and some ground around them, as a square."""
    inside = [(east, south) for east, south, _ in places if 0 <= east <= 1 and 0 <= south <= 1]
    if not inside:
        return (0.0, 0.0, 1.0, 1.0)
    low, high = np.min(inside, 0), np.max(inside, 0)
    side = min(1.0, max(0.05, float((high - low).max()) * 1.16))
    west, north = (float(np.clip((low[a] + high[a] - side) / 2, 0, 1 - side)) for a in (0, 1))
    return (west, north, west + side, north + side)


def _at(east: float, south: float, view: Box) -> tuple[float, float]:
    """Place of a point on the layer, pixels."""
    scale = _MAP * _SMOOTH / (view[2] - view[0])
    return (east - view[0]) * scale, (south - view[1]) * scale


def _calm(overhead: NDArray[np.uint8], view: Box) -> Image.Image:
    """The part of the map that is shown, greyed so that colours stand out."""
    side = len(overhead)
    part = (view[0] * side, view[1] * side, view[2] * side, view[3] * side)
    image = Image.fromarray(overhead).resize((_MAP, _MAP), Image.Resampling.LANCZOS, box=part)
    rgb = np.asarray(image, np.float32)
    grey = rgb.mean(-1, keepdims=True)
    return Image.fromarray(np.asarray(0.75 * (0.4 * rgb + 0.6 * grey) + 40, np.uint8))


def _dot(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float, split: str) -> None:
    x, y = at
    if split == "dropped":
        reach = radius * 0.8
        draw.line((x - reach, y - reach, x + reach, y + reach), fill=DROPPED, width=_SMOOTH * 2)
        draw.line((x - reach, y + reach, x + reach, y - reach), fill=DROPPED, width=_SMOOTH * 2)
        return
    colour = STATES[split][1]
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(255, 255, 255), width=_SMOOTH)


def _framed(picture: Image.Image, places: Sequence[tuple[float, float, str]], side: float, title: str) -> Image.Image:
    """The map with a title, a legend and a scale bar."""
    sheet = Image.new("RGB", (_MAP + 2 * _EDGE, _MAP + 2 * _EDGE + 92), PAPER)
    sheet.paste(picture, (_EDGE, _EDGE + 44))
    write(sheet, (_EDGE, _EDGE - 4), title, 24, INK)
    counts = Counter(split for _, _, split in places)
    draw = ImageDraw.Draw(sheet)
    left, middle = _EDGE, _MAP + 2 * _EDGE + 62
    for split in [split for split in reversed(STATES) if counts[split]]:
        _dot(draw, (left + 8, middle), 7, split)
        text = f"{STATES[split][0]}: {counts[split]:,}"
        write(sheet, (left + 24, middle - 11), text, 18, INK)
        left += 60 + int(font(18).getlength(text))
    length = 10 ** math.floor(math.log10(side / 4))
    length *= max(step for step in (1, 2, 5) if length * step <= side / 4)
    pixels = length / side * _MAP
    right = _EDGE + _MAP
    draw.line((right - pixels, middle + 8, right, middle + 8), fill=INK, width=4)
    words = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    write(sheet, (right - pixels / 2 - font(16).getlength(words) / 2, middle - 16), words, 16, INK)
    return sheet


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all words, at a size in pixels."""
    return ImageFont.load_default(size)


def write(image: Image.Image, at: tuple[float, float], words: str, size: int, colour: Colour) -> None:
    """Writes words into a picture, their upper left corner at a place; letters that the font lacks become "?"."""
    plain = "".join(letter if letter < "\x7f" or letter in "°·±" else "?" for letter in words)
    ImageDraw.Draw(image).text(at, plain, fill=colour, font=font(size))


def shortened(words: str, size: int, width: float) -> str:
    """The words cut to a width, with dots where they were cut."""
    letters = font(size)
    if letters.getlength(words) <= width:
        return words
    while words and letters.getlength(words + "...") > width:
        words = words[:-1]
    return words + "..."
