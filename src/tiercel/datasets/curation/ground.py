"""Which ground a benchmark covers: where the map shows any, and the square around the photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.datasets.justzoomin import Division
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.geo.sphere import EARTH_RADIUS_M
from tiercel.maps import Basemap

BRANCHING = 4
"""Cells along a side of a square, as published."""

LEAF = 39.0625
"""Side of a leaf cell, metres, as published."""

MOST_DEPTH = 8
"""Picks at which the published leaf makes a square of 2,560 km."""

_MOST_PIXELS = 2048  # of the mask of covered ground
_HALF = 0.5  # share of the ground around a photo that the map has to show

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Cover:
    """Where a map shows ground.

    Attributes:
        square: The ground looked at, in the map's frame.
        sums: (pixels + 1, pixels + 1) covered pixels above and to the left of every corner.
    """

    square: Square
    sums: NDArray[np.int64]

    def share(self, x: ArrayLike, y: ArrayLike, side: float) -> Doubles:
        """Share of the squares around places that the map shows, 0 to 1.

        Args:
            x: Eastings, metres.
            y: Northings, metres.
            side: Of the squares, metres.
        """
        pixels = len(self.sums) - 1
        pitch = self.square.side / pixels
        half = max(side / pitch / 2, 0.5)
        column = (np.asarray(x, np.float64) - self.square.west) / pitch
        row = (self.square.north - np.asarray(y, np.float64)) / pitch
        left, right = (np.clip(np.rint(column + end), 0, pixels).astype(int) for end in (-half, half))
        top, low = (np.clip(np.rint(row + end), 0, pixels).astype(int) for end in (-half, half))
        covered = self.sums[low, right] - self.sums[top, right] - self.sums[low, left] + self.sums[top, left]
        return np.asarray(covered / (2 * half) ** 2)


def cover(basemap: Basemap, x: Doubles, y: Doubles, leaf: float) -> Cover | None:
    """Where a map shows ground around photos; None if none of them lies within its bounds.

    Args:
        basemap: The map.
        x: Eastings of the photos, metres in the map's frame.
        y: Northings.
        leaf: Side of a leaf, metres: what is looked at around each.
    """
    west, south, east, north = basemap.bounds
    inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    if not inside.any():
        return None
    x, y = x[inside], y[inside]
    side = max(float(np.ptp(x)), float(np.ptp(y))) + 4 * leaf
    square = Square(float(x.min() + x.max()) / 2, float(y.min() + y.max()) / 2, side)
    pixels = int(np.clip(math.ceil(side / (leaf / 8)), 64, _MOST_PIXELS))
    _, covered = basemap.read(square, pixels)
    sums = np.zeros((pixels + 1, pixels + 1), np.int64)
    sums[1:, 1:] = covered.cumsum(0).cumsum(1)
    return Cover(square, sums)


def on_map(basemap: Basemap, latitude: Doubles, longitude: Doubles, leaf: float) -> NDArray[np.bool_]:
    """Which photos stand on ground that the map shows: half of the leaf-sized square around them, at least."""
    x, y = basemap.frame.from_wgs84(latitude, longitude)
    known = np.isfinite(x) & np.isfinite(y)
    shown = cover(basemap, x[known], y[known], leaf) if known.any() else None
    result = np.zeros(len(x), np.bool_)
    if shown is not None:
        result[known] = shown.share(x[known], y[known], leaf) >= _HALF
    return result


def choose_division(
    basemap: Basemap,
    latitude: Doubles,
    longitude: Doubles,
    leaf: float = LEAF,
    depth: int | None = None,
    centre: tuple[float, float] | None = None,
    attribution: str = "",
) -> Division:
    """The square of a benchmark: the smallest that holds all photos, on as much of the map as it can be.

    Args:
        basemap: The map.
        latitude: Of the photos, degrees; there is one at least.
        longitude: Degrees.
        leaf: Side of a leaf, metres.
        depth: Picks from the root to a leaf, so that the side is leaf x 4 ** depth; the fewest that do unless given.
        centre: Latitude and longitude of the square's centre; chosen unless given.
        attribution: See `Division`.

    Raises:
        TiercelError: The photos lie too far apart.
    """
    # On the sphere that the published labels are reckoned on, not in the map's frame, whose north may be another.
    origin = (float(latitude.min() + latitude.max()) / 2, float(longitude.min() + longitude.max()) / 2)
    x, y = _metres(origin, latitude, longitude)
    low, high = (float(x.min()) - leaf, float(y.min()) - leaf), (float(x.max()) + leaf, float(y.max()) + leaf)
    if centre is None:
        reach = max(high[0] - low[0], high[1] - low[1])
    else:
        about = _metres(origin, np.array(centre[0]), np.array(centre[1]))
        reach = 2 * max(max(high[axis] - float(about[axis]), float(about[axis]) - low[axis]) for axis in (0, 1))
    side = leaf * BRANCHING ** (depth or _fewest_picks(reach, leaf))
    if centre is None:
        map_low, map_high = _extent(basemap, origin)
        east, north = (_middle(low[a], high[a], map_low[a], map_high[a], side) for a in (0, 1))
        centre = _degrees(origin, east, north)
    picks = round(math.log(side / leaf, BRANCHING))
    return Division(
        latitude=round(centre[0], 9), longitude=round(centre[1], 9), side_m=side, branching=BRANCHING, depth=picks,
        attribution=attribution,
    )  # fmt: skip


def reach(latitude: Doubles, longitude: Doubles, leaf: float) -> float:
    """Side of the smallest square that holds photos with a leaf around them, metres."""
    x, y = _metres((float(latitude.mean()), float(longitude.mean())), latitude, longitude)
    return max(float(np.ptp(x)), float(np.ptp(y))) + 2 * leaf


def _fewest_picks(reach: float, leaf: float) -> int:
    for depth in range(1, MOST_DEPTH + 1):
        if leaf * BRANCHING**depth >= reach:
            return depth
    raise TiercelError(
        f"The photos on the map lie {reach / 1000:,.0f} km apart, too far for one square: take those of one town."
    )


def _middle(low: float, high: float, map_low: float, map_high: float, side: float) -> float:
    """Centre, along an axis, of a side that holds the photos and as much of the map as it can."""
    if map_high - map_low >= side:
        wanted = min(max((low + high) / 2, map_low + side / 2), map_high - side / 2)
    else:
        wanted = (map_low + map_high) / 2
    first, last = high - side / 2, low + side / 2
    return (first + last) / 2 if first > last else min(max(wanted, first), last)


def _extent(basemap: Basemap, origin: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """South-western and north-eastern corner of a map, metres from the origin."""
    west, south, east, north = basemap.bounds
    latitude, longitude = basemap.frame.to_wgs84(
        [west, east, west, east, (west + east) / 2, (west + east) / 2],
        [south, south, north, north, south, north],
    )
    x, y = _metres(origin, latitude, longitude)
    return (float(x.min()), float(y.min())), (float(x.max()), float(y.max()))


def bounds_in_frame(basemap: Basemap, division: Division) -> tuple[float, float, float, float]:
    """The part of a map around a benchmark's square: west, south, east, north, metres in the map's frame."""
    along = np.linspace(-0.5, 0.5, 9) * division.side_m
    x, y = np.meshgrid(along, along)
    latitude, longitude = _degrees_of((division.latitude, division.longitude), x.ravel(), y.ravel())
    east, north = basemap.frame.from_wgs84(latitude, longitude)
    margin = division.side_m * 0.002 + 5.0
    west_end, south_end, east_end, north_end = basemap.bounds
    return (
        max(float(east.min()) - margin, west_end), max(float(north.min()) - margin, south_end),
        min(float(east.max()) + margin, east_end), min(float(north.max()) + margin, north_end),
    )  # fmt: skip


def shares(division: Division, latitude: Doubles, longitude: Doubles) -> tuple[Doubles, Doubles]:
    """Where places lie in the root square: shares of its side from the north-western corner, east and south."""
    x, y = _metres((division.latitude, division.longitude), latitude, longitude)
    return x / division.side_m + 0.5, 0.5 - y / division.side_m


def _metres(origin: Sequence[float], latitude: Doubles, longitude: Doubles) -> tuple[Doubles, Doubles]:
    """Metres east and north of an origin, along its parallel and its meridian."""
    scale = math.radians(1) * EARTH_RADIUS_M
    return (longitude - origin[1]) * scale * math.cos(math.radians(origin[0])), (latitude - origin[0]) * scale


def _degrees_of(origin: Sequence[float], x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Latitudes and longitudes of metres east and north of an origin."""
    scale = math.radians(1) * EARTH_RADIUS_M
    return origin[0] + y / scale, origin[1] + x / scale / math.cos(math.radians(origin[0]))


def _degrees(origin: Sequence[float], x: float, y: float) -> tuple[float, float]:
    latitude, longitude = _degrees_of(origin, np.array(x), np.array(y))
    return float(latitude), float(longitude)
