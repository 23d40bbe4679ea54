"""A few located photos, made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tiercel.demo.results import KINDS, Located
from tiercel.fix import Candidate, Fix
from tiercel.geo import Square, ZoomTree
from tiercel.photos import Photo

ROOT = Square(501_000.0, 5_201_000.0, 2000.0)
TREE = ZoomTree(ROOT)


def located(kind: str, true: tuple[float, float], found: tuple[float, float], greedy: tuple[float, float]) -> Located:
    """A photo taken at one place and found at another, in metres from the south-west corner."""
    (x, y), (found_x, found_y), (greedy_x, greedy_y) = (
        (ROOT.west + e, ROOT.south + n) for e, n in (true, found, greedy)
    )
    heat = np.full((64, 64), 0.5 / 4095, np.float32)
    row, col = (int(index) for index in TREE.cell_at(found_x, found_y, 3))
    heat[row, col] = 0.5
    candidate = Candidate(1, found_x, found_y, 47.0, 9.0, 0.5, 3, row, col, 30.0, 1.5)
    corners = [TREE.cell_at(found_x, found_y, level) for level in range(4)]
    steps = [TREE.square(level, int(row), int(col)) for level, (row, col) in enumerate(corners)]
    fix = Fix("p.jpg", 47.0, 9.0, found_x, found_y, "EPSG:32632", 25.0, 80.0, 30.0, [candidate], heat, TREE, steps)
    panorama = kind.startswith("panorama")
    pixels = np.full((64, 128, 3), 120, np.uint8)
    photo = Photo.from_array(pixels, panorama=panorama, field_of_view=360 if panorama else 90, name="p.jpg")
    return Located(kind, photo, x, y, fix, (greedy_x, greedy_y))


@pytest.fixture
def four() -> list[Located]:
    """One photo of each kind, found 0, 30, 45 and 500 m off; greedy zooming is 45 m off once, else 900 m."""
    errors, greedy = (0, 30, 45, 500), (45, 900, 900, 900)
    return [
        located(kind, (1000, 1000), (1000 + error, 1000), (1000, 1000 + astray))
        for kind, error, astray in zip(KINDS, errors, greedy, strict=True)
    ]


def overhead(square: Square, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Grey ground wherever one looks."""
    return np.full((pixels, pixels, 3), 128, np.uint8), np.ones((pixels, pixels), np.bool_)
