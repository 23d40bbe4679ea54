"""Photos that show the same from the same place: of each such group the sharpest stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 32  # pixels of the picture that is hashed
_KEPT = 16  # of the lowest frequencies along either axis

HASH_BYTES = _KEPT * _KEPT // 8


def perceptual_hash(pixels: NDArray[np.uint8]) -> bytes:
    """256 bits that stay nearly the same when a photo is shrunk, recompressed or made a little brighter.

    The signs, about their median, of the 16 x 16 lowest coefficients of the discrete cosine transform of the photo
    shrunk to 32 x 32 grey pixels.

    Args:
        pixels: (height, width, 3) uint8.
    """
    small = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=4.0)
    place = np.arange(_SIDE)
    waves = np.cos(np.pi * np.outer(np.arange(_KEPT), place + 0.5) / _SIDE)
    low = waves @ np.asarray(small, np.float64) @ waves.T
    low[0, 0] = np.median(low)  # the mean brightness says nothing about what is seen
    return np.packbits(low > np.median(low)).tobytes()


@dataclass(frozen=True)
class Seen:
    """A photo to compare with others.

    Attributes:
        x: Easting, metres.
        y: Northing, metres.
        heading: Degrees, None if unknown.
        blur: The lower, the rather it stays.
        look: Of `perceptual_hash`.
        digest: Of the file's bytes.
    """

    x: float
    y: float
    heading: float | None
    blur: float
    look: bytes
    digest: str


def near_duplicates(photos: Sequence[Seen], distance: float, turn: float, difference: float) -> dict[int, int]:
    """Which photos repeat which others.

    Args:
        photos: In any order.
        distance: Metres within which two photos may be duplicates.
        turn: Degrees between their headings likewise; a photo of unknown heading may look anywhere.
        difference: Share of the hash's bits in which they may differ.

    Returns:
        The index of every photo that repeats another, and the index of that other, which stays. Files that are equal
        byte for byte are duplicates wherever they are said to be from.
    """
    repeats: dict[int, int] = {}
    kept: dict[tuple[int, int], list[int]] = defaultdict(list)
    files: dict[str, int] = {}
    looks = np.array([np.frombuffer(photo.look, np.uint8) for photo in photos]).reshape(len(photos), HASH_BYTES)
    cell = max(distance, 0.1)
    for index in sorted(range(len(photos)), key=lambda one: (photos[one].blur, one)):
        photo = photos[index]
        column, row = int(photo.x // cell), int(photo.y // cell)
        near = [one for i in (-1, 0, 1) for j in (-1, 0, 1) for one in kept.get((column + i, row + j), ())]
        near = [one for one in near if _near(photos[one], photo, distance, turn)]
        bits = np.bitwise_count(looks[near] ^ looks[index]).sum(1) if near else np.zeros(0)
        if photo.digest in files:
            repeats[index] = files[photo.digest]
        elif len(bits) and bits.min() <= difference * HASH_BYTES * 8:
            repeats[index] = near[int(bits.argmin())]
        else:
            kept[column, row].append(index)
            files[photo.digest] = index
    return repeats


def _near(one: Seen, other: Seen, distance: float, turn: float) -> bool:
    if np.hypot(one.x - other.x, one.y - other.y) > distance:
        return False
    if one.heading is None or other.heading is None:
        return True
    return abs((one.heading - other.heading + 180) % 360 - 180) <= turn
