"""Tiles in an SQLite file (MBTiles 1.3, https://github.com/mapbox/mbtiles-spec)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.maps.digest import combined, sampled
from tiercel.maps.pyramid import WEB_MERCATOR, Tile, TilePyramid

_EXTENTS = (
    "SELECT zoom_level, min(tile_column), min(tile_row), max(tile_column) + 1, max(tile_row) + 1 "
    "FROM tiles GROUP BY zoom_level"
)
_TILE = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"


class MBTiles:
    """The tiles of one MBTiles file. Its rows count from the south; ours count from the north."""

    def __init__(self, path: Path) -> None:
        """Opens the file for reading only.

        Raises:
            TiercelError: It is no MBTiles file or is damaged.
        """
        self._path = path
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        try:
            self.metadata = dict(self._database.execute("SELECT name, value FROM metadata"))
            rows = self._database.execute(_EXTENTS).fetchall()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise TiercelError(f"{path} is not a whole MBTiles file ({error}); copy or download it again.") from error
        self.extents = {
            zoom: (left, 2**zoom - north, right, 2**zoom - south) for zoom, left, south, right, north in rows
        }

    def tiles(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[bytes | None]:
        """The encoded tiles (column, row), None for those that do not exist."""
        for column, row in wanted:
            try:
                found = self._database.execute(_TILE, (zoom, column, 2**zoom - 1 - row)).fetchone()
            except sqlite3.DatabaseError as error:
                raise TiercelError(f"{self._path} is damaged ({error}); copy or download it again.") from error
            yield found[0] if found and found[0] else None

    def where(self, zoom: int, tile: Tile) -> str:
        """Names a tile as the file does."""
        return f"Tile {zoom}/{tile[0]}/{2**zoom - 1 - tile[1]} of {self._path}"

    def fingerprint(self) -> str:
        """A digest of sampled bytes of the file."""
        return combined([sampled(self._path)])

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def is_mbtiles(path: Path) -> bool:
    """Whether a file is an SQLite file with tiles, rather than, say, a GeoPackage or a GeoTIFF."""
    with path.open("rb") as file:
        if not file.read(16).startswith(b"SQLite format 3"):
            return False
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'tiles'").fetchone() is not None
        except sqlite3.DatabaseError:
            # A file with this beginning is most likely an MBTiles file cut short; opening it will say so.
            return True


def open_mbtiles(path: Path) -> TilePyramid:
    """The map in an MBTiles file.

    Raises:
        TiercelError: The file is damaged, empty or holds vector tiles.
    """
    tiles = MBTiles(path)
    try:
        if tiles.metadata.get("format") == "pbf":
            raise TiercelError(f"{path} holds vector tiles, which show no ground; give a map of aerial images.")
        return TilePyramid(path.name, str(path), tiles, WEB_MERCATOR, _clip(tiles.metadata.get("bounds")))
    except BaseException:
        tiles.close()
        raise


def _clip(bounds: str | None) -> tuple[float, float, float, float] | None:
    """The bounds of the metadata (west, south, east, north in degrees) in web mercator, if they make sense."""
    try:
        west, south, east, north = (float(part) for part in (bounds or "").split(","))
    except ValueError:
        return None
    if not (-180 <= west < east <= 180 and -85.06 <= south < north <= 85.06):
        return None
    x, y = Frame(WEB_MERCATOR.crs).from_wgs84([south, north], [west, east])
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])
