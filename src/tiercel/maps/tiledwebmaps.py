"""Pyramids of the package tiledwebmaps: layout.yaml beside tiles, loose or packed into images.dat.

The format is described by the package (https://github.com/fferflo/tiledwebmaps, release 0.2.0) alone: tile (x, y)
of a zoom counts along `tile_axes` from `origin_crs` in steps of `tile_shape_crs` / 2**zoom, and every tile is a
north-up picture.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyproj
import yaml
from pydantic import BaseModel, PositiveFloat, ValidationError, model_validator

from tiercel.errors import TiercelError
from tiercel.maps.basemap import Window
from tiercel.maps.digest import combined, sampled
from tiercel.maps.folder import Numbering, TileFolder, extents_of
from tiercel.maps.pyramid import WEB_MERCATOR, Tile, TileGrid, TilePyramid, TileSource

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


def open_tiledwebmaps(layout_file: Path) -> TilePyramid:
    """The map of a layout.yaml.

    Raises:
        TiercelError: The layout is incomplete, or there are no tiles.
    """
    layout = _read_layout(layout_file)
    folder = layout_file.parent
    tiles: TileSource
    if (folder / "images.dat").exists():
        tiles = PackedTiles(folder, layout.numbering())
    else:
        tiles = TileFolder(f"{folder}/{_plain(layout.path)}", layout.numbering())
    return TilePyramid(folder.resolve().name, str(layout_file), tiles, layout.grid())


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
