"""Which tiles are near which photos, for galleries too large to compare all with all."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.geo.sphere import EARTH_RADIUS_M

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_ALL_AT_ONCE = 4_000_000  # distances


def metres_per_pixel(latitude: float, zoom: int) -> float:
    """Ground size of a pixel of a web map at zoom level `zoom`, metres.

    2 pi R cos(latitude) / (256 * 2^zoom) on the sphere of web mercator, as Google and Bing divide the world into tiles
    of 256 pixels.
    """
    return 2.0 * math.pi * EARTH_RADIUS_M * math.cos(math.radians(latitude)) / (256.0 * 2.0**zoom)


def plane(latitude: ArrayLike, longitude: ArrayLike, middle: float) -> tuple[Doubles, Doubles]:
    """Metres east and north on a plane whose scale is right at one latitude.

    A kilometre from there, distances are off by a hundredth of a percent; a degree away by one or two percent.

    Args:
        latitude: Degrees.
        longitude: Degrees.
        middle: The latitude where the scale is right, degrees.
    """
    scale = math.radians(1) * EARTH_RADIUS_M
    north = np.asarray(latitude, np.float64) * scale
    return np.asarray(longitude, np.float64) * (scale * math.cos(math.radians(middle))), north


def near(x: Doubles, y: Doubles, to_x: Doubles, to_y: Doubles, reach: float) -> list[Indices]:
    """For every place the indices of those others that lie at most `reach` away along each axis, in order.

    Args:
        x: (n,) metres east.
        y: (n,) metres north.
        to_x: (m,) of the others.
        to_y: (m,) likewise.
        reach: Metres.
    """
    order = np.argsort(to_y, kind="stable")
    low = np.searchsorted(to_y[order], y - reach, "left")
    high = np.searchsorted(to_y[order], y + reach, "right")
    found = []
    for place in range(len(x)):
        band = order[low[place] : high[place]]
        found.append(np.sort(band[np.abs(to_x[band] - x[place]) <= reach]))
    return found


def nearest(x: Doubles, y: Doubles, to_x: Doubles, to_y: Doubles) -> Indices:
    """(n,) for every place the index of the nearest of others, the first of equals; arguments as in `near`."""
    step = max(1, _ALL_AT_ONCE // max(1, len(to_x)))
    best = [
        np.argmin((x[i : i + step, None] - to_x) ** 2 + (y[i : i + step, None] - to_y) ** 2, axis=1)
        for i in range(0, len(x), step)
    ]
    return np.concatenate(best) if best else np.zeros(0, np.int64)
