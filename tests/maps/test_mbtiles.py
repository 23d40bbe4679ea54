import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.maps.pattern import GROUND, encoded, mbtiles, truth, web_tiles, write_mbtiles
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import open_map

BRIG = Path("../shared/data/brig/brig.mbtiles")
needs_brig = pytest.mark.skipif(not BRIG.exists(), reason="the real tiles are not here")


def test_bounds_of_the_metadata_limit_the_map(tmp_path: Path) -> None:
    inner = GROUND.expanded(-60.0)
    with open_map(mbtiles(tmp_path)) as basemap:
        latitude, longitude = basemap.frame.to_wgs84([inner.west, inner.east], [inner.south, inner.north])
    bounds = f"{longitude[0]},{latitude[0]},{longitude[1]},{latitude[1]}"
    with open_map(write_mbtiles(tmp_path / "b.mbtiles", web_tiles(), bounds=bounds)) as basemap:
        assert basemap.bounds == pytest.approx(inner.bounds, abs=3.0)
        _, covered = basemap.read(GROUND, 240)
    assert covered[70:-70, 70:-70].all() and not covered[:55].any() and not covered[:, -55:].any()


@pytest.mark.parametrize("bounds", ["", "nonsense", "9,9,1,1", "-180,-90,180,90", "100,10,101,11"])
def test_useless_bounds_are_ignored(bounds: str, tmp_path: Path) -> None:
    with open_map(write_mbtiles(tmp_path / "b.mbtiles", web_tiles(range(17, 19)), bounds=bounds)) as basemap:
        rgb, covered = basemap.read(GROUND, 120)
    assert covered.all() and np.abs(rgb - truth(GROUND, 120)).max() < 6


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_formats(kind: str, tmp_path: Path) -> None:
    tile = encoded(np.full((256, 256, 3), (90, 120, 60), np.uint8), kind, quality=95)
    tiles = [(18, 136_900, 92_900, tile)]
    with open_map(write_mbtiles(tmp_path / "b.mbtiles", iter(tiles))) as basemap:
        west, south, east, north = basemap.bounds
        rgb, covered = basemap.read(Square((west + east) / 2, (south + north) / 2, 80.0), 80)
    assert covered.all() and np.abs(rgb.astype(int) - (90, 120, 60)).max() <= 3


def test_cut_short(tmp_path: Path) -> None:
    path = mbtiles(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(TiercelError, match=r"map\.mbtiles is not a whole MBTiles file"):
        open_map(path)


def test_empty(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="holds no tiles"):
        open_map(write_mbtiles(tmp_path / "b.mbtiles", iter([])))


def test_vector_tiles(tmp_path: Path) -> None:
    path = write_mbtiles(tmp_path / "b.mbtiles", iter([(0, 0, 0, b"\x1f\x8b")]))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE metadata SET value = 'pbf' WHERE name = 'format'")
    with pytest.raises(TiercelError, match="vector tiles"):
        open_map(path)


def test_the_file_is_not_touched(tmp_path: Path) -> None:
    path = mbtiles(tmp_path)
    path.chmod(0o444)
    before = path.read_bytes()
    with open_map(path) as basemap:
        basemap.read(GROUND, 50)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["map.mbtiles"]


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = mbtiles(tmp_path)
    second = Path(shutil.copy(first, tmp_path / "copy.mbtiles"))
    with open_map(first) as one, open_map(second) as other:
        assert one.fingerprint() == other.fingerprint()
    with sqlite3.connect(second) as database:
        database.execute("DELETE FROM tiles WHERE zoom_level = 18 AND rowid % 3 = 0")
    with open_map(first) as one, open_map(second) as other:
        assert one.fingerprint() != other.fingerprint()


@needs_brig
@pytest.mark.parametrize("side", [20.0, 200.0, 2000.0, 20_000.0])
def test_brig_is_covered_at_any_size(side: float) -> None:
    with open_map(BRIG) as basemap:
        x, y = basemap.frame.from_wgs84(46.3165, 7.9815)  # the town
        rgb, covered = basemap.read(Square(float(x), float(y), side), 256)
        assert basemap.resolution == pytest.approx(0.206, abs=0.001)
    assert covered[128, 128] and rgb[covered].std() > 10
    # 5 km2 of the view, less what lies beyond the map's edge.
    assert {20.0: 1, 200.0: 1, 2000.0: 0.55, 20_000.0: 0.012}[side] <= covered.mean() + 0.02
    assert not (rgb[covered].min(-1) > 250).mean() > 0.01, "white collars are no ground"


@needs_brig
def test_brig_as_a_folder_shows_the_same(tmp_path: Path) -> None:
    database = sqlite3.connect(f"{BRIG.resolve().as_uri()}?mode=ro", uri=True)
    for zoom, x, row, data in database.execute("SELECT * FROM tiles"):
        path = tmp_path / "xyz" / str(zoom) / str(x) / f"{2**zoom - 1 - row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with open_map(BRIG) as packed, open_map(tmp_path / "xyz") as loose:
        x, y = packed.frame.from_wgs84(46.3165, 7.9815)
        for side in (20.0, 300.0, 1500.0):
            square = Square(float(x), float(y), side)
            (rgb, covered), (same, too) = packed.read(square, 200), loose.read(square, 200)
            both = covered & too
            assert both.mean() > 0.7 and np.array_equal(rgb[both], same[both])
