"""Pyramids of the package tiledwebmaps: layout.yaml beside tiles, loose or packed into images.dat.

The format is described by the package (https://github.com/fferflo/tiledwebmaps, release 0.2.0) alone: tile (x, y)
of a zoom counts along `tile_axes` from `origin_crs` in steps of `tile_shape_crs` / 2**zoom, and every tile is a
north-up picture.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyproj
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, ValidationError, model_validator

from tiercel.errors import TiercelError
from tiercel.geo.sphere import EARTH_RADIUS_M
from tiercel.maps.basemap import Window
from tiercel.maps.digest import combined, sampled
from tiercel.maps.folder import Numbering, TileFolder, extents_of
from tiercel.maps.pyramid import WEB_MERCATOR, Tile, TileGrid, TilePyramid, TileSource
from tiercel.maps.sampling import interpolate, smooth, smoothing_reach

_WORLD = WEB_MERCATOR.side


class Layout(BaseModel):
    """What layout.yaml says about the tiles that lie beside it; without `crs` it is a web map."""

    preset: Literal["XYZ"] | None = None
    crs: str = WEB_MERCATOR.crs
    tile_shape_crs: tuple[PositiveFloat, PositiveFloat] = (_WORLD, _WORLD)
    origin_crs: tuple[float, float] = (-_WORLD / 2, -_WORLD / 2)
    size_crs: tuple[float, float] | None = None
    tile_axes: tuple[Literal["east", "west"], Literal["north", "south"]] = ("east", "south")
    path: str = "{zoom}/{x}/{y}.jpg"
    min_zoom: int | None = None
    max_zoom: int | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.preset or self.model_fields_set.isdisjoint({"crs", "origin_crs"}):
            self.size_crs = (_WORLD, _WORLD)
        elif not {"tile_shape_crs", "origin_crs", "tile_axes"} <= self.model_fields_set:
            raise ValueError("it needs crs, tile_shape_crs, origin_crs and tile_axes, or preset: XYZ")
        if self.tile_shape_crs[0] != self.tile_shape_crs[1]:
            raise ValueError("tile_shape_crs must be square")
        if self.tile_axes != ("east", "north") and self.size_crs is None:
            raise ValueError("axes to the west or south need size_crs")
        return self

    def grid(self) -> TileGrid:
        """Where the tiles lie. The origin is the lower corner of `size_crs`, in the order of the CRS's axes."""
        x, y = self._east_first(self.origin_crs)
        width, height = self._east_first(self.size_crs or (0.0, 0.0))
        origin = (x + width * (self.tile_axes[0] == "west"), y + height * (self.tile_axes[1] == "south"))
        return TileGrid(self.crs, origin, self.tile_shape_crs[0])

    def _east_first(self, pair: tuple[float, float]) -> tuple[float, float]:
        northing_first = pyproj.CRS(self.crs).axis_info[0].direction in ("north", "south")
        return (pair[1], pair[0]) if northing_first else pair

    def numbering(self) -> Numbering:
        """From the layout's x and y to columns to the east and rows to the south of the origin, and back."""
        west, north = self.tile_axes[0] == "west", self.tile_axes[1] == "north"
        return lambda zoom, x, y: (-1 - x if west else x, -1 - y if north else y)


class PackedTiles:
    """Tiles one after the other in images.dat, found by the table in images-meta.npz."""

    def __init__(self, folder: Path, numbering: Numbering) -> None:
        """Reads the table.

        Raises:
            TiercelError: It is missing or damaged.
        """
        self._numbering = numbering
        self._data, self._table = folder / "images.dat", folder / "images-meta.npz"
        try:
            with np.load(self._table) as table:
                places = zip(*(table[name].tolist() for name in ("zoom", "x", "y")), strict=True)
                offsets = table["offset"].tolist()
            self._spans = dict(zip(places, pairwise(offsets), strict=True))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise TiercelError(
                f"{self._table} does not list the tiles of images.dat; copy both files again."
            ) from error
        self.extents: dict[int, Window] = extents_of(self._spans, numbering)

    def tiles(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[bytes | None]:
        """The encoded tiles (column, row), None for those that do not exist."""
        with self._data.open("rb") as file:
            for tile in wanted:
                span = self._spans.get((zoom, *self._numbering(zoom, *tile)))
                if span is None:
                    yield None
                    continue
                file.seek(span[0])
                yield file.read(span[1] - span[0]) or None

    def where(self, zoom: int, tile: Tile) -> str:
        """Names a tile as the table does."""
        x, y = self._numbering(zoom, *tile)
        return f"Tile {zoom}/{x}/{y} of {self._data}"

    def fingerprint(self) -> str:
        """A digest of sampled bytes of both files."""
        return combined([sampled(self._table), sampled(self._data)])

    def close(self) -> None:
        """Has nothing to close."""


class TiledWebMap(TilePyramid):
    """A tiledwebmaps pyramid, which can also be read around a point as the package does it."""

    def read_around(self, latitude: float, longitude: float, metres_per_pixel: float, pixels: int) -> NDArray[np.uint8]:
        """A picture around a point, true north up, sampled as `TileLoader.load` of the package samples it.

        Three things differ from `read`: a metre is a metre of the package's sphere (latitude and longitude times a
        radius of 6,378,137 m), its mean over the two axes of the map; pixels are interpolated bilinearly in the zoom
        whose pixels are at most half as wide as asked, smoothed by a Gaussian of (pixels to a pixel - 1) / 2 rather
        than averaged over their area; and the picture is half a pixel of that zoom less half a pixel of its own off to
        the north-west. They are kept because published models were trained on such pictures.

        Args:
            latitude: Of the centre, degrees.
            longitude: Degrees.
            metres_per_pixel: Resolution of the picture.
            pixels: Pixels a side.

        Returns:
            (pixels, pixels, 3) uint8; black where there is no map.

        Raises:
            TiercelError: A tile is there but cannot be read.
        """
        zoom, density = self._zoom_for(latitude, longitude, metres_per_pixel)
        x, y = self.frame.from_wgs84(latitude, longitude)
        column, row = self._plane.pixel(self.frame, np.array([float(x)]), np.array([float(y)]))
        step = 2.0 ** (self._finest - zoom)
        turn = math.radians(self.frame.convergence(float(x), float(y)))
        offset = (np.arange(pixels) - pixels / 2) * (metres_per_pixel * density)
        south, east = offset[:, None], offset[None, :]
        columns = column[0] / step + east * math.cos(turn) + south * math.sin(turn)
        rows = row[0] / step - east * math.sin(turn) + south * math.cos(turn)
        sigma = max(0.0, (metres_per_pixel * density - 1) / 2)
        margin = smoothing_reach(sigma)
        left, top = math.floor(columns.min()) - margin, math.floor(rows.min()) - margin
        window = (left, top, math.floor(columns.max()) + 2 + margin, math.floor(rows.max()) + 2 + margin)
        with self._lock:
            source, _ = self._mosaic(zoom, window)
        return interpolate(smooth(source, sigma), columns - left, rows - top)

    def _zoom_for(self, latitude: float, longitude: float, metres_per_pixel: float) -> tuple[int, float]:
        """The coarsest zoom with two pixels or more to a pixel of the picture, and its pixels per metre."""
        zooms = sorted(self._tiles.extents)
        for zoom in zooms:
            density = self._pixels_per_metre(latitude, longitude, zoom)
            if zoom == zooms[-1] or 2.0 / density.max() <= metres_per_pixel:
                return zoom, float(density.mean())
        raise AssertionError("a pyramid has a zoom")

    def _pixels_per_metre(self, latitude: float, longitude: float, zoom: int) -> NDArray[np.float64]:
        """Along longitude and along latitude, measured over a tenth of a tile on the package's sphere."""
        x, y = self.frame.from_wgs84(latitude, longitude)
        column, row = self._plane.pixel(self.frame, np.array([float(x)]), np.array([float(y)]))
        span = self._side * 0.1
        native = span * 2.0 ** (self._finest - zoom) / 2 * np.array([-1.0, 1.0])
        north, east = self.frame.to_wgs84(*self._plane.ground(self.frame, column + native, row - native))
        degree = math.radians(EARTH_RADIUS_M)
        metres = np.array([np.ptp(east) * degree * math.cos(math.radians(latitude)), np.ptp(north) * degree])
        return np.asarray(span / metres)


def open_tiledwebmaps(layout_file: Path) -> TiledWebMap:
    """The map of a layout.yaml.

    Raises:
        TiercelError: The layout is incomplete, or there are no tiles, or none of a zoom that the layout names.
    """
    layout = _read_layout(layout_file)
    folder = layout_file.parent
    tiles: TileSource
    if (folder / "images.dat").exists():
        tiles = PackedTiles(folder, layout.numbering())
    else:
        tiles = TileFolder(f"{folder}/{_plain(layout.path)}", layout.numbering())
    _check_zooms(layout_file, layout, tiles)
    return TiledWebMap(folder.resolve().name, str(layout_file), tiles, layout.grid())


def _check_zooms(layout_file: Path, layout: Layout, tiles: TileSource) -> None:
    """Makes sure that all zooms are there, unless tiles are fetched one by one from a server."""
    if layout.min_zoom is None or layout.max_zoom is None or layout.url is not None or not tiles.extents:
        return
    missing = [zoom for zoom in range(layout.min_zoom, layout.max_zoom + 1) if zoom not in tiles.extents]
    if missing:
        raise TiercelError(
            f"{layout_file} names zooms {layout.min_zoom} to {layout.max_zoom}, but there are no tiles of zoom "
            f"{', '.join(map(str, missing))}; copy them again, or correct min_zoom and max_zoom."
        )


def _read_layout(path: Path) -> Layout:
    try:
        layout = Layout.model_validate(yaml.safe_load(path.read_text()))
        pyproj.CRS(layout.crs)
        return layout
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TiercelError(
            f"{path} is no layout of a tiledwebmaps pyramid: {place} {first['msg']}.".replace("  ", " ")
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, pyproj.exceptions.CRSError) as error:
        raise TiercelError(f"{path} is no layout of a tiledwebmaps pyramid; mend it or give another map.") from error


def _plain(template: str) -> str:
    """The path template with the package's longer names of the same numbers replaced."""
    for name, letter in (("zoom", "z"), ("tile_lower_x", "x"), ("tile_lower_y", "y")):
        template = template.replace(f"{{{name}}}", f"{{{letter}}}")
    if sorted(re.findall(r"{([^{}]*)}", template)) != ["x", "y", "z"]:
        template = f"{template.rstrip('/')}/{{z}}/{{x}}/{{y}}.jpg"
    return template
