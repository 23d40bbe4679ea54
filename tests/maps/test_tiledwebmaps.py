import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.maps import package
from tests.maps.pattern import (
    GROUND,
    LAYOUT,
    packed_tiledwebmaps,
    put,
    pyramid_tiles,
    tiledwebmaps,
    truth,
    web_tiles,
)
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square
from tiercel.maps import open_map, write_pyramid
from tiercel.maps.tiledwebmaps import TiledWebMap


def test_loose_and_packed_tiles_show_the_same(tmp_path: Path) -> None:
    with open_map(tiledwebmaps(tmp_path)) as loose, open_map(packed_tiledwebmaps(tmp_path)) as packed:
        assert np.array_equal(loose.read(GROUND, 150)[0], packed.read(GROUND, 150)[0])
        assert loose.bounds == packed.bounds and loose.resolution == pytest.approx(0.5)


def test_tiles_counted_from_the_north_east(tmp_path: Path) -> None:
    """With axes to the west and south, tiles count from the far corner of size_crs."""
    for zoom, x, y, data in pyramid_tiles():
        last = 20 * 2**zoom - 1 if zoom >= 0 else 20 // 2**-zoom - 1
        put(tmp_path / str(zoom) / str(int(last - x)) / f"{int(last - y)}.png", data)
    layout = {**LAYOUT, "tile_axes": ["west", "south"], "size_crs": [1000.0, 1000.0]}
    (tmp_path / "layout.yaml").write_text(yaml.safe_dump(layout))
    with open_map(tmp_path) as basemap:
        rgb, covered = basemap.read(GROUND, 240)
    assert covered.all() and np.abs(rgb - truth(GROUND, 240)).max() <= 4


def test_web_map_preset(tmp_path: Path) -> None:
    for zoom, x, y, data in web_tiles(range(17, 19)):
        put(tmp_path / f"tile_{zoom}" / f"{x},{y}.png", data)
    layout = {"preset": "XYZ", "path": "tile_{zoom}/{x},{y}.png", "min_zoom": 17, "max_zoom": 18}
    (tmp_path / "layout.yaml").write_text(yaml.safe_dump(layout))
    with open_map(tmp_path) as basemap:
        rgb, covered = basemap.read(GROUND, 240)
    assert covered.all() and np.abs(rgb - truth(GROUND, 240)).max() <= 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"crs": "epsg:99999"}, "no layout"),
        ({"tile_axes": ["up", "north"]}, "tile_axes"),
        ({"tile_shape_crs": [20.0, 30.0]}, "square"),
        ({"tile_axes": ["east", "south"]}, "size_crs"),
        ({"origin_crs": None}, "origin_crs"),
    ],
)
def test_layout_that_makes_no_sense(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    path = tiledwebmaps(tmp_path)
    path.write_text(yaml.safe_dump({**LAYOUT, **change}))
    with pytest.raises(TiercelError, match=rf"layout\.yaml.*{complaint}"):
        open_map(path)


@pytest.mark.parametrize("text", ["]", "- a list", "crs: epsg:32632"])
def test_layout_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "layout.yaml").write_text(text)
    with pytest.raises(TiercelError, match=r"layout\.yaml is no layout"):
        open_map(tmp_path)


def test_packed_tiles_without_their_table(tmp_path: Path) -> None:
    folder = packed_tiledwebmaps(tmp_path)
    (folder / "images-meta.npz").write_bytes(b"PK")
    with pytest.raises(TiercelError, match=r"images-meta\.npz"):
        open_map(folder)


def test_packed_tiles_cut_short(tmp_path: Path) -> None:
    folder = packed_tiledwebmaps(tmp_path)
    data = folder / "images.dat"
    with open_map(folder) as basemap:
        data.write_bytes(data.read_bytes()[:-2000])
        with pytest.raises(TiercelError, match=r"of .*images\.dat is not a whole"):
            basemap.read(GROUND, 480)


def test_zooms_that_the_layout_names_but_are_missing(tmp_path: Path) -> None:
    path = tiledwebmaps(tmp_path)
    shutil.rmtree(path.parent / "-1")
    with pytest.raises(TiercelError, match=r"layout\.yaml names zooms -2 to 0, but there are no tiles of zoom -1"):
        open_map(path)
    path.write_text(yaml.safe_dump({**LAYOUT, "url": "https://tiles.example/{zoom}/{x}/{y}.png"}))
    assert open_map(path).resolution == pytest.approx(0.5)  # tiles that were fetched so far


@pytest.mark.parametrize("east", [500_000.0, 720_000.0], ids=["at the central meridian", "far from it"])
def test_pictures_are_those_of_the_package(east: float, tmp_path: Path) -> None:
    """The sharpest ground there is: noise, at any scale and where north is up to two degrees off the grid's."""
    rng = np.random.default_rng(0)
    noise = np.asarray(
        Image.fromarray(rng.integers(0, 255, (1000, 1000, 3), np.uint8)).resize((2000, 2000), Image.Resampling.BILINEAR)
    )
    ground = Square(east + 500, 5_000_500, 1000.0)

    def draw(square: Square, pixels: int) -> np.ndarray:
        left, top = round((square.west - ground.west) * 2), round((ground.north - square.north) * 2)
        return noise[top : top + pixels, left : left + pixels]

    layout = write_pyramid(tmp_path / "p", draw, crs="EPSG:32633", bounds=ground.bounds, tile_side_m=125.0, min_zoom=-2)
    jobs = []
    for _ in range(50):
        metres = float(np.exp(rng.uniform(np.log(0.2), np.log(5.0))))
        room = 500 - 80 * metres
        x, y = ground.x + rng.uniform(-room, room), ground.y + rng.uniform(-room, room)
        latitude, longitude = Frame("EPSG:32633").to_wgs84(x, y)
        jobs.append((float(latitude), float(longitude), metres, 120))
    theirs = package.load(layout, jobs, tmp_path)
    with open_map(layout) as basemap:
        assert isinstance(basemap, TiledWebMap)
        ours = [basemap.read_around(*job) for job in jobs]
    differences = [np.abs(mine.astype(int) - other).mean() for mine, other in zip(ours, theirs, strict=True)]
    assert max(differences) < 2 and np.mean(differences) < 0.7
    assert np.std(np.stack(theirs)) > 20  # there was something to see
