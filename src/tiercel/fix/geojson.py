"""The answer as GeoJSON (RFC 7946): longitude before latitude, WGS84, outer rings counter-clockwise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import Frame

if TYPE_CHECKING:
    from tiercel.fix.fix import Candidate, Fix

_CORNERS = 72  # of the polygon that stands for a circle: off by a thousandth of the radius
_DECIMALS = 8  # about a millimetre


def feature_collection(fix: Fix) -> dict[str, Any]:
    """The best place as a point, the circles of 50 % and 90 % and the candidates' cells as polygons.

    Each feature has a property "role": best, circle or candidate. An infinite circle is left out.
    """
    frame = Frame(fix.crs)
    best = {"role": "best", "photo": fix.photo, "radius_50_m": fix.radius_50_m, "radius_90_m": fix.radius_90_m}
    if fix.heading is not None:
        best["heading"] = fix.heading
    point = {"type": "Point", "coordinates": _rounded(np.array([fix.longitude, fix.latitude]))}
    features = [_feature(point, best)]
    for share, radius in ((0.5, fix.radius_50_m), (0.9, fix.radius_90_m)):
        if math.isfinite(radius) and radius > 0:
            features.append(_feature(_circle(frame, fix.x, fix.y, radius), {"role": "circle", "share": share,
                                                                          "radius_m": radius}))  # fmt: skip
    features += [_feature(_cell(frame, fix, candidate), _properties(candidate)) for candidate in fix.candidates]
    return {"type": "FeatureCollection", "features": features}


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    clean = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in properties.items()
    }
    return {"type": "Feature", "geometry": geometry, "properties": clean}


def _properties(candidate: Candidate) -> dict[str, Any]:
    properties = {"role": "candidate", "rank": candidate.rank, "probability": candidate.probability,
                  "score": candidate.score, "level": candidate.level, "row": candidate.row,
                  "col": candidate.col}  # fmt: skip
    return properties if candidate.heading is None else properties | {"heading": candidate.heading}


def _circle(frame: Frame, x: float, y: float, radius: float) -> dict[str, Any]:
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    return _polygon(frame, x + radius * np.cos(angle), y + radius * np.sin(angle))


def _cell(frame: Frame, fix: Fix, candidate: Candidate) -> dict[str, Any]:
    west, south, east, north = fix.tree.square(candidate.level, candidate.row, candidate.col).bounds
    return _polygon(frame, np.array([west, east, east, west]), np.array([south, south, north, north]))


def _polygon(frame: Frame, x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, Any]:
    """A closed ring; corners counter-clockwise in the frame stay so on the globe."""
    latitude, longitude = frame.to_wgs84(x, y)
    ring = [_rounded(np.array(corner)) for corner in zip(longitude, latitude, strict=True)]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]
