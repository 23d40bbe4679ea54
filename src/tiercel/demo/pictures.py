"""The pictures of one photo's card."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tiercel.demo.results import Located
from tiercel.fix.picture import PICK, Overhead, Point, draw_candidates, draw_map, draw_steps
from tiercel.geo import Square

Pixels = NDArray[np.uint8]

PHOTO_PIXELS = 640
MAP_PIXELS = 480
CROP_PIXELS = 200
CANDIDATES = 4
CANDIDATE_SIDE_M = 120.0
"""Side of the ground shown around a candidate: about what one sees from the street."""


@dataclass(frozen=True)
class CardPictures:
    """What a card shows; every picture is (height, width, 3) uint8.

    Attributes:
        photo: the photo, made smaller.
        heat: the whole map, lit up where the photo may have been taken, with the truth and the answer marked.
        steps: the squares zoomed through, with the one picked next marked in each.
        candidates: the ground around each candidate.
    """

    photo: Pixels
    heat: Pixels
    steps: list[Pixels]
    candidates: list[Pixels]


def draw(one: Located, overhead: Overhead) -> CardPictures:
    """Draw the pictures of a photo.

    Args:
        one: the photo, its truth and its fix.
        overhead: gives the ground within a square and where it is covered.
    """
    fix, truth = one.fix, (one.x, one.y)
    best, shown = (fix.x, fix.y), fix.candidates[:CANDIDATES]
    steps = [_step(outer, inner, overhead, best, truth) for outer, inner in pairwise(fix.steps)]
    crops = draw_candidates(shown, overhead, CROP_PIXELS, CANDIDATE_SIDE_M, best=best, truth=truth, gap=0)
    return CardPictures(
        photo=_fit(one.photo.pixels, PHOTO_PIXELS),
        heat=np.asarray(draw_map(fix, overhead, MAP_PIXELS, truth)),
        steps=steps,
        candidates=_panels(crops, len(shown)),
    )


def _fit(pixels: Pixels, width: int) -> Pixels:
    image = Image.fromarray(pixels)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _step(outer: Square, inner: Square, overhead: Overhead, best: Point, truth: Point) -> Pixels:
    """A square zoomed through, with the one picked in it."""
    picture = draw_steps([outer], overhead, CROP_PIXELS, best=best, truth=truth).crop((0, 0, CROP_PIXELS, CROP_PIXELS))
    scale = CROP_PIXELS / outer.side
    west, east = ((x - outer.west) * scale for x in (inner.west, inner.east))
    north, south = ((outer.north - y) * scale for y in (inner.north, inner.south))
    ImageDraw.Draw(picture).rectangle((west, north, east, south), outline=PICK, width=3)
    return np.asarray(picture)


def _panels(row: Image.Image, count: int) -> list[Pixels]:
    """Cut a row of squares apart, so that a page may lay them out; the words below them are left behind."""
    side = CROP_PIXELS
    return [np.asarray(row.crop((n * side, 0, (n + 1) * side, side))) for n in range(count)]
