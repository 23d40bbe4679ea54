"""Maps cut into square tiles at several zooms, wherever the tiles are kept."""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.errors import TiercelError
from tiercel.maps.basemap import Basemap, Patch, Plane, Window
from tiercel.maps.collar import collar

#: Half the width of the web mercator world, metres.
_MERCATOR = math.pi * 6378137
#: Decoded tiles kept: those of one wide read, so that its neighbours need not decode their shared edge again.
_KEPT_TILES = 256

Pixels = tuple[NDArray[np.uint8], NDArray[np.bool_]]
Tile = tuple[int, int]


@dataclass(frozen=True)
class TileGrid:
    """How tiles lie on the ground. A tile (column, row) counts east and south from the origin.

    Attributes:
        crs: Coordinate system of the tiles.
        origin: (x, y) of the north-western corner of tile (0, 0) at every zoom, in units of the CRS.
        side: Side of a tile at zoom 0, in units of the CRS; every zoom more halves it.
    """

    crs: str
    origin: tuple[float, float]
    side: float


#: The grid of all web maps.
WEB_MERCATOR = TileGrid("EPSG:3857", (-_MERCATOR, _MERCATOR), 2 * _MERCATOR)


class TileSource(Protocol):
    """Where the encoded tiles of a pyramid come from.

    Attributes:
        extents: For every zoom, (left, top, right, bottom): the first tile column and row that exist and those
            after the last.
    """

    @property
    def extents(self) -> Mapping[int, Window]:
        """Tiles that may exist, by zoom."""

    def tiles(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[bytes | None]:
        """The encoded tiles (column, row), in the order asked for; None for those that do not exist."""

    def where(self, zoom: int, tile: Tile) -> str:
        """What to call a tile in an error."""

    def fingerprint(self) -> str:
        """A text that changes with the content."""

    def close(self) -> None:
        """Lets go of files."""


class TilePyramid(Basemap):
    """A map whose imagery is tiles."""

    def __init__(
        self, name: str, source: str, tiles: TileSource, grid: TileGrid, clip: Sequence[float] | None = None
    ) -> None:
        """Places tiles on the ground.

        Args:
            name: What to call the map.
            source: The path or URL it was opened from.
            tiles: Where the tiles come from.
            grid: How they lie.
            clip: (west, south, east, north) in units of the grid's CRS, outside of which nothing is shown.

        Raises:
            TiercelError: There are no tiles, or the first cannot be read.
        """
        self._tiles = tiles
        self._finest = max(tiles.extents, default=0)
        self._side = self._tile_side(source)
        self._kept: OrderedDict[tuple[int, Tile], Pixels | None] = OrderedDict()
        scale = self._side * 2.0**self._finest / grid.side
        extent = _scaled(_whole_extent(tiles.extents), self._side)
        if clip is not None:
            west, south, east, north = clip
            columns = (math.floor((west - grid.origin[0]) * scale), math.ceil((east - grid.origin[0]) * scale))
            rows = (math.floor((grid.origin[1] - north) * scale), math.ceil((grid.origin[1] - south) * scale))
            extent = _intersection(extent, (columns[0], rows[0], columns[1], rows[1])) or extent
        matrix = (scale, 0.0, -grid.origin[0] * scale, 0.0, -scale, grid.origin[1] * scale)
        super().__init__(name, source, Plane(grid.crs, matrix, extent))

    def _tile_side(self, source: str) -> int:
        """Pixels along a side of the tiles, told by the first one found."""
        for zoom, tile in self._likely_tiles():
            data = next(iter(self._tiles.tiles(zoom, [tile])))
            if data is not None:
                return len(decode(data, self._tiles.where(zoom, tile))[0])
        raise TiercelError(f"{source} holds no tiles; give a map with imagery.")

    def _likely_tiles(self) -> Iterator[tuple[int, Tile]]:
        """The middle tile of the finest zoom, then all tiles from the coarsest zoom on, where they are few."""
        if self._tiles.extents:
            yield self._finest, middle_tile(self._tiles.extents[self._finest])
        for zoom, (left, top, right, bottom) in sorted(self._tiles.extents.items()):
            yield from ((zoom, (column, row)) for row in range(top, bottom) for column in range(left, right))

    def _step(self, level: int) -> int:
        return int(2 ** (self._finest - self._zoom(level)))

    def _zoom(self, level: int) -> int:
        """The coarsest zoom that is as fine as the level."""
        return min(zoom for zoom in self._tiles.extents if zoom >= self._finest - level)

    def _patches(self, level: int, window: Window) -> Iterator[Patch]:
        """The best zoom, and coarser ones around it where its tiles end before the map does."""
        for zoom in sorted((zoom for zoom in self._tiles.extents if zoom <= self._zoom(level)), reverse=True):
            step = int(2 ** (self._finest - zoom))
            extent = _scaled(self._tiles.extents[zoom], self._side)
            wanted = _intersection(_shrunk(window, step, 2), _shrunk(self._plane.extent, step, 0))
            part = _intersection(wanted, extent) if wanted else None
            if part is not None:
                rgb, present = self._mosaic(zoom, part)
                yield Patch(rgb, present, part[0] * step, part[1] * step, (step, step))
            if _intersection(window, _scaled(extent, step)) == window:
                return

    def _mosaic(self, zoom: int, part: Window) -> Pixels:
        """The pixels of a part of a zoom, in that zoom's pixels."""
        left, top, right, bottom = part
        rgb = np.zeros((bottom - top, right - left, 3), np.uint8)
        present = np.zeros(rgb.shape[:2], np.bool_)
        across, down, last_across, last_down = _shrunk(part, self._side, 0)
        wanted = [(column, row) for row in range(down, last_down) for column in range(across, last_across)]
        for (column, row), pixels in self._decoded(zoom, wanted):
            if pixels is None:
                continue
            x, y = column * self._side, row * self._side
            west, north = max(x, left), max(y, top)
            east, south = min(x + self._side, right), min(y + self._side, bottom)
            there = (slice(north - top, south - top), slice(west - left, east - left))
            here = (slice(north - y, south - y), slice(west - x, east - x))
            rgb[there], present[there] = pixels[0][here], pixels[1][here]
        return rgb, present

    def _decoded(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[tuple[Tile, Pixels | None]]:
        """The pixels of tiles, from memory where they were used lately."""
        new = [tile for tile in wanted if (zoom, tile) not in self._kept]
        for tile in [tile for tile in wanted if (zoom, tile) in self._kept]:
            self._kept.move_to_end((zoom, tile))
            yield tile, self._kept[zoom, tile]
        for tile, data in zip(new, self._tiles.tiles(zoom, new), strict=True):
            pixels = None if data is None else self._checked(data, self._tiles.where(zoom, tile))
            self._kept[zoom, tile] = pixels
            if len(self._kept) > _KEPT_TILES:
                self._kept.popitem(last=False)
            yield tile, pixels

    def _checked(self, data: bytes, where: str) -> Pixels:
        pixels = decode(data, where)
        if pixels[1].shape != (self._side, self._side):
            raise TiercelError(
                f"{where} is not {self._side} x {self._side} pixels like the others; make the tiles anew."
            )
        return pixels

    def fingerprint(self) -> str:
        """The fingerprint of the tiles."""
        return self._tiles.fingerprint()

    def close(self) -> None:
        """Closes what the tiles come from."""
        self._tiles.close()


def decode(data: bytes, where: str) -> Pixels:
    """The pixels of an encoded tile, and which of them show ground: neither transparent nor collar.

    Args:
        data: A JPEG, PNG or WebP picture.
        where: What to call it in an error.

    Raises:
        TiercelError: It is no picture, or only a part of one.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            opaque = not image.has_transparency_data
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError) as error:
        raise TiercelError(f"{where} is not a whole JPEG, PNG or WebP picture; delete it or fetch it again.") from error
    rgb = np.ascontiguousarray(rgba[..., :3])
    return rgb, ~collar(rgb) if opaque else rgba[..., 3] >= 128


def middle_tile(extent: Window) -> Tile:
    """The tile in the middle of an extent."""
    left, top, right, bottom = extent
    return (left + right - 1) // 2, (top + bottom - 1) // 2


def _whole_extent(extents: Mapping[int, Window]) -> Window:
    """The tiles of the finest zoom that the map reaches over.

    Coarse tiles hang over the edge of a map, so their extents say nothing, unless they show more than the
    tiles above the finer extent would: then the finer zoom covers only a part of the map.
    """
    zooms = sorted(extents, reverse=True)
    zoom = zooms[0]
    for coarser in zooms[1:]:
        parents = _shrunk(extents[zoom], int(2 ** (zoom - coarser)), 0)
        if _intersection(extents[coarser], parents) != extents[coarser]:
            zoom = coarser
    return _scaled(extents[zoom], int(2 ** (zooms[0] - zoom)))


def _scaled(window: Window, factor: int) -> Window:
    left, top, right, bottom = window
    return left * factor, top * factor, right * factor, bottom * factor


def _shrunk(window: Window, factor: int, margin: int) -> Window:
    """The window in units `factor` times as large, rounded outwards and grown by a margin."""
    left, top, right, bottom = window
    return left // factor - margin, top // factor - margin, -(-right // factor) + margin, -(-bottom // factor) + margin


def _intersection(one: Window, other: Window) -> Window | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None
