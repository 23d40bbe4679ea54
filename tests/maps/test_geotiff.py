import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.maps.pattern import FRAME, GROUND, colour
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import open_map, write_geotiff


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(9).integers(1, 255, (rows, columns, 3)).astype(np.uint8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rgb = noise(300, 520)
    write_geotiff(tmp_path / "a.tif", rgb, FRAME, 420_000.0, 5_130_000.0, 0.5)
    with open_map(tmp_path / "a.tif") as basemap:
        assert basemap.bounds == (420_000.0, 5_129_850.0, 420_260.0, 5_130_000.0)
        assert basemap.frame == FRAME and basemap.resolution == pytest.approx(0.5)
        shown, covered = basemap.read(Square(420_075.0, 5_129_925.0, 150.0), 300)
    assert covered.all() and np.array_equal(shown, rgb[:, :300])


def test_layout_of_the_file(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", noise(700, 1100), FRAME, 420_000.0, 5_130_000.0, 0.5)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.block_shapes[0] == (256, 256) and dataset.overviews(1) == [2, 4, 8]
        assert dataset.compression.name == "deflate" and dataset.crs.to_epsg() == 32632
        overview = dataset.read(out_shape=(3, 350, 550))
    mean = noise(700, 1100).reshape(350, 2, 550, 2, 3).mean((1, 3))
    assert np.abs(np.moveaxis(overview, 0, -1) - mean).max() <= 1


def test_coverage_becomes_a_mask(tmp_path: Path) -> None:
    x, y = np.meshgrid(*GROUND.pixel_centres(480))
    covered = x + y < GROUND.x + GROUND.y + 50
    write_geotiff(tmp_path / "a.tif", colour(x, y), FRAME, GROUND.west, GROUND.north, 0.5, covered)
    with open_map(tmp_path / "a.tif") as basemap:
        shown, seen = basemap.read(GROUND, 480)
        assert np.array_equal(seen, covered) and np.array_equal(shown[covered], colour(x, y)[covered])
        small, seen = basemap.read(GROUND, 120)
    coarse = covered.reshape(120, 4, 120, 4).mean((1, 3))
    assert seen[coarse == 1].all() and not seen[coarse == 0].any()
    assert small[seen].min() > 20, "the black beyond must not bleed in"


def test_replaces_a_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("old")
    write_geotiff(tmp_path / "a.tif", noise(10, 10), FRAME, 10.0, 10.0, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.shape == (10, 10)


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same place."""
    code = f"""
import resource, sys
import numpy as np
sys.path.insert(0, "src")
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.maps import write_geotiff
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3)).astype(np.uint8)
try:
    write_geotiff({str(tmp_path / "a.tif")!r}, noise, Frame("EPSG:32632"), 0.0, 0.0, 1.0)
except TiercelError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "a.tif" in shown and "free some space" in shown
    assert list(tmp_path.iterdir()) == []


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"Cannot write .*a\.tif"):
        write_geotiff(tmp_path / "no" / "a.tif", noise(4, 4), FRAME, 10.0, 10.0, 1.0)
