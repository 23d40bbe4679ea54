"""Projected frames: where metres are metres, and the way to latitude and longitude and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from pyproj import CRS, Transformer

#: How far a frame's metre may be from a metre on the ground. National grids and UTM stay within 0.3 %;
#: web mercator is off by 0.7 % at the equator already.
_STRETCH = 0.005


@dataclass(frozen=True)
class Frame:
    """A projected coordinate system with x east and y north in metres.

    Attributes:
        name: "EPSG:32633", or WKT where the system has no code.
    """

    name: str

    @classmethod
    def of(cls, crs_like: object, latitude: float | None = None, longitude: float | None = None) -> Frame:
        """The metric frame for a map stored in any coordinate system.

        That is the map's own system where its unit is a metre on the ground, and otherwise (geographic, web
        mercator, feet) the UTM zone of the place.

        Args:
            crs_like: objectthing pyproj or rasterio takes for a CRS: "EPSG:4326", 4326, WKT, a CRS object.
            latitude: Where the map is, degrees; may be left out for a system that is metric anyway.
            longitude: Likewise.

        Raises:
            TiercelError: The CRS is unknown or has no link to the Earth, or needs a UTM zone and no place was given.
        """
        crs = _horizontal(crs_like)
        if _is_metric(crs, latitude, longitude):
            authority = crs.to_authority()
            return cls(":".join(authority) if authority else crs.to_wkt())
        if latitude is None or longitude is None:
            raise TiercelError(f"{crs.name} is not in metres on the ground; give a projected CRS such as EPSG:32633.")
        return cls(f"EPSG:{_utm_code(latitude, longitude)}")

    def to_wgs84(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes, degrees, of eastings and northings; infinite where undefined."""
        longitude, latitude = _transformer(self.name, "EPSG:4326").transform(*_floats(x, y))
        return np.asarray(latitude), np.asarray(longitude)

    def from_wgs84(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eastings and northings, metres, of latitudes and longitudes; infinite where undefined."""
        north, east = _floats(latitude, longitude)
        x, y = _transformer("EPSG:4326", self.name).transform(east, north)
        return np.asarray(x), np.asarray(y)

    def convergence(self, x: float, y: float) -> float:
        """Azimuth of grid north at a point, degrees clockwise from true north.

        A true heading less this is a heading on the map.
        """
        latitude, longitude = self.to_wgs84(np.array([x, x]), np.array([y - 50.0, y + 50.0]))
        east = np.diff(longitude)[0] * np.cos(np.radians(latitude.mean()))
        return float(np.degrees(np.arctan2(east, np.diff(latitude)[0])))

    def to_crs(self, crs: str, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eastings and northings in another coordinate system, in that system's unit."""
        east, north = _transformer(self.name, crs).transform(*_floats(x, y))
        return np.asarray(east), np.asarray(north)

    def from_crs(self, crs: str, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eastings and northings, metres, of points given in another coordinate system (x before y)."""
        east, north = _transformer(crs, self.name).transform(*_floats(x, y))
        return np.asarray(east), np.asarray(north)


def _floats(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # A copy: pyproj projects contiguous float64 arrays in place.
    one, other = np.broadcast_arrays(np.asarray(first, np.float64), np.asarray(second, np.float64))
    return one.copy(), other.copy()


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise TiercelError(f"Cannot project from {source} to {target}: give a known CRS such as EPSG:32633.") from error


def _horizontal(crs_like: object) -> CRS:
    """The flat part of a CRS: heights and datum shifts bound to it are left out."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(crs_like).to_2d()
    except CRSError as error:
        raise TiercelError(f"{crs_like!r} is no coordinate system; give one such as EPSG:32633.") from error
    if crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if not (crs.is_projected or crs.is_geographic):
        raise TiercelError(f"{crs.name} has no link to the Earth; give the map's true CRS, such as EPSG:32633.")
    return crs


def _is_metric(crs: CRS, latitude: float | None, longitude: float | None) -> bool:
    """Whether a metre of the CRS is a metre on the ground, there or in the middle of its area of use."""
    from pyproj import Proj

    operation = crs.coordinate_operation
    if operation is None or any(axis.unit_conversion_factor != 1 for axis in crs.axis_info[:2]):
        return False
    if "Pseudo Mercator" in operation.method_name:
        # Its scale factors are told for the sphere, where they look true at the equator.
        return False
    if latitude is None or longitude is None:
        area = crs.area_of_use
        if area is None:
            return True
        latitude, longitude = (area.south + area.north) / 2, (area.west + area.east) / 2
    scales = Proj(crs).get_factors(longitude, latitude)
    return all(abs(scale - 1) < _STRETCH for scale in (scales.meridional_scale, scales.parallel_scale))


def _utm_code(latitude: float, longitude: float) -> int:
    """EPSG code of the WGS84 UTM zone, by the plain six-degree rule."""
    zone = math.floor((longitude + 180) / 6) % 60 + 1
    return (32600 if latitude >= 0 else 32700) + zone
