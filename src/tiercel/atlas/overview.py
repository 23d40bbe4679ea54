"""A small picture of the whole map, kept with the atlas so that answers can be drawn without the map."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.geo import Square

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FILE = "overview.png"
#: Side in pixels; a map of 2 km then has a metre a pixel.
PIXELS = 2048


def to_png(rgb: Rgb, covered: Mask) -> bytes:
    """A picture with its coverage as the alpha channel.

    Args:
        rgb: (n, n, 3) uint8.
        covered: (n, n) bool.
    """
    buffer = io.BytesIO()
    rgba = np.dstack([rgb, np.where(covered, 255, 0).astype(np.uint8)])
    # Fast: the file is a small part of an atlas.
    Image.fromarray(rgba).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def crop(picture: Image.Image, ground: Square, square: Square, pixels: int) -> tuple[Rgb, Mask]:
    """Reads a square from a picture, like `Basemap.read`.

    Args:
        picture: RGBA picture with coverage as its alpha channel.
        ground: The square that the picture shows.
        square: The square wanted; may reach beyond the picture.
        pixels: Pixels a side of the result.

    Returns:
        (pixels, pixels, 3) uint8, black where not covered, and (pixels, pixels) bool of what is covered.
    """
    scale = picture.width / ground.side
    left, upper = (square.west - ground.west) * scale, (ground.north - square.north) * scale
    side = square.side * scale
    # Whole pixels with some to spare, transparent outside the picture; then resampled to the exact square.
    west, north = math.floor(left) - 2, math.floor(upper) - 2
    part = picture.crop((west, north, math.ceil(left + side) + 2, math.ceil(upper + side) + 2))
    box = (left - west, upper - north, left - west + side, upper - north + side)
    # Like `Basemap.read`: averaged where the picture is finer than asked, interpolated where it is coarser.
    filter_ = Image.Resampling.BOX if side >= pixels else Image.Resampling.BILINEAR
    rgba = np.asarray(part.resize((pixels, pixels), filter_, box=box))
    covered = rgba[..., 3] >= 128
    return np.where(covered[..., None], rgba[..., :3], 0).astype(np.uint8), covered
