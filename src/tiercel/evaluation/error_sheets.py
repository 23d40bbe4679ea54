"""Contact sheets of answers: the photo, the map where it was taken, the map where it was looked for, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tiercel.geo import Square
from tiercel.maps import Basemap
from tiercel.photos import Photo

Pose = tuple[float, float, float]
"""Easting and northing in metres, and the azimuth of the photo's centre column in degrees."""
Colour = tuple[int, int, int]

SIDE = 240
"""Pixels along the side of a map, and the height of a photo."""
GROUND_M = 200.0
"""Ground side of a map in metres."""
PHOTO_WIDTH, WORDS_WIDTH, GAP = 480, 400, 8
ON_A_PAGE = 10
TRUTH, ANSWER = (40, 220, 90), (255, 60, 50)
NOT_COVERED = (70, 70, 70)


@dataclass(frozen=True)
class Shown:
    """An answer, ready to be drawn.

    Attributes:
        photo: (SIDE, PHOTO_WIDTH) at most.
        around_truth: (SIDE, SIDE, 3) uint8, the map around the truth.
        around_answer: Likewise around the answer.
        truth: The true pose.
        answer: The answered pose.
        words: Lines, the first of which is the heading.
    """

    photo: Image.Image
    around_truth: NDArray[np.uint8]
    around_answer: NDArray[np.uint8]
    truth: Pose
    answer: Pose
    words: tuple[str, ...]

    @classmethod
    def read(cls, basemap: Basemap, photo: Photo, truth: Pose, answer: Pose, words: tuple[str, ...]) -> Shown:
        """Read the maps around both poses."""
        maps = []
        for x, y, _ in (truth, answer):
            pixels, covered = basemap.read(Square(x, y, GROUND_M), SIDE)
            maps.append(np.where(covered[..., None], pixels, np.array(NOT_COVERED, np.uint8)))
        image = Image.fromarray(photo.pixels)
        image.thumbnail((PHOTO_WIDTH, SIDE), Image.Resampling.LANCZOS)
        return cls(image, maps[0], maps[1], truth, answer, words)


def draw_pages(answers: Iterable[Shown]) -> Iterator[Image.Image]:
    """Sheets of `ON_A_PAGE` answers, one below the other."""
    page: list[Shown] = []
    for one in answers:
        page.append(one)
        if len(page) == ON_A_PAGE:
            yield draw_sheet(page)
            page = []
    if page:
        yield draw_sheet(page)


def draw_sheet(answers: Sequence[Shown]) -> Image.Image:
    """One sheet of answers, one below the other."""
    width = PHOTO_WIDTH + 2 * SIDE + WORDS_WIDTH + 5 * GAP
    sheet = Image.new("RGB", (width, len(answers) * (SIDE + GAP) + GAP), (255, 255, 255))
    for number, one in enumerate(answers):
        top = GAP + number * (SIDE + GAP)
        sheet.paste(one.photo, (GAP + (PHOTO_WIDTH - one.photo.width) // 2, top + (SIDE - one.photo.height) // 2))
        left = PHOTO_WIDTH + 2 * GAP
        sheet.paste(_map(one.around_truth, one.truth, one, "taken here"), (left, top))
        sheet.paste(_map(one.around_answer, one.answer, one, "looked for here"), (left + SIDE + GAP, top))
        _write(ImageDraw.Draw(sheet), (left + 2 * (SIDE + GAP), top), one.words)
    return sheet


def _map(pixels: NDArray[np.uint8], centre: Pose, one: Shown, words: str) -> Image.Image:
    """A map with both poses, as far as they lie in it."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    for pose, colour in ((one.truth, TRUTH), (one.answer, ANSWER)):
        x = (pose[0] - centre[0]) / GROUND_M * SIDE + SIDE / 2
        y = (centre[1] - pose[1]) / GROUND_M * SIDE + SIDE / 2
        if 0 <= x < SIDE and 0 <= y < SIDE:
            _arrow(pen, x, y, pose[2], colour)
    pen.rectangle((0, SIDE - 18, 8 + 7 * len(words), SIDE), fill=(0, 0, 0))
    pen.text((4, SIDE - 16), words, (255, 255, 255), ImageFont.load_default(12))
    return image


def _arrow(pen: ImageDraw.ImageDraw, x: float, y: float, heading: float, colour: Colour) -> None:
    """A dot where the camera stood and an arrow where it looked; no arrow where the heading is not known."""
    if math.isfinite(heading):
        right, down = math.sin(math.radians(heading)), -math.cos(math.radians(heading))
        tip = (x + 34 * right, y + 34 * down)
        wings = [(x + 24 * right + side * 6 * down, y + 24 * down - side * 6 * right) for side in (1, -1)]
        for shade, width in (((0, 0, 0), 5), (colour, 3)):
            pen.line([(x, y), tip], shade, width)
        pen.polygon([tip, *wings], colour, (0, 0, 0))
    pen.ellipse((x - 5, y - 5, x + 5, y + 5), colour, (0, 0, 0))


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], words: Sequence[str]) -> None:
    x, y = at
    for number, line in enumerate(words):
        pen.text(
            (x, y), line, (0, 0, 0) if number == 0 else (70, 70, 70), ImageFont.load_default(16 if number == 0 else 14)
        )
        y += 30 if number == 0 else 24
