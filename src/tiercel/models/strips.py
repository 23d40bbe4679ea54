"""Photo strips: any photo resampled to what it says about each direction around the camera.

A strip is a piece of a cylinder around the camera. Its columns run clockwise at equal steps of azimuth; its rows are
at equal steps of the tangent of elevation, from ``+vertical_tangent`` down to ``-vertical_tangent``, so that vertical
edges stay straight and the horizon lies in the middle. A panorama fills all columns; an ordinary photo fills some, and
its edges bend: a mask says what the photo saw. The pinhole model is x = f tan(azimuth) and
y = f tan(elevation) / cos(azimuth).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.models.config import ModelConfig

EDGE_SOFTNESS = 1e-6
"""Keeps the last bin from being added for a rounding error, in bins."""


@dataclass(frozen=True)
class Strip:
    """A photo as columns of azimuth.

    Attributes:
        pixels: (rows, columns, 4) uint8; RGB, and 255 where the photo saw something. The columns fill whole azimuth
            bins.
        left_deg: Azimuth of the left edge less that of the photo's centre column, in degrees.
        heading: Azimuth of the photo's centre column, degrees clockwise from north; None when unknown. When it is
            known, the left edge lies on the edge of an azimuth bin.
        around: Whether the strip goes once around the horizon.
    """

    pixels: NDArray[np.uint8]
    left_deg: float
    heading: float | None
    around: bool


def photo_strip(
    pixels: NDArray[np.uint8],
    *,
    panorama: bool,
    field_of_view: float,
    heading: float | None,
    config: ModelConfig,
    seen_rows: tuple[int, int] | None = None,
) -> Strip:
    """Resample a photo to a strip.

    Args:
        pixels: (H, W, 3) uint8, upright.
        panorama: Equirectangular over `field_of_view` degrees with the horizon in the middle row; else a pinhole photo.
        field_of_view: Horizontal field of view in degrees.
        heading: Azimuth of the centre column in degrees clockwise from north; None when unknown.
        config: Sizes of the strip.
        seen_rows: First row that the camera saw and the first below that it did not, where others are padding.

    Returns:
        The strip. With a heading its columns lie on the model's azimuth bins.
    """
    around = field_of_view >= 360.0 - config.bin_deg
    centre = 0.0 if heading is None else heading
    if around:
        left, bins = (0.0 if heading is not None else -180.0), config.headings
    else:
        left, right = centre - field_of_view / 2, centre + field_of_view / 2
        if heading is not None:
            left = math.floor(left / config.bin_deg + EDGE_SOFTNESS) * config.bin_deg
        bins = min(config.headings, math.ceil((right - left) / config.bin_deg - EDGE_SOFTNESS))
    columns = bins * config.columns_per_heading
    azimuth = left + (np.arange(columns) + 0.5) * config.bin_deg / config.columns_per_heading
    rows = config.strip_height
    tangent = config.vertical_tangent * (1.0 - (np.arange(rows) + 0.5) * 2.0 / rows)
    relative = (azimuth - centre + 180.0) % 360.0 - 180.0
    sample = _equirectangular_coordinates if panorama else _pinhole_coordinates
    x, y = sample(relative, tangent, pixels.shape[1], pixels.shape[0], field_of_view)
    density = config.columns_per_heading / config.bin_deg * field_of_view
    resampled = _resample(pixels, x, y, density, wrap=panorama and field_of_view >= 360.0)
    top, bottom = seen_rows or (0, len(pixels))
    resampled[(y < top - 0.5) | (y > bottom - 0.5)] = 0
    return Strip(resampled, left - centre, heading, around)


Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]


def _equirectangular_coordinates(
    relative: NDArray[np.float64], tangent: NDArray[np.float64], width: int, height: int, field_of_view: float
) -> Coordinates:
    """Pixel coordinates (rows, columns) in a panorama; elevation is linear in the row, with square pixels."""
    x = (relative / field_of_view + 0.5) * width - 0.5
    degrees_per_pixel = field_of_view / width
    y = height / 2 - np.degrees(np.arctan(tangent)) / degrees_per_pixel - 0.5
    x, y = np.broadcast_arrays(x[None, :], y[:, None])
    return x, y


def _pinhole_coordinates(
    relative: NDArray[np.float64], tangent: NDArray[np.float64], width: int, height: int, field_of_view: float
) -> Coordinates:
    """Pixel coordinates (rows, columns) in a pinhole photo; NaN behind the camera."""
    focal = width / 2 / math.tan(math.radians(min(field_of_view, 179.0)) / 2)
    angle = np.radians(relative)
    ahead = np.abs(relative) < 89.0
    safe = np.where(ahead, angle, 0.0)
    x = np.where(ahead, focal * np.tan(safe) + width / 2 - 0.5, np.nan)
    y = height / 2 - 0.5 - focal * tangent[:, None] / np.cos(safe)[None, :]
    return np.broadcast_to(x[None, :], y.shape), y


def _resample(
    pixels: NDArray[np.uint8], x: NDArray[np.float64], y: NDArray[np.float64], density: float, wrap: bool
) -> NDArray[np.uint8]:
    """Bilinear samples at (x, y) after shrinking to about the strip's own density, so that nothing aliases."""
    height, width = pixels.shape[:2]
    shrink = max(1.0, width / (2.0 * density))
    small_width, small_height = max(2, round(width / shrink)), max(2, round(height / shrink))
    small = np.asarray(Image.fromarray(pixels).resize((small_width, small_height), Image.Resampling.BOX), np.float32)
    x = (x + 0.5) * small_width / width - 0.5
    y = (y + 0.5) * small_height / height - 0.5
    seen = np.isfinite(x) & (y > -0.5) & (y < small_height - 0.5)
    if not wrap:
        seen &= (x > -0.5) & (x < small_width - 0.5)
    x, y = np.where(np.isfinite(x), x, 0.0), np.clip(y, 0, small_height - 1)
    left, top = np.floor(x).astype(np.int64), np.minimum(np.floor(y).astype(np.int64), small_height - 2)
    fx, fy = (x - left)[..., None].astype(np.float32), (y - top)[..., None].astype(np.float32)
    if wrap:
        right, left = (left + 1) % small_width, left % small_width
    else:
        left, right = np.clip(left, 0, small_width - 1), np.clip(left + 1, 0, small_width - 1)
    upper = small[top, left] * (1 - fx) + small[top, right] * fx
    lower = small[top + 1, left] * (1 - fx) + small[top + 1, right] * fx
    colour = np.where(seen[..., None], upper * (1 - fy) + lower * fy, 0.0)
    return np.dstack([colour + 0.5, np.where(seen, 255, 0)]).astype(np.uint8)
