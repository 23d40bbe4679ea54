import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin

from tests.maps.pattern import (
    FRAME,
    GROUND,
    MERCATOR,
    colour,
    geotiff,
    north_up,
    picture,
    truth,
    write_raster,
)
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square
from tiercel.maps import open_map

#: One metre a pixel, 100 pixels a side.
TRANSFORM = from_origin(420_000, 5_130_000, 1, 1)
WHOLE = Square(420_050.0, 5_129_950.0, 100.0)


def read(path: Path, square: Square = WHOLE, pixels: int = 100) -> tuple[np.ndarray, np.ndarray]:
    with open_map(path) as basemap:
        return basemap.read(square, pixels)


def ramp(dtype: str = "uint8") -> np.ndarray:
    """(100, 100, 1) rising to the east and, faster, to the south."""
    row, column = np.mgrid[0:100, 0:100]
    return (column + 1.5 * row + 1).astype(dtype)[..., None]


def test_native_pixels_come_back_exactly(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(1, 255, (100, 100, 3)).astype(np.uint8)
    shown, covered = read(write_raster(tmp_path / "a.tif", rgb, TRANSFORM))
    assert np.array_equal(shown, rgb) and covered.all()


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    rgb = np.random.default_rng(2).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", rgb, TRANSFORM)
    for pixels in (50, 25, 20):
        each = 100 // pixels
        mean = rgb.reshape(pixels, each, pixels, each, 3).mean((1, 3))
        # At a fifth, the points asked of the half-sized level fall between its pixels.
        assert np.abs(read(path, WHOLE, pixels)[0] - mean).mean() < (1 if each in (2, 4) else 10)


def test_grey_map_is_grey_in_three_channels(tmp_path: Path) -> None:
    shown, covered = read(write_raster(tmp_path / "grey.tif", ramp(), TRANSFORM))
    assert np.array_equal(shown, np.repeat(ramp(), 3, -1)) and covered.all()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_deep_values_are_stretched_over_their_range(dtype: str, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "deep.tif", np.repeat(ramp(dtype) * 40, 3, -1), TRANSFORM)
    shown, _ = read(path)
    assert shown[0, 0, 0] == 0 and shown[-1, -1, 0] == 255
    assert 110 < shown[50, 50, 0] < 145
    assert (np.diff(shown[50, :, 1].astype(int)) >= 0).all() and np.unique(shown).size > 200
    part, _ = read(path, Square(WHOLE.x, WHOLE.y, 20.0), 20)
    assert np.array_equal(part, shown[40:60, 40:60]), "the range must not depend on what is read"


def test_palette_shows_its_colours(tmp_path: Path) -> None:
    index = np.zeros((100, 100, 1), np.uint8)
    index[:, 60:] = 7
    path = write_raster(tmp_path / "palette.tif", index, TRANSFORM, photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 7: (200, 100, 50, 255)})
    shown, _ = read(path)
    assert shown[5, 5].tolist() == [10, 20, 30] and shown[5, 95].tolist() == [200, 100, 50]


def holed(kind: str, path: Path) -> Path:
    """A green map, one metre a pixel, whose north-western 40 x 30 pixels are missing in one of several ways."""
    rgb = np.full((100, 100, 3), (50, 200, 70), np.uint8)
    rgb[:40, :30] = 0
    present = np.ones((100, 100), bool)
    present[:40, :30] = False
    if kind == "nodata":
        return write_raster(path, rgb, TRANSFORM, nodata=0)
    if kind == "nan":
        deep = np.where(present[..., None], ramp("float32"), np.float32("nan"))
        return write_raster(path, deep, TRANSFORM)
    if kind == "alpha":
        rgba = np.dstack([rgb, present.astype(np.uint8) * 255])
        return write_raster(path, rgba, TRANSFORM, photometric="RGB", alpha="yes")
    write_raster(path, rgb, TRANSFORM)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "mask"), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(present)
    return path


@pytest.mark.parametrize("overviews", [False, True])
@pytest.mark.parametrize("kind", ["nodata", "nan", "alpha", "mask", "mask beside"])
def test_holes_are_not_covered_and_do_not_darken_their_edges(kind: str, overviews: bool, tmp_path: Path) -> None:
    path = holed(kind, tmp_path / "holed.tif")
    if overviews:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], Resampling.average)
    for pixels in (100, 50, 37, 25, 200):
        shown, covered = read(path, WHOLE, pixels)
        pitch = 100 / pixels
        x, y = np.meshgrid(*WHOLE.pixel_centres(pixels))
        east, south = x - WHOLE.west, WHOLE.north - y
        inside = (east > 30 + pitch) | (south > 40 + pitch)
        assert covered[inside].all()
        assert not covered[(east < 30 - pitch) & (south < 40 - pitch)].any()
        assert not shown[~covered].any()
        if kind != "nan":
            assert np.abs(shown[covered].astype(int) - (50, 200, 70)).max() <= 1


def test_overviews_are_what_is_read_when_zoomed_out(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.full((512, 512, 3), 100, np.uint8), TRANSFORM)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.average)
    with rasterio.open(tmp_path / "a.tif.ovr", "r+") as overview:
        overview.write(np.full((3, 256, 256), 170, np.uint8))
    whole = Square(420_256.0, 5_129_744.0, 512.0)
    with open_map(path) as basemap:
        assert (basemap.read(whole, 512)[0] == 100).all()
        assert (basemap.read(whole, 256)[0] == 170).all()


def test_vrt(tmp_path: Path) -> None:
    copy_raster(str(geotiff(tmp_path)), str(tmp_path / "map.vrt"), driver="VRT")
    with open_map(tmp_path / "map.vrt") as basemap:
        shown, covered = basemap.read(Square(GROUND.x, GROUND.y, 100.0), 100)
    assert covered.all() and np.abs(shown - truth(Square(GROUND.x, GROUND.y, 100.0), 100)).max() <= 4


def test_map_without_crs(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "bare.tif", ramp(), TRANSFORM, crs=None)
    with pytest.raises(TiercelError, match=r"bare\.tif has no coordinate system; add --crs EPSG"):
        open_map(path)
    with open_map(path, crs="EPSG:32632") as basemap:
        assert basemap.frame == FRAME and basemap.read(WHOLE, 10)[1].all()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_map_without_a_place(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scan.tif", ramp(), None)
    with pytest.raises(TiercelError, match="not placed on the ground"):
        open_map(path)


def test_map_of_nothing(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "empty.tif", np.zeros((100, 100, 3), np.uint8), TRANSFORM, nodata=0)
    with pytest.raises(TiercelError, match=r"empty\.tif covers nothing"):
        open_map(path)


def test_an_island_smaller_than_a_thumbnail_pixel_counts(tmp_path: Path) -> None:
    rgb = np.zeros((3000, 3000, 3), np.uint8)
    rgb[1501:1503, 1700:1702] = 90
    path = write_raster(tmp_path / "island.tif", rgb, TRANSFORM, nodata=0, compress="deflate")
    island = Square(421_701.0, 5_128_498.0, 2.0)
    shown, covered = read(path, island, 2)
    assert covered.all() and (shown == 90).all()


def test_truncated_map_is_an_error_not_black(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 255, (600, 600, 3)).astype(np.uint8)
    path = write_raster(tmp_path / "cut.tif", rgb, TRANSFORM, tiled=True, blockxsize=256, blockysize=256)
    path.write_bytes(path.read_bytes()[:700_000])
    with pytest.raises(TiercelError, match=r"cut\.tif"), open_map(path) as basemap:
        basemap.read(Square(420_300.0, 5_129_700.0, 600.0), 600)


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first = write_raster(tmp_path / "a.tif", ramp(), TRANSFORM)
    second = Path(shutil.copy(first, tmp_path / "b.tif"))
    changed = ramp()
    changed[50, 50] += 1
    third = write_raster(tmp_path / "c.tif", changed, TRANSFORM)
    prints = []
    for path in (first, second, third):
        with open_map(path) as basemap:
            prints.append(basemap.fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_frame_of_web_mercator_and_its_true_resolution(tmp_path: Path) -> None:
    with open_map(geotiff(tmp_path, MERCATOR, pitch=0.5)) as basemap:
        assert basemap.frame == Frame("EPSG:32632")
        assert basemap.resolution == pytest.approx(0.5, rel=0.02)


def test_alpha_is_not_a_colour(tmp_path: Path) -> None:
    rgba = np.dstack([np.repeat(ramp(), 3, -1), np.full((100, 100), 255, np.uint8)])
    path = write_raster(tmp_path / "a.tif", rgba, TRANSFORM, photometric="RGB", alpha="yes")
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha
    assert np.array_equal(read(path)[0], np.repeat(ramp(), 3, -1))


def test_the_same_map_in_another_frame(tmp_path: Path) -> None:
    """A map stored in one zone, read in the next, where north is turned by degrees."""
    transform, pixels = north_up(FRAME.name, 0.5)
    path = write_raster(tmp_path / "a.tif", picture(FRAME.name, transform, pixels, pixels), transform)
    other = Frame("EPSG:32633")
    with open_map(path) as basemap:
        moved = basemap.in_frame(other)
        assert basemap.frame == FRAME and moved.frame == other
        x, y = other.from_crs(FRAME.name, GROUND.x, GROUND.y)
        west, south, east, north = moved.bounds
        assert west < x < east and south < y < north
        square = Square(float(x), float(y), 60.0)
        shown, covered = moved.read(square, 60)
        assert moved.fingerprint() == basemap.fingerprint()
    points = FRAME.from_crs(other.name, *np.meshgrid(*square.pixel_centres(60)))
    assert covered.all()
    assert np.abs(shown.astype(float) - colour(*points))[5:-5, 5:-5].mean() < 2
