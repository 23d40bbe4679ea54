"""Every kind of map must show the same ground at the same place."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.maps.pattern import FRAME, GROUND, KINDS, truth
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import Basemap, open_map


@pytest.fixture(scope="module", params=list(KINDS))
def basemap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Basemap]:
    with open_map(KINDS[request.param](tmp_path_factory.mktemp("map"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("square", "pixels"),
    [
        (Square(GROUND.x + 3.3, GROUND.y - 7.7, 20.0), 64),
        (Square(GROUND.x, GROUND.y, 128.0), 256),
        (Square(GROUND.x - 5.1, GROUND.y + 9.4, 200.0), 201),
        (Square(GROUND.x, GROUND.y, 230.0), 77),
    ],
)
def test_the_ground_is_where_it_belongs(basemap: Basemap, square: Square, pixels: int) -> None:
    rgb, covered = basemap.read(square, pixels)
    assert rgb.shape == (pixels, pixels, 3) and rgb.dtype == np.uint8 and covered.dtype == np.bool_
    assert covered.all()
    error = rgb - truth(square, pixels)
    # A shift by half of the 0.4 m of the finest tiles would make the mean error 1.7 and the largest 2.6.
    assert np.abs(error).mean() < 0.8 and np.abs(error).max() <= 4


def test_what_every_map_says(basemap: Basemap) -> None:
    assert basemap.frame == FRAME
    west, south, east, north = basemap.bounds
    assert west <= GROUND.west and south <= GROUND.south and east >= GROUND.east and north >= GROUND.north
    assert 0.35 < basemap.resolution < 0.8
    assert basemap.name and len(basemap.fingerprint()) == 16


def test_nothing_beyond_the_bounds(basemap: Basemap) -> None:
    west, south, east, north = basemap.bounds
    square = Square((west + east) / 2, (south + north) / 2, 1.5 * max(east - west, north - south))
    rgb, covered = basemap.read(square, 300)
    x, y = np.meshgrid(*square.pixel_centres(300))
    pitch = square.side / 300
    outside = (x < west - pitch) | (x > east + pitch) | (y < south - pitch) | (y > north + pitch)
    assert not covered[outside].any() and not rgb[~covered].any()
    core = (abs(x - GROUND.x) < GROUND.side / 2 - pitch) & (abs(y - GROUND.y) < GROUND.side / 2 - pitch)
    assert covered[core].all()


def test_far_away_is_not_covered_and_no_error(basemap: Basemap) -> None:
    rgb, covered = basemap.read(Square(GROUND.x + 50_000, GROUND.y, 200.0), 32)
    assert not covered.any() and not rgb.any()


def test_twenty_kilometres_around_a_small_map(basemap: Basemap) -> None:
    _, covered = basemap.read(Square(GROUND.x, GROUND.y, 20_000.0), 500)
    assert covered[250, 250] and 1 <= covered.sum() * 40.0**2 / GROUND.side**2 < 40


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"nowhere\.tif does not exist"):
        open_map(tmp_path / "nowhere.tif")


def test_text_file_renamed_tif(tmp_path: Path) -> None:
    path = tmp_path / "letter.tif"
    path.write_text("Dear map,")
    with pytest.raises(TiercelError, match=r"letter\.tif is not a map"):
        open_map(path)


def test_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no tiles")
    with pytest.raises(TiercelError, match="holds no map"):
        open_map(tmp_path)


@pytest.mark.parametrize("kind", ["mbtiles", "xyz folder", "tms template", "tiledwebmaps"])
def test_crs_is_refused_where_tiles_have_their_own(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="leave --crs out"):
        open_map(KINDS[kind](tmp_path), crs="EPSG:32632")
