"""Parts of the map that a search is kept to: polygons of a GeoJSON file, or a circle around a position."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.geo.frame import Frame
    from tiercel.geo.tree import ZoomTree

Points = NDArray[np.float64]
Polygon = tuple[Points, ...]

CIRCLE_POINTS = 360
"""Corners of what stands for a circle: its radius is right to 4 parts in 100,000."""
_EDGE_M = 1000.0
"""Edges are projected in pieces of about so many metres: straight in degrees is not straight in a frame."""
_SHAPES = ("Polygon", "MultiPolygon")


@dataclass(frozen=True, eq=False)
class Area:
    """Polygons with holes, in a projected frame.

    Attributes:
        name: What it was made from, for messages.
        polygons: Each a tuple of rings, the outer one and its holes; a ring is (n, 2) float64, eastings and northings
            in metres, its last point joined to its first.
    """

    name: str
    polygons: tuple[Polygon, ...]

    @classmethod
    def parse(cls, text: str, frame: Frame) -> Area:
        """An area from what was typed.

        Args:
            text: ``LAT,LON,METRES`` for a circle, or the path of a GeoJSON file in WGS84 with a Polygon, a
                MultiPolygon, a Feature or a FeatureCollection.
            frame: The frame of the map.

        Raises:
            TiercelError: It is neither, holds no polygon, or its coordinates are not longitude and latitude.
        """
        numbers = _numbers(text)
        if numbers is not None:
            return cls.circle(*_checked_circle(text, numbers), frame)
        path = Path(text)
        if not path.is_file():
            raise TiercelError(f"There is no file {text}; give a GeoJSON file with a polygon, or LAT,LON,METRES.")
        return cls.read(path, frame)

    @classmethod
    def circle(cls, latitude: float, longitude: float, radius_m: float, frame: Frame) -> Area:
        """The ground at most so far from a position.

        Args:
            latitude: Degrees, WGS84.
            longitude: Degrees, WGS84.
            radius_m: Metres, above zero.
            frame: The frame of the map.

        Raises:
            TiercelError: The frame has no coordinates there.
        """
        name = f"{latitude:g},{longitude:g},{radius_m:g}"
        x, y = frame.from_wgs84(latitude, longitude)
        if not (np.isfinite(x) and np.isfinite(y)):
            raise _off_the_frame(name)
        angle = np.arange(CIRCLE_POINTS) * (2 * math.pi / CIRCLE_POINTS)
        ring = np.stack([x + radius_m * np.sin(angle), y + radius_m * np.cos(angle)], -1)
        return cls(name, ((ring,),))

    @classmethod
    def read(cls, path: Path, frame: Frame) -> Area:
        """The polygons of a GeoJSON file, all together.

        Args:
            path: The file.
            frame: The frame of the map.

        Raises:
            TiercelError: The file is no GeoJSON, holds no polygon, or its coordinates are not longitude and latitude.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise TiercelError(f"{path} is no GeoJSON ({error}); give a file with a polygon.") from None
        shapes = _shapes(content)
        if not shapes:
            raise TiercelError(f"{path} holds no polygon; draw one and save it as GeoJSON in WGS84.")
        polygons = tuple(tuple(_ring(path, ring, frame) for ring in shape) for shape in shapes)
        return cls(str(path), polygons)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether points lie in the area.

        Args:
            x: Eastings, metres, any shape.
            y: Northings, metres, of the same shape.

        Returns:
            One bool a point.
        """
        east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
        inside = np.zeros(east.size, np.bool_)
        west, south, right, top = self._bounds
        flat_x, flat_y = east.ravel(), north.ravel()
        near = np.flatnonzero((flat_x >= west) & (flat_x <= right) & (flat_y >= south) & (flat_y <= top))
        # From south to north, so that each edge is compared only with the points at its height.
        near = near[np.argsort(flat_y[near], kind="stable")]
        for polygon in self.polygons:
            inside[near] |= _even_odd(polygon, flat_x[near], flat_y[near])
        return inside.reshape(east.shape)

    def cells(self, tree: ZoomTree, level: int) -> NDArray[np.bool_]:
        """Which cells of a tree the area reaches, were it only a corner of them.

        Args:
            tree: The tree, in the same frame.
            level: Level of the cells.

        Returns:
            (count(level),) in flat order.
        """
        cells = np.arange(tree.count(level))
        reached = self.contains(*tree.centre(level, *tree.unflat(level, cells)))
        for polygon in self.polygons:
            for ring in polygon:
                along = _divided(ring, tree.side(level) / 4)
                row, col = tree.cell_at(along[:, 0], along[:, 1], level)
                reached[tree.flat(level, row, col)[row >= 0]] = True
        return reached

    @cached_property
    def _bounds(self) -> tuple[float, float, float, float]:
        points = np.concatenate([ring for polygon in self.polygons for ring in polygon])
        west, south = points.min(0)
        east, north = points.max(0)
        return float(west), float(south), float(east), float(north)


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return None


def _checked_circle(text: str, numbers: list[float]) -> tuple[float, float, float]:
    if len(numbers) != 3:
        raise TiercelError(f"{text} is no area; give LAT,LON,METRES, or a GeoJSON file with a polygon.")
    latitude, longitude, radius = numbers
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < radius < math.inf):
        raise TiercelError(f"{text}: latitude, longitude or radius is out of range; the order is LAT,LON,METRES.")
    return latitude, longitude, radius


def _shapes(content: Any) -> list[list[Any]]:  # noqa: ANN401  (whatever a file held)
    """The coordinates of all polygons anywhere in a GeoJSON object."""
    if not isinstance(content, dict):
        return []
    kind, coordinates = content.get("type"), content.get("coordinates")
    if kind in _SHAPES and isinstance(coordinates, list):
        shapes = [coordinates] if kind == "Polygon" else coordinates
        return [shape for shape in shapes if isinstance(shape, list) and shape]
    parts = [content.get("geometry")]
    for key in ("features", "geometries"):
        members = content.get(key)
        parts += members if isinstance(members, list) else []
    return [shape for part in parts for shape in _shapes(part)]


def _ring(path: Path, ring: Any, frame: Frame) -> Points:  # noqa: ANN401  (whatever a file held)
    """A ring in the frame.

    Raises:
        TiercelError: It is no ring of longitudes and latitudes.
    """
    try:
        degrees = np.array([point[:2] for point in ring], np.float64)
    except (TypeError, ValueError, KeyError):
        degrees = np.zeros((0, 2))
    if degrees.ndim != 2 or len(degrees) < 3 or degrees.shape[1] != 2 or not np.isfinite(degrees).all():
        raise TiercelError(f"{path} holds a polygon that is none: each ring needs three points of two numbers or more.")
    longitude, latitude = degrees.T
    if (abs(latitude) > 90).any() or (abs(longitude) > 180).any():
        swapped = (abs(latitude) <= 180).all() and (abs(longitude) <= 90).all()
        reason = "the order is longitude, latitude" if swapped else "save it in degrees of WGS84 (EPSG:4326)"
        raise TiercelError(
            f"{path} holds {degrees[0, 0]:g}, {degrees[0, 1]:g}, which is no longitude and latitude; {reason}."
        )
    degrees = _divided(degrees, _EDGE_M / 111_000)
    x, y = frame.from_wgs84(degrees[:, 1], degrees[:, 0])
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise _off_the_frame(str(path))
    return np.stack([x, y], -1)


def _off_the_frame(name: str) -> TiercelError:
    return TiercelError(f"{name} reaches where the map's coordinate system has no coordinates; cut it to the map.")


def _divided(ring: Points, longest: float) -> Points:
    """A ring with points added along its edges, so that none is longer; the closing edge too."""
    ends = np.roll(ring, -1, 0)
    parts = np.maximum(1, np.ceil(np.hypot(*(ends - ring).T) / longest).astype(np.int64))
    edge = np.repeat(np.arange(len(ring)), parts)
    share = (np.arange(parts.sum()) - np.repeat(parts.cumsum() - parts, parts)) / parts[edge]
    return np.asarray(ring[edge] + share[:, None] * (ends - ring)[edge])


def _even_odd(polygon: Polygon, x: Points, y: Points) -> NDArray[np.bool_]:
    """Whether points, in the order of their northings, lie in a polygon: inside an odd number of its rings.

    A ray to the east from an inner point crosses an odd number of edges.
    """
    odd = np.zeros(len(x), np.bool_)
    starts = np.concatenate(polygon)
    ends = np.concatenate([np.roll(ring, -1, 0) for ring in polygon])
    first = np.searchsorted(y, np.minimum(starts[:, 1], ends[:, 1]))
    last = np.searchsorted(y, np.maximum(starts[:, 1], ends[:, 1]))
    for edge in np.flatnonzero(last > first):
        some = slice(first[edge], last[edge])
        slope = (ends[edge, 0] - starts[edge, 0]) / (ends[edge, 1] - starts[edge, 1])
        odd[some] ^= x[some] < starts[edge, 0] + slope * (y[some] - starts[edge, 1])
    return odd
