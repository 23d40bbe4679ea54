"""Opening a map, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.maps.basemap import Basemap
from tiercel.maps.folder import open_folder, open_template
from tiercel.maps.mbtiles import is_mbtiles, open_mbtiles
from tiercel.maps.raster import RasterMap
from tiercel.maps.tiledwebmaps import open_tiledwebmaps
from tiercel.maps.url import open_url

_LAYOUT = "layout.yaml"
_REMOTE = ("http://", "https://", "s3://", "gs://", "/vsi")


def open_map(path_or_url: str | Path, *, crs: str | None = None, cache: str | Path | None = None) -> Basemap:
    """Opens a map; what is found there decides how.

    * A GeoTIFF, COG, VRT or any other raster that GDAL reads, also by URL.
    * An MBTiles file.
    * A folder of {z}/{x}/{y} tiles, or a path with these placeholders ({-y} for rows counted from the south).
    * A tile server: "https://.../{z}/{x}/{y}.jpg#area=SOUTH,WEST,NORTH,EAST" in degrees; see
      `tiercel.maps.url.open_url`.
    * A tiledwebmaps pyramid: its layout.yaml or the folder that holds it.

    Args:
        path_or_url: Where the map is.
        crs: Coordinate system such as "EPSG:32633", for a raster file that does not say its own.
        cache: Folder in which tiles from a server are kept; by default one of the user's cache folder.

    Returns:
        The map, to be closed or used in a `with` statement.

    Raises:
        TiercelError: Nothing is there, or it is not a map that shows any ground.
    """
    source = str(path_or_url)
    remote = source.startswith(_REMOTE)
    path = Path(source)
    if "{" in source and not path.exists():
        _refuse_crs(source, crs)
        return open_url(source, cache) if remote else open_template(source)
    if not remote and not path.exists():
        raise TiercelError(f"{source} does not exist; check the path of the map.")
    if path.is_dir() or path.name == _LAYOUT:
        _refuse_crs(source, crs)
        layout = path / _LAYOUT if path.is_dir() else path
        return open_tiledwebmaps(layout) if layout.exists() else open_folder(path)
    if path.is_file() and is_mbtiles(path):
        _refuse_crs(source, crs)
        return open_mbtiles(path)
    return RasterMap(source, crs)


def _refuse_crs(source: str, crs: str | None) -> None:
    if crs is not None:
        raise TiercelError(f"{source} says itself how its tiles lie; leave --crs out.")
