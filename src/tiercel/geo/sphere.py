"""Moves and distances on the sphere that web maps and the published zooming benchmark use."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_M = 6_378_137.0
"""Radius of the sphere, metres: the equatorial radius of WGS84."""

Doubles = NDArray[np.float64]


def move_from_latlon(
    latitude: ArrayLike, longitude: ArrayLike, bearing: ArrayLike, metres: ArrayLike
) -> tuple[Doubles, Doubles]:
    """Where one arrives on a great circle.

    The forward ("direct") formula of spherical trigonometry, as `tiledwebmaps.geo.move_from_latlon` has it:
    sin(lat') = sin(lat) cos(d) + cos(lat) sin(d) cos(b) and
    lon' = lon + atan2(sin(b) sin(d) cos(lat), cos(d) - sin(lat) sin(lat')), with d the metres over the radius.

    Args:
        latitude: Degrees, of any shape that broadcasts with the others.
        longitude: Degrees.
        bearing: Azimuth of the start, degrees clockwise from north.
        metres: Distance along the circle; negative goes backwards.

    Returns:
        Latitudes and longitudes, degrees, longitudes in [-180, 180].
    """
    north, azimuth = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(bearing, np.float64))
    angle = np.asarray(metres, np.float64) / EARTH_RADIUS_M
    sine = np.sin(north) * np.cos(angle) + np.cos(north) * np.sin(angle) * np.cos(azimuth)
    arrived = np.arcsin(np.clip(sine, -1.0, 1.0))
    turn = np.arctan2(np.sin(azimuth) * np.sin(angle) * np.cos(north), np.cos(angle) - np.sin(north) * np.sin(arrived))
    east = np.radians(np.asarray(longitude, np.float64)) + turn
    east = np.where(np.abs(east) > np.pi, (east + np.pi) % (2 * np.pi) - np.pi, east)
    return np.degrees(arrived), np.degrees(east)


def haversine_m(latitude: ArrayLike, longitude: ArrayLike, to_latitude: ArrayLike, to_longitude: ArrayLike) -> Doubles:
    """Great-circle distances in metres by the haversine formula, as `tiledwebmaps.geo.distance` has it.

    Args:
        latitude: Degrees, of any shape that broadcasts with the others.
        longitude: Degrees.
        to_latitude: Degrees.
        to_longitude: Degrees.
    """
    north, to_north = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(to_latitude, np.float64))
    apart = np.radians(np.asarray(longitude, np.float64) - np.asarray(to_longitude, np.float64))
    half = np.sin((north - to_north) / 2) ** 2 + np.cos(north) * np.cos(to_north) * np.sin(apart / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_M * np.arctan2(np.sqrt(half), np.sqrt(1 - half)))
