"""A small town, a model of random weights, and photos that are alike in nothing."""

from pathlib import Path

import numpy as np
import pytest

from tests.search.town import NORTH, WEST, prepared
from tiercel.candidates.files import absolute
from tiercel.locate import Locator
from tiercel.photos import write_photo


@pytest.fixture(scope="session")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def take(path: Path, seed: int, **metadata: float) -> Path:
    """A photo of nothing in particular."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    write_photo(path, pixels, field_of_view=75, **metadata)
    return absolute(path)


@pytest.fixture
def photos(tmp_path, locator) -> list[Path]:
    """Five photos that say where they were taken: 50 m apart, from west to east."""
    (tmp_path / "photos").mkdir()
    taken = []
    for number in range(5):
        latitude, longitude = locator.atlas.frame.to_wgs84(WEST + 60.0 + 50 * number, NORTH - 200.0)
        place = {"latitude": float(latitude), "longitude": float(longitude)}
        taken.append(take(tmp_path / "photos" / f"{number}.jpg", number, heading=20.0 * number, **place))
    return taken
