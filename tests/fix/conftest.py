"""An answer on a 2 km tree in Berlin, with a hot spot and a corner that the map does not show."""

from __future__ import annotations

import numpy as np
import pytest

from tiercel.fix import Candidate, Fix
from tiercel.geo import Frame, Square, ZoomTree

CRS = "EPSG:32633"
TREE = ZoomTree(Square(391_000.0, 5_820_000.0, 2000.0), 4, 3)


def candidate(rank: int, row: int, col: int, probability: float, heading: float | None = None) -> Candidate:
    """A candidate in the centre of a leaf."""
    x, y = (float(value) for value in TREE.centre(3, row, col))
    latitude, longitude = (float(value) for value in Frame(CRS).to_wgs84(x, y))
    return Candidate(rank, x, y, latitude, longitude, probability, 3, row, col, heading, -float(rank))


@pytest.fixture
def fix() -> Fix:
    """See the module."""
    heat = np.full((64, 64), 0.3 / 3000, np.float32)
    heat[20, 30], heat[50, 10] = 0.6, 0.1
    heat[:16, :16] = np.nan
    best = candidate(1, 20, 30, 0.6, 124.4)
    steps = [TREE.root, TREE.square(1, 1, 1), TREE.square(2, 5, 7), TREE.square(3, 20, 30)]
    return Fix(
        photo="street.jpg", latitude=best.latitude, longitude=best.longitude, x=best.x, y=best.y, crs=CRS,
        radius_50_m=20.0, radius_90_m=740.0, heading=124.4, candidates=[best, candidate(2, 50, 10, 0.1)], heat=heat,
        tree=TREE, steps=steps,
    )  # fmt: skip
