"""The answer as an object, which knows how to write itself."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import Square, ZoomTree

if TYPE_CHECKING:
    from rich.console import Console

    from tiercel.fix.picture import Overhead
    from tiercel.photos import Photo


@dataclass(frozen=True)
class Candidate:
    """One of the likeliest places.

    Attributes:
        rank: 1 for the best.
        x: Easting, metres.
        y: Northing, metres.
        latitude: Degrees, WGS84.
        longitude: Degrees, WGS84.
        probability: Share of the probability that its cell holds, 0 to 1.
        level: Level of its cell in the tree.
        row: Row of its cell, 0 in the north.
        col: Column of its cell, 0 in the west.
        heading: Azimuth the photo looks to if it was taken here, degrees; None if not estimated.
        score: What it was ranked by; comparable within one answer only.
    """

    rank: int
    x: float
    y: float
    latitude: float
    longitude: float
    probability: float
    level: int
    row: int
    col: int
    heading: float | None
    score: float


@dataclass(frozen=True, eq=False)
class Fix:
    """Where a photo was taken.

    Attributes:
        photo: The photo's path or name.
        latitude: Degrees, WGS84, of the best place.
        longitude: Degrees, WGS84.
        x: Easting of the best place in the map's frame, metres.
        y: Northing, metres.
        crs: The map's frame: "EPSG:32633", or WKT.
        radius_50_m: Radius around the best place that holds half of the probability, metres.
        radius_90_m: Radius that holds nine tenths.
        heading: Azimuth of the photo's centre column, degrees clockwise from north; None if not estimated.
        candidates: The likeliest places, best first.
        heat: (n, n) float32, probability of each leaf cell, row 0 north; NaN where the map shows nothing.
        tree: The tree whose leaves those are.
        steps: The squares zoomed through, the root first.
        gps: Easting and northing that the photo says it was taken at, metres, to score the answer by; None if it says
            nothing, or a place off the map.
        together: Paths or names of the other photos from the same spot that were located with it.
    """

    photo: str
    latitude: float
    longitude: float
    x: float
    y: float
    crs: str
    radius_50_m: float
    radius_90_m: float
    heading: float | None
    candidates: list[Candidate]
    heat: NDArray[np.float32]
    tree: ZoomTree
    steps: list[Square] = field(default_factory=list)
    gps: tuple[float, float] | None = None
    together: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a heat map of another tree.

        Raises:
            ValueError: The heat map has not one value a leaf.
        """
        side = self.tree.cells_per_side(self.tree.depth)
        if self.heat.shape != (side, side):
            raise ValueError(f"a heat map of {side} x {side} leaves is needed, not {self.heat.shape}")

    def distance(self, x: float, y: float) -> float:
        """Metres from the best place to a point of the frame."""
        return math.hypot(x - self.x, y - self.y)

    @property
    def gps_distance_m(self) -> float | None:
        """Metres from the best place to `gps`."""
        return None if self.gps is None else self.distance(*self.gps)

    def to_json(self) -> dict[str, Any]:
        """The answer without its heat map, as JSON types; unknown numbers are None."""
        return {
            "photo": self.photo,
            "lat": self.latitude,
            "lon": self.longitude,
            "x": self.x,
            "y": self.y,
            "crs": self.crs,
            "radius_50_m": _finite(self.radius_50_m),
            "radius_90_m": _finite(self.radius_90_m),
            "candidates": [self._candidate(candidate) for candidate in self.candidates],
            "heading": _finite(self.heading),
            "gps_distance_m": self.gps_distance_m,
            **({"together": list(self.together)} if self.together else {}),
        }

    def _candidate(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "rank": candidate.rank,
            "lat": candidate.latitude,
            "lon": candidate.longitude,
            "x": candidate.x,
            "y": candidate.y,
            "probability": _finite(candidate.probability),
            "distance_m": self.distance(candidate.x, candidate.y),
            "heading": _finite(candidate.heading),
            "score": _finite(candidate.score),
            "cell": {"level": candidate.level, "row": candidate.row, "col": candidate.col},
        }

    def to_geojson(self) -> dict[str, Any]:
        """The answer as an RFC 7946 feature collection: the point, both circles, the candidates' cells (WGS84)."""
        from tiercel.fix.geojson import feature_collection

        return feature_collection(self)

    def to_geotiff(self, path: str | os.PathLike[str]) -> None:
        """Writes the heat map as a float32 GeoTIFF in the map's frame: probability a leaf, NaN for nodata.

        Raises:
            TiercelError: The file cannot be written.
        """
        from tiercel.fix.geotiff import write_heat

        write_heat(Path(path), self)

    def to_png(
        self,
        path: str | os.PathLike[str],
        *,
        photo: Photo,
        overhead: Overhead,
        truth: tuple[float, float] | None = None,
        others: Sequence[Photo] = (),
    ) -> None:
        """Writes the answer as a picture: photo, map with heat, zoom steps, candidates.

        Args:
            path: Where to.
            photo: The photo that was located.
            overhead: Gives the overhead view of a square: `Basemap.read`, or one that reads a stored overview.
            truth: Where the photo was taken, easting and northing in metres, if known better than the photo says.
            others: Photos from the same spot that were located with it.

        Raises:
            TiercelError: The file cannot be written.
        """
        from tiercel.fix.picture import draw_fix
        from tiercel.photos.write import replacing

        picture = draw_fix(self, photo, overhead, truth or self.gps, others)
        with replacing(Path(path)) as part:
            picture.save(part, "PNG")

    def print(self, console: Console | None = None) -> None:
        """Prints the answer to the terminal."""
        from tiercel.fix.terminal import print_fix

        print_fix(self, console)


def _finite(value: float | None) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return float(value) if value is not None and math.isfinite(value) else None
