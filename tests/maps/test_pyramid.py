from collections.abc import Iterator

import numpy as np
import pytest

from tests.maps.pattern import encoded
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square
from tiercel.maps import basemap
from tiercel.maps.pyramid import TileGrid, TilePyramid

#: Tiles of 256 m at zoom 0, on a metric frame: the tile (x, y) lies x * 256 m east and y * 256 m south of the origin.
GRID = TileGrid("EPSG:32632", (420_000.0, 5_130_000.0), 256.0)
GREY = encoded(np.full((256, 256, 3), 120, np.uint8))


class Shelf:
    """Tiles in memory that counts what is asked of it."""

    def __init__(self, tiles: dict[tuple[int, int, int], bytes]) -> None:
        self.shelf = tiles
        self.asked: list[tuple[int, int, int]] = []
        self.extents = {}
        for zoom in {key[0] for key in tiles}:
            xs, ys = zip(*(key[1:] for key in tiles if key[0] == zoom), strict=True)
            self.extents[zoom] = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)

    def tiles(self, zoom, wanted) -> Iterator[bytes | None]:
        for tile in wanted:
            self.asked.append((zoom, *tile))
            yield self.shelf.get((zoom, *tile))

    def where(self, zoom, tile) -> str:
        return f"tile {zoom}/{tile[0]}/{tile[1]}"

    def fingerprint(self) -> str:
        return "shelf"

    def close(self) -> None:
        pass


def shades(zoom: int, side: int) -> dict[tuple[int, int, int], bytes]:
    """side x side tiles of one zoom, each of its own grey."""
    return {
        (zoom, x, y): encoded(np.full((256, 256, 3), 10 + (30 + 10 * zoom + 5 * x + 20 * y) % 200, np.uint8))
        for x in range(side)
        for y in range(side)
    }


def square(left: float, top: float, side: float) -> Square:
    return Square(420_000 + left + side / 2, 5_130_000 - top - side / 2, side)


def test_only_the_tiles_that_are_needed_are_read() -> None:
    shelf = Shelf({**shades(0, 4), **shades(1, 8), **shades(2, 16)})
    pyramid = TilePyramid("shelf", "shelf", shelf, GRID)
    shelf.asked.clear()
    pyramid.read(square(300.0, 300.0, 100.0), 100)
    assert shelf.asked == [(0, 1, 1)]
    shelf.asked.clear()
    pyramid.read(square(310.0, 310.0, 20.0), 80)
    assert sorted(shelf.asked) == [(2, 4, 4), (2, 4, 5), (2, 5, 4), (2, 5, 5)]
    shelf.asked.clear()
    pyramid.read(square(310.0, 310.0, 50.0), 50)
    assert shelf.asked == [], "a tile read a moment ago must come from memory"


def test_zoom_is_just_finer_than_asked() -> None:
    shelf = Shelf({**shades(0, 4), **shades(1, 8), **shades(2, 16)})
    pyramid = TilePyramid("shelf", "shelf", shelf, GRID)
    for pixels, zoom in ((25, 0), (99, 0), (100, 0), (101, 1), (200, 1), (210, 2), (399, 2), (2000, 2)):
        shelf.asked.clear()
        pyramid._kept.clear()
        pyramid.read(square(300.0, 300.0, 100.0), pixels)
        assert {asked[0] for asked in shelf.asked} == {zoom}, pixels


def test_missing_tile_is_a_hole_with_sharp_edges() -> None:
    tiles = shades(0, 3)
    del tiles[0, 1, 1]
    pyramid = TilePyramid("shelf", "shelf", Shelf(tiles), GRID)
    rgb, covered = pyramid.read(square(0.0, 0.0, 768.0), 768)
    hole = np.zeros((768, 768), bool)
    hole[256:512, 256:512] = True
    assert np.array_equal(covered, ~hole)
    assert set(np.unique(rgb[hole])) == {0} and rgb[255, 300, 0] == 45, "the tile north of the hole"


def test_hole_in_a_fine_zoom_is_not_patched_from_a_coarse_one() -> None:
    tiles = {**shades(0, 2), **shades(1, 4)}
    del tiles[1, 2, 2]
    _, covered = TilePyramid("shelf", "shelf", Shelf(tiles), GRID).read(square(0.0, 0.0, 512.0), 1024)
    assert not covered[512:768, 512:768].any() and covered.sum() == 1024**2 - 256**2


def test_coarser_zoom_goes_on_where_the_finer_one_ends() -> None:
    """Zoom 1 covers the 256 m in the north-west alone; around them zoom 0 must show."""
    shelf = Shelf({**shades(0, 4), **shades(1, 2)})
    pyramid = TilePyramid("shelf", "shelf", shelf, GRID)
    assert pyramid.bounds == (420_000.0, 5_128_976.0, 421_024.0, 5_130_000.0)
    assert pyramid.resolution == pytest.approx(0.5)
    rgb, covered = pyramid.read(square(100.0, 0.0, 200.0), 400)
    assert covered.all()
    assert rgb[100, 311, 0] == 50 + 5, "the finer zoom, west of 256 m"
    assert rgb[100, 313, 0] == 40 + 5, "the coarser zoom, east of 256 m"


def test_coarse_tiles_that_hang_over_the_edge_are_no_ground() -> None:
    """One tile of zoom 0 covers 256 m, but the map is the 128 m of zoom 1 in it."""
    pyramid = TilePyramid("shelf", "shelf", Shelf({**shades(0, 1), **shades(1, 1)}), GRID)
    assert pyramid.bounds == (420_000.0, 5_129_872.0, 420_128.0, 5_130_000.0)
    _, covered = pyramid.read(square(0.0, 0.0, 256.0), 64)
    assert covered[:32, :32].all() and covered.sum() <= 35**2


def test_a_wide_view_of_a_map_without_coarse_zooms_is_put_together_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basemap, "_MOST_PIXELS", 1_000_000)
    shelf = Shelf(shades(0, 15))
    pyramid = TilePyramid("shelf", "shelf", shelf, GRID)
    rgb, covered = pyramid.read(square(0.0, 0.0, 15 * 256.0), 15)
    assert covered.all()
    expected = [[10 + (30 + 5 * x + 20 * y) % 200 for x in range(15)] for y in range(15)]
    assert np.array_equal(rgb[..., 0], expected)


def test_clip_hides_what_lies_outside() -> None:
    clip = (420_100.0, 5_129_700.0, 420_300.0, 5_129_900.0)
    pyramid = TilePyramid("shelf", "shelf", Shelf(shades(0, 2)), GRID, clip)
    assert pyramid.bounds == clip
    _, covered = pyramid.read(square(0.0, 0.0, 512.0), 512)
    assert covered[100:300, 100:300].all() and covered.sum() == 200**2


def test_transparent_pixels_are_not_covered() -> None:
    rgba = np.full((256, 256, 4), 200, np.uint8)
    rgba[:, 128:, 3] = 0
    for kind in ("PNG", "WEBP"):
        pyramid = TilePyramid("shelf", "shelf", Shelf({(0, 0, 0): encoded(rgba, kind, lossless=True)}), GRID)
        _, covered = pyramid.read(square(0.0, 0.0, 256.0), 256)
        assert covered[:, :128].all() and not covered[:, 128:].any()


@pytest.mark.parametrize("shade", [0, 255])
def test_collar_of_a_jpeg_tile_is_not_covered(shade: int) -> None:
    rng = np.random.default_rng(5)
    rgb = rng.integers(60, 200, (256, 256, 3)).astype(np.uint8)
    rgb[(np.arange(256)[:, None] + np.arange(256) // 4) < 60] = shade
    tile = encoded(rgb, "JPEG", quality=85)
    pyramid = TilePyramid("shelf", "shelf", Shelf({(0, 0, 0): tile}), GRID)
    _, covered = pyramid.read(square(0.0, 0.0, 256.0), 256)
    assert not covered[:52, :8].any()
    assert covered[62:].all() and covered[:, 248:].all()


def test_white_roof_amid_a_tile_is_ground() -> None:
    rgb = np.random.default_rng(6).integers(60, 200, (256, 256, 3)).astype(np.uint8)
    rgb[100:140, 90:150] = 255
    rgb[:30, 100:130] = 255
    pyramid = TilePyramid("shelf", "shelf", Shelf({(0, 0, 0): encoded(rgb, "JPEG", quality=90)}), GRID)
    assert pyramid.read(square(0.0, 0.0, 256.0), 256)[1].all()


@pytest.mark.parametrize("harm", ["cut", "text", "small"])
def test_damaged_tile_is_named(harm: str) -> None:
    tiles = shades(0, 2)
    noise = encoded(np.random.default_rng(7).integers(0, 255, (256, 256, 3)).astype(np.uint8), "JPEG")
    tiles[0, 1, 1] = {"cut": noise[:9000], "text": b"<html>", "small": encoded(np.zeros((9, 9, 3), np.uint8))}[harm]
    pyramid = TilePyramid("shelf", "shelf", Shelf(tiles), GRID)
    assert pyramid.read(square(0.0, 0.0, 250.0), 100)[1].all()
    with pytest.raises(TiercelError, match=r"^tile 0/1/1 is not"):
        pyramid.read(square(200.0, 200.0, 250.0), 100)


def test_no_tiles_at_all() -> None:
    with pytest.raises(TiercelError, match="holds no tiles"):
        TilePyramid("shelf", "shelf", Shelf({}), GRID)


def test_frame_of_a_metric_grid_is_its_own() -> None:
    assert TilePyramid("shelf", "shelf", Shelf(shades(0, 1)), GRID).frame == Frame("EPSG:32632")
