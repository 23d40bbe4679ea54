"""A ground whose colour is known everywhere, stored as every kind of map."""

import io
import math
import sqlite3
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
import yaml
from PIL import Image
from rasterio.transform import Affine, from_origin

from tiercel.geo import Frame, Square

FRAME = Frame("EPSG:32632")
MERCATOR = "EPSG:3857"
WORLD = 2 * math.pi * 6378137
#: The ground that every map covers at least.
GROUND = Square(420_500.0, 5_129_500.0, 240.0)


def colour(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Red waves to the east, green waves to the north with another length, blue slopes to the north-east.

    A shift of a tenth of a metre changes red by 1.3 grey levels or more over most of the ground.
    """
    east, north = x - GROUND.west, y - GROUND.south
    red = 128 + 100 * np.sin(2 * np.pi * east / 48)
    green = 128 + 100 * np.sin(2 * np.pi * north / 40)
    blue = 128 + (east + 2 * north - 360) / 8
    return np.clip(np.stack([red, green, blue], -1) + 0.5, 1, 254).astype(np.uint8)


def truth(square: Square, pixels: int) -> np.ndarray:
    """What a picture of the square must show: the mean colour of every pixel's area."""
    x, y = square.pixel_centres(4 * pixels)
    return colour(*np.meshgrid(x, y)).reshape(pixels, 4, pixels, 4, 3).mean((1, 3))


def picture(crs: str, transform: Affine, rows: int, columns: int) -> np.ndarray:
    """The ground as an image in any coordinate system."""
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    x, y = transform @ (column, row)
    return colour(*FRAME.from_crs(crs, x, y))


def write_raster(
    path: Path, rgb: np.ndarray, transform: Affine | None, crs: str | None = FRAME.name, **profile: object
) -> Path:
    """A raster of any type; rgb is (rows, columns, bands)."""
    options = {"driver": "GTiff", "height": rgb.shape[0], "width": rgb.shape[1], "count": rgb.shape[2], **profile}
    with rasterio.open(path, "w", dtype=rgb.dtype, crs=crs, transform=transform, **options) as dataset:
        dataset.write(np.moveaxis(rgb, -1, 0))
    return path


def north_up(crs: str, pitch: float, margin: float = 10.0) -> tuple[Affine, int]:
    """A north-up grid in a CRS around the ground: its transform and its pixels a side, for a pitch in metres."""
    around = GROUND.expanded(margin)
    x, y = FRAME.to_crs(crs, *np.meshgrid([around.west, around.east], [around.south, around.north]))
    side = max(np.ptp(x), np.ptp(y))
    pixels = math.ceil(around.side / pitch)
    return from_origin(x.min(), y.max(), side / pixels, side / pixels), pixels


def geotiff(folder: Path, crs: str = FRAME.name, pitch: float = 0.5) -> Path:
    transform, pixels = north_up(crs, pitch)
    return write_raster(folder / "map.tif", picture(crs, transform, pixels, pixels), transform, crs)


def rotated_geotiff(folder: Path) -> Path:
    transform = Affine.translation(GROUND.x, GROUND.y) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    transform = transform @ Affine.translation(-500, -500)
    return write_raster(folder / "map.tif", picture(FRAME.name, transform, 1000, 1000), transform)


def web_tiles(zooms: range = range(14, 19)) -> list[tuple[int, int, int, bytes]]:
    """(zoom, x, y, PNG) of the XYZ tiles that touch the ground."""
    return [tile for tile in _all_web_tiles() if tile[0] in zooms]


@lru_cache(1)
def _all_web_tiles() -> list[tuple[int, int, int, bytes]]:
    tiles = []
    x, y = FRAME.to_crs(MERCATOR, *np.meshgrid([GROUND.west, GROUND.east], [GROUND.south, GROUND.north]))
    for zoom in range(14, 19):
        side = WORLD / 2**zoom
        for column in range(int((x.min() + WORLD / 2) / side), int((x.max() + WORLD / 2) / side) + 1):
            for row in range(int((WORLD / 2 - y.max()) / side), int((WORLD / 2 - y.min()) / side) + 1):
                transform = from_origin(column * side - WORLD / 2, WORLD / 2 - row * side, side / 256, side / 256)
                tiles.append((zoom, column, row, encoded(picture(MERCATOR, transform, 256, 256))))
    return tiles


def encoded(rgb: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def xyz(folder: Path) -> Path:
    for zoom, x, y, data in web_tiles():
        put(folder / "tiles" / str(zoom) / str(x) / f"{y}.png", data)
    return folder / "tiles"


def tms(folder: Path) -> Path:
    for zoom, x, y, data in web_tiles():
        put(folder / "tiles" / str(zoom) / str(x) / f"{2**zoom - 1 - y}.png", data)
    (folder / "tiles" / "tilemapresource.xml").write_text("<TileMap/>")
    return folder / "tiles"


def template(folder: Path) -> str:
    for zoom, x, y, data in web_tiles():
        put(folder / "t" / f"z{zoom}" / f"{x}_{2**zoom - 1 - y}.png", data)
    return f"{folder}/t/z{{z}}/{{x}}_{{-y}}.png"


def mbtiles(folder: Path) -> Path:
    return write_mbtiles(folder / "map.mbtiles", web_tiles())


def write_mbtiles(path: Path, tiles: Iterable[tuple[int, int, int, bytes]], **metadata: str) -> Path:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE metadata (name text, value text)")
    database.execute("CREATE TABLE tiles (zoom_level int, tile_column int, tile_row int, tile_data blob)")
    database.executemany("INSERT INTO metadata VALUES (?, ?)", {"format": "png", **metadata}.items())
    rows = [(zoom, x, 2**zoom - 1 - y, data) for zoom, x, y, data in tiles]
    database.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    return path


LAYOUT = {
    "crs": FRAME.name.lower(),
    "tile_shape_px": [100, 100],
    "tile_shape_crs": [50.0, 50.0],
    "origin_crs": [420_010.0, 5_128_990.0],
    "tile_axes": ["east", "north"],
    "path": "{zoom}/{x}/{y}.png",
    "min_zoom": -2,
    "max_zoom": 0,
}


@lru_cache(1)
def pyramid_tiles() -> list[tuple[int, int, int, bytes]]:
    """(zoom, x, y, PNG) in the layout above."""
    tiles = []
    east, north = LAYOUT["origin_crs"]
    for zoom in range(-2, 1):
        side = 50.0 / 2.0**zoom
        for x in range(int((GROUND.west - east) // side), int((GROUND.east - east) // side) + 1):
            for y in range(int((GROUND.south - north) // side), int((GROUND.north - north) // side) + 1):
                transform = from_origin(east + x * side, north + (y + 1) * side, side / 100, side / 100)
                tiles.append((zoom, x, y, encoded(picture(FRAME.name, transform, 100, 100))))
    return tiles


def tiledwebmaps(folder: Path) -> Path:
    for zoom, x, y, data in pyramid_tiles():
        put(folder / "pyramid" / str(zoom) / str(x) / f"{y}.png", data)
    (folder / "pyramid" / "layout.yaml").write_text(yaml.safe_dump(LAYOUT))
    return folder / "pyramid" / "layout.yaml"


def packed_tiledwebmaps(folder: Path) -> Path:
    """The same packed, and opened by its folder."""
    tiles = pyramid_tiles()
    offsets = np.cumsum([0, *(len(data) for *_, data in tiles)])
    zoom, x, y = (np.array([tile[i] for tile in tiles]) for i in range(3))
    put(folder / "packed" / "images.dat", b"".join(data for *_, data in tiles))
    np.savez(folder / "packed" / "images-meta.npz", zoom=zoom, x=x, y=y, offset=offsets)
    (folder / "packed" / "layout.yaml").write_text(yaml.safe_dump(LAYOUT))
    return folder / "packed"


KINDS: dict[str, Callable[[Path], Path | str]] = {
    "geotiff": geotiff,
    "geotiff in web mercator": lambda folder: geotiff(folder, MERCATOR),
    "geotiff in degrees": lambda folder: geotiff(folder, "EPSG:4326"),
    "geotiff in feet": lambda folder: geotiff(folder, "+proj=tmerc +lat_0=46 +lon_0=8 +units=us-ft +datum=WGS84"),
    "geotiff rotated": rotated_geotiff,
    "mbtiles": mbtiles,
    "xyz folder": xyz,
    "tms folder": tms,
    "tms template": template,
    "tiledwebmaps": tiledwebmaps,
    "tiledwebmaps packed": packed_tiledwebmaps,
}
