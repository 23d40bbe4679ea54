"""What a model sees: the photo and the candidates as pictures, each with a sentence that says what it shows.

Nothing of a photo is ever cropped away. A panorama is shown whole, padded to a square, split into halves one above the
other, or, like any other photo, as a strip of the whole horizon with black where the camera did not look. Candidates
are shown north up at one scale, with a north arrow and a wedge for the camera's heading if these are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.photos import Photo
from tiercel.photos.decode import BACKDROP
from tiercel.rerank.backends.backend import Picture, Request

Pixels = NDArray[np.uint8]
PhotoStyle = Literal["padded", "split", "whole", "strip"]

_GREY = (BACKDROP, BACKDROP, BACKDROP)
_MARK = (255, 60, 40)
_GAP = 8
"""Pixels between the tiles of a collage."""


@dataclass(frozen=True)
class View:
    """How pictures are made.

    Attributes:
        photo: How the photo is shown: ``padded`` to a square with grey; a panorama ``split`` into a left and a right
            half, one above the other, other photos padded; ``whole``, in its own shape; or as a ``strip`` of the whole
            horizon (see `strip`).
        photo_pixels: Its longer side.
        crop_m: Side of the ground that a candidate's crop shows, metres: cut down to where the picture shows more, grey
            around it where it shows less; the whole picture where it does not say how much.
        crop_pixels: Side of a candidate's crop.
        north_arrow: Whether an arrow marks north on the crops.
        heading_wedge: Whether a wedge marks what the camera saw, on crops of photos whose heading is known.
        collage: Whether all pictures of a question are put into one.
    """

    photo: PhotoStyle = "padded"
    photo_pixels: int = 672
    crop_m: float | None = None
    crop_pixels: int = 336
    north_arrow: bool = False
    heading_wedge: bool = False
    collage: bool = False

    def of_photo(self, query: CandidateList) -> Picture:
        """The photo.

        Raises:
            TiercelError: It cannot be read.
        """
        return _photo(self, query.query, query.panorama, query.field_of_view, query.heading)

    def of_candidate(self, query: CandidateList, candidate: Candidate) -> Picture:
        """A candidate's crop.

        Raises:
            TiercelError: It has none, or it cannot be read.
        """
        if candidate.crop is None:
            raise TiercelError(
                f"A candidate of {query.query} has no picture: run tiercel retrieve again with --crops DIR."
            )
        wedge = (
            (query.heading, query.field_of_view or 360.0) if self.heading_wedge and query.heading is not None else None
        )
        return _crop(self, candidate.crop, candidate.crop_m, wedge)

    def photo_words(self, query: CandidateList) -> str:
        """What the picture of the photo shows, in a sentence or two."""
        kind = (
            "a panorama of the whole horizon"
            if query.panorama and (query.field_of_view or 360.0) >= 359.0
            else f"a photo with a horizontal field of view of {query.field_of_view or 70.0:.0f} degrees"
        )
        return f"It is {kind}{self._layout(query)}. {self._direction(query)}"

    def _layout(self, query: CandidateList) -> str:
        if self.photo == "strip":
            return ", laid out along a strip of the whole horizon, black where the camera did not look"
        if self.photo == "split" and query.panorama:
            return ", its left half above its right half"
        return ""

    def _direction(self, query: CandidateList) -> str:
        if query.heading is None:
            return "It is not known which way the camera looked."
        if self.photo == "strip":
            return "The left edge of the strip is north, and directions run clockwise to the right."
        return f"The middle of the photo looks {_compass(query.heading)} ({query.heading:.0f} degrees from north)."

    def candidate_words(self, candidate: Candidate) -> str:
        """What a crop shows, in a sentence."""
        side = self.crop_m if self.crop_m and candidate.crop_m else candidate.crop_m
        return f"North is up, and it shows {side:.0f} metres of ground from side to side." if side else "North is up."


SMALL_VIEW = View(photo="strip", photo_pixels=320, crop_m=156.25, crop_pixels=320)
"""How the small model of `tiercel.models.judge` is shown photos and candidates."""


def _compass(heading: float) -> str:
    names = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
    return names[round(heading / 45.0) % 8]


@lru_cache(maxsize=64)
def _photo(
    view: View, file: Path, panorama: bool | None, field_of_view: float | None, heading: float | None
) -> Picture:
    photo = Photo.open(file, panorama=panorama, field_of_view=field_of_view)
    if view.photo == "strip":
        return Picture(strip(photo, heading, view.photo_pixels))
    pixels = photo.pixels[photo.seen_rows[0] : photo.seen_rows[1]] if view.photo == "whole" else photo.pixels
    if view.photo == "split" and photo.panorama:
        middle = pixels.shape[1] // 2
        pixels = np.concatenate([pixels[:, :middle], pixels[:, middle : 2 * middle]])
    fitted = _fitted(pixels, view.photo_pixels)
    return Picture(fitted if view.photo == "whole" else padded(fitted))


@lru_cache(maxsize=512)
def _crop(view: View, file: Path, shown_m: float | None, wedge: tuple[float, float] | None) -> Picture:
    try:
        with Image.open(file) as image:
            crop = image.convert("RGB")
    except (OSError, ValueError) as error:
        raise TiercelError(
            f"{file} cannot be read as a picture of a candidate ({error}): make the crops anew."
        ) from None
    part = view.crop_m / shown_m if view.crop_m and shown_m else 1.0
    if part < 1:
        (width, height), inset = crop.size, (1 - part) / 2
        left, top = round(width * inset), round(height * inset)
        crop = crop.crop((left, top, width - left, height - top))
    fitted = padded(_fitted(np.asarray(crop), round(view.crop_pixels / max(1.0, part))))
    crop = Image.fromarray(padded(fitted, view.crop_pixels))
    if wedge is not None:
        _draw_wedge(crop, *wedge)
    if view.north_arrow:
        _draw_north(crop)
    return Picture(np.asarray(crop))


def _fitted(pixels: Pixels, side: int) -> Pixels:
    """A picture with its longer side scaled to a length."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def padded(pixels: Pixels, side: int = 0) -> Pixels:
    """A picture in the middle of a grey square, of its longer side unless it is to be larger."""
    height, width = pixels.shape[:2]
    side = max(height, width, side)
    square = np.full((side, side, 3), BACKDROP, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


STRIP_COLUMNS, STRIP_ROWS = 256, 64
"""Of the whole horizon, and from 38 degrees above it to 38 below: the shape that the bundled model's photos have."""
RIBBON_ROWS = 8
"""Of the ribbon above a strip, which is there where the left edge is north."""


def strip(photo: Photo, heading: float | None, side: int) -> Pixels:
    """A photo laid out along the horizon, in the middle of a black square.

    256 columns are the whole horizon. Where the heading is known, the left edge is north, directions run clockwise, and
    a ribbon above the strip says so: white, with a mark at each quarter. Else the photo's centre is in the middle.
    What the camera did not see is black, and nothing that it saw is.

    Args:
        photo: The photo.
        heading: Azimuth of its centre column, degrees clockwise from north; None if unknown.
        side: Of the square; at least 256.

    Returns:
        (side, side, 3) uint8.
    """
    from tiercel.models.config import ModelConfig
    from tiercel.models.strips import photo_strip

    laid = photo_strip(
        photo.pixels,
        panorama=photo.panorama,
        field_of_view=photo.field_of_view.value,
        heading=heading,
        config=ModelConfig(strip_height=STRIP_ROWS),
        seen_rows=photo.seen_rows,
    )
    seen = laid.pixels[..., 3:] > 0
    pixels = np.where(seen, np.maximum(laid.pixels[..., :3], 1), 0).astype(np.uint8)
    count = pixels.shape[1]
    if heading is None:
        first = (STRIP_COLUMNS - count) // 2
    else:
        first = round((heading + laid.left_deg) % 360.0 / 360.0 * STRIP_COLUMNS)
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - STRIP_ROWS) // 2, (side - STRIP_COLUMNS) // 2
    columns = left + (first + np.arange(count)) % STRIP_COLUMNS
    square[top : top + STRIP_ROWS, columns] = pixels
    if heading is not None:
        ribbon = square[top - RIBBON_ROWS : top, left : left + STRIP_COLUMNS]
        ribbon[:] = 255
        for quarter in range(4):
            ribbon[:, quarter * STRIP_COLUMNS // 4 : quarter * STRIP_COLUMNS // 4 + (6 if quarter == 0 else 2)] = _MARK
    return square


def _draw_north(crop: Image.Image) -> None:
    """An arrow in the top right corner."""
    side = crop.width
    draw, size = ImageDraw.Draw(crop), side * 0.09
    x, y = side - size, size * 0.35
    arrow = [(x, y), (x - size * 0.35, y + size), (x, y + size * 0.75), (x + size * 0.35, y + size)]
    draw.polygon(arrow, fill=_MARK, outline="white")
    draw.text((x, y + size * 1.1), "N", fill=_MARK, anchor="ma", font=ImageFont.load_default(size * 0.8))


def _draw_wedge(crop: Image.Image, heading: float, field_of_view: float) -> None:
    """The edges of what the camera saw, had it stood in the middle; of a panorama, a line ahead."""
    draw, middle = ImageDraw.Draw(crop), crop.width / 2
    reach = crop.width * 0.45
    around = field_of_view >= 359.0
    for azimuth in (heading,) if around else (heading - field_of_view / 2, heading + field_of_view / 2):
        angle = math.radians(azimuth)
        end = (middle + reach * math.sin(angle), middle - reach * math.cos(angle))
        draw.line([(middle, middle), end], fill=_MARK, width=max(2, crop.width // 160))


def collage(pictures: Sequence[Picture], names: Sequence[str]) -> Picture:
    """Pictures beside one another, each with its name above it: for models that take one picture in a question."""
    height = max(len(one.pixels) for one in pictures)
    label = max(18, height // 14)
    font = ImageFont.load_default(label * 0.8)
    width = sum(one.pixels.shape[1] for one in pictures) + _GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height + label), _GREY)
    draw, left = ImageDraw.Draw(sheet), 0
    for one, name in zip(pictures, names, strict=True):
        tall, wide = one.pixels.shape[:2]
        sheet.paste(Image.fromarray(one.pixels), (left, label + (height - tall) // 2))
        draw.text((left + wide / 2, label / 2), name, fill="white", anchor="mm", font=font)
        left += wide + _GAP
    return Picture(np.asarray(sheet))


_PAGE = 1100
_MARGIN = 16


def picture_of(request: Request, answer: str = "") -> Pixels:
    """Exactly what was sent, on one page: the texts and pictures in their order, and the answer below them.

    Pictures stand pixel by pixel as they were sent; the page is as wide as the widest of them, at least 1,100 pixels.
    """
    font = ImageFont.load_default(16)
    width = max([_PAGE, *(one.pixels.shape[1] + 2 * _MARGIN for one in request.pictures)])
    blocks: list[Image.Image] = []
    for turn in request.turns:
        blocks.append(_text_block(f"[{turn.role}]", width, font, (90, 110, 150)))
        for part in turn.parts:
            block = Image.fromarray(part.pixels) if isinstance(part, Picture) else None
            blocks.append(block or _text_block(str(part), width, font, (20, 20, 20)))
    if request.choices:
        wanted = "next-token log-probabilities of: " + ", ".join(request.choices)
        blocks.append(_text_block(wanted, width, font, (90, 110, 150)))
    if answer:
        blocks.append(_text_block(f"[answer] {answer}", width, font, (150, 60, 20)))
    page = Image.new("RGB", (width, sum(one.height + _GAP for one in blocks) + _MARGIN), "white")
    top = _MARGIN // 2
    for block in blocks:
        page.paste(block, (_MARGIN, top))
        top += block.height + _GAP
    return np.asarray(page)


def _text_block(
    text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, colour: tuple[int, int, int]
) -> Image.Image:
    """A text with its lines wrapped."""
    import textwrap

    per_line = (width - 2 * _MARGIN) // 9
    lines = [line for part in text.splitlines() or [""] for line in textwrap.wrap(part, per_line) or [""]]
    block = Image.new("RGB", (width - 2 * _MARGIN, 22 * len(lines)), "white")
    draw = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        draw.text((0, 22 * number), line, fill=colour, font=font)
    return block
