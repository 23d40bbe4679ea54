import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.maps import package
from tests.maps.pattern import FRAME, GROUND, colour, geotiff, truth
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import open_map, write_pyramid

OPTIONS = {"tile_pixels": 100, "tile_side_m": 50.0, "quality": 98}


def drawn(square: Square, pixels: int) -> np.ndarray:
    return colour(*np.meshgrid(*square.pixel_centres(pixels)))


def write(folder: Path, render=drawn, **options) -> Path:
    around = GROUND.expanded(10)
    return write_pyramid(folder, render, crs=FRAME.name, bounds=around.bounds, **(OPTIONS | options))


def test_a_drawn_pyramid_shows_the_ground_at_every_zoom(tmp_path: Path) -> None:
    seen = []
    layout = write(tmp_path / "p", progress=lambda done, total: seen.append((done, total)))
    assert yaml.safe_load(layout.read_text())["min_zoom"] == -3
    assert len(list((tmp_path / "p" / "-3").rglob("*.jpg"))) == 1
    assert seen[-1] == (36 + 9 + 4 + 1, 36 + 9 + 4 + 1) and seen == sorted(seen)
    with open_map(layout) as basemap:
        assert basemap.resolution == pytest.approx(0.5)
        for pixels in (480, 240, 120):
            rgb, covered = basemap.read(GROUND, pixels)
            assert covered.all() and np.abs(rgb - truth(GROUND, pixels)).mean() < 2


def test_a_map_is_written_in_its_own_frame(tmp_path: Path) -> None:
    with open_map(geotiff(tmp_path)) as source:
        layout = write_pyramid(tmp_path / "p", source, **OPTIONS)
        with open_map(layout) as copy:
            assert np.abs(copy.read(GROUND, 240)[0].astype(int) - source.read(GROUND, 240)[0]).mean() < 1.5
        with pytest.raises(TiercelError, match="not in EPSG:4326"):
            write_pyramid(tmp_path / "q", source, crs="EPSG:4326")
    other = tmp_path / "other"
    other.mkdir()
    with open_map(geotiff(other, pitch=0.25)) as source, pytest.raises(TiercelError, match="holds another pyramid"):
        write_pyramid(tmp_path / "p", source, **OPTIONS)


def test_an_interrupted_pyramid_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    calls = 0

    def stops(square: Square, pixels: int) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise KeyboardInterrupt
        return drawn(square, pixels)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "p", stops)
    assert not (tmp_path / "p" / "layout.yaml").exists() and not list((tmp_path / "p").rglob("*.part"))
    with pytest.raises(TiercelError, match="part of another pyramid"):
        write(tmp_path / "p", quality=50)
    write(tmp_path / "p", stops)
    assert calls == 20 + 36 - 19
    write(tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*.jpg"):
        again = Image.open(tmp_path / "p" / path.relative_to(tmp_path / "whole"))
        assert np.abs(np.asarray(again).astype(int) - np.asarray(Image.open(path))).mean() < 1.0
    write(tmp_path / "p", lambda *_: pytest.fail("nothing is left to draw"))


def test_where_there_is_nothing_no_tile_is_written(tmp_path: Path) -> None:
    def western(square: Square, pixels: int) -> np.ndarray | None:
        return drawn(square, pixels) if square.x < GROUND.x else None

    write(tmp_path / "p", western)
    assert {path.parent.name for path in (tmp_path / "p" / "0").rglob("*.jpg")} == {"0", "1", "2"}
    with pytest.raises(TiercelError, match="nothing to write"):
        write(tmp_path / "q", lambda *_: None)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(TiercelError, match="cannot be used"):
        write(tmp_path / "file" / "p")


def test_the_package_reads_what_is_written(tmp_path: Path) -> None:
    layout = write(tmp_path / "p")
    latitude, longitude = (float(value) for value in FRAME.to_wgs84(GROUND.x, GROUND.y))
    (theirs,) = package.load(layout, [(latitude, longitude, 0.5, 200)], tmp_path)
    with open_map(layout) as basemap:
        ours, covered = basemap.read(Square(GROUND.x, GROUND.y, 100.0), 200)
    # True north is 1.3 degrees from the grid's: compared in the middle, where that is less than half a metre.
    middle = slice(80, 120)
    assert covered.all() and np.abs(theirs.astype(int) - ours)[middle, middle].mean() < 6
