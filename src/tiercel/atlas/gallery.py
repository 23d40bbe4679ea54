"""The gallery: one embedding for each of many cells, which may overlap and come in several sizes.

Cells of one scale have their centres on a grid: those of the squares, as large as the stride is wide, that tile the
tree's root. At scale 1 and stride 1 they are the leaves; at stride 1/2 each leaf holds the centres of four of them.
What is encoded for a cell is the tile around its centre, which shows more ground than the cell. Neighbouring tiles
overlap, so a block of them is read at once and cut, wherever they lie whole pixels apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.atlas.tables import MINIMUM_COVERED
from tiercel.errors import TiercelError
from tiercel.geo import Square

if TYPE_CHECKING:
    from tiercel.atlas.manifest import GalleryRecord
    from tiercel.maps import Basemap
    from tiercel.models import Model
    from tiercel.models.config import EmbeddingConfig

Indices = NDArray[np.int64]
Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MOST_SCALES = 8
#: Most cells along a side of a block: a block makes one piece of the table.
BLOCK_CELLS = 32
#: Most pixels along a side of what is read at once.
BLOCK_PIXELS = 4096
#: Tiles that go through the model at once.
TILES_AT_ONCE = 64
#: Numbers of cells have nine digits for a row and nine for a column, counted from this one.
_MIDDLE, _DIGITS = 500_000_000, 1_000_000_000
_PIXEL_SLACK = 1e-6


@dataclass(frozen=True)
class GalleryPlan:
    """Which cells a gallery has.

    Attributes:
        scales: Sides of its cells, in leaves of the tree.
        stride: How far apart neighbouring cells are, in their own sides.
    """

    scales: tuple[float, ...] = (1.0,)
    stride: float = 1.0

    def __post_init__(self) -> None:
        """Refuses plans that leave gaps or say something twice.

        Raises:
            TiercelError: The stride is not above 0 and at most 1, or the scales are not distinct positive numbers.
        """
        if not 0 < self.stride <= 1:
            raise TiercelError(f"A stride of {self.stride:g} leaves gaps or no end of cells; give 1, 0.5 or 0.25.")
        positive = all(0 < scale < math.inf for scale in self.scales)
        if not positive or not 1 <= len(set(self.scales)) == len(self.scales) <= MOST_SCALES:
            text = ",".join(f"{scale:g}" for scale in self.scales)
            raise TiercelError(f"Scales {text!r} are not 1 to {MOST_SCALES} different positive numbers, such as 1,2.")


class Block(NamedTuple):
    """Rows and columns of cells that are encoded together: the first, and how many."""

    row: int
    col: int
    rows: int
    cols: int


@dataclass(frozen=True)
class CellGrid:
    """The cells of one scale. Rows count to the south and columns to the east, also below zero.

    Attributes:
        number: Which of the gallery's scales.
        scale: Side of a cell in leaves.
        side: Side of a cell, metres.
        spacing: Metres between neighbouring centres.
        west: Easting of the western edge of column 0.
        north: Northing of the northern edge of row 0. Centres are half a spacing away from these.
    """

    number: int
    scale: float
    side: float
    spacing: float
    west: float
    north: float

    def centre(self, row: ArrayLike, col: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eastings and northings of centres, metres."""
        x = self.west + (np.asarray(col, np.float64) + 0.5) * self.spacing
        y = self.north - (np.asarray(row, np.float64) + 0.5) * self.spacing
        return np.asarray(x), np.asarray(y)

    def cell(self, row: ArrayLike, col: ArrayLike) -> Indices:
        """Numbers of cells, no two alike in a gallery: the scale, then nine digits each for row and column."""
        rows, cols = np.asarray(row, np.int64), np.asarray(col, np.int64)
        return np.asarray((self.number * _DIGITS + rows + _MIDDLE) * _DIGITS + cols + _MIDDLE)

    def span(self, root: Square) -> Block:
        """The cells whose centres lie in a square."""
        first_col, cols = _span(root.west - self.west, root.side, self.spacing)
        first_row, rows = _span(self.north - root.north, root.side, self.spacing)
        return Block(first_row, first_col, rows, cols)


def _span(offset: float, side: float, spacing: float) -> tuple[int, int]:
    """First of the centres from an offset on, and how many there are within a side."""
    first = math.ceil(offset / spacing - 0.5 - _PIXEL_SLACK)
    end = math.ceil((offset + side) / spacing - 0.5 - _PIXEL_SLACK)
    return first, end - first


def unpack(cells: Indices) -> tuple[Indices, Indices, Indices]:
    """Numbers of scales, rows and columns of numbers of cells."""
    rest, col = np.divmod(cells, _DIGITS)
    scale, row = np.divmod(rest, _DIGITS)
    return scale, row - _MIDDLE, col - _MIDDLE


def cell_grids(record: GalleryRecord, leaf_m: float) -> list[CellGrid]:
    """The grids of a gallery, one for each of its scales.

    Args:
        record: What the gallery holds.
        leaf_m: Side of a leaf, metres.
    """
    return [
        CellGrid(number, scale, scale * leaf_m, scale * leaf_m * record.stride, record.west, record.north)
        for number, scale in enumerate(record.scales)
    ]


def blocks_of(grid: CellGrid, root: Square, model: Model, bounds: tuple[float, float, float, float]) -> list[Block]:
    """The blocks in which the cells of a grid are encoded.

    Args:
        grid: The cells.
        root: The ground that they are to cover.
        model: Whose tiles they are.
        bounds: West, south, east and north of the map; blocks beside it are left out.
    """
    step = _step(grid, model)
    pixels = _embedding(model).tile_pixels
    most = BLOCK_CELLS if step is None else max(1, min(BLOCK_CELLS, 1 + (BLOCK_PIXELS - pixels) // step))
    whole = grid.span(root)
    blocks = []
    for row in range(whole.row, whole.row + whole.rows, most):
        for col in range(whole.col, whole.col + whole.cols, most):
            rows, cols = min(most, whole.row + whole.rows - row), min(most, whole.col + whole.cols - col)
            if _meets(grid, Block(row, col, rows, cols), bounds):
                blocks.append(Block(row, col, rows, cols))
    return blocks


def _meets(grid: CellGrid, block: Block, bounds: tuple[float, float, float, float]) -> bool:
    x, y = grid.centre([block.row, block.row + block.rows - 1], [block.col, block.col + block.cols - 1])
    west, south, east, north = bounds
    half = grid.side / 2
    return bool(x[0] - half < east and x[1] + half > west and y[1] - half < north and y[0] + half > south)


def encode_cells(
    basemap: Basemap, model: Model, grid: CellGrid, block: Block, stored: Indices
) -> dict[str, NDArray[Any]] | None:
    """Rows of the gallery's table for one block.

    Args:
        basemap: The map.
        model: A model that makes embeddings.
        grid: The cells.
        block: Which of them.
        stored: Numbers of cells that are there already, in growing order; they are left out.

    Returns:
        The rows, or None where the map covers no other cell of the block.

    Raises:
        TiercelError: The model makes embeddings that are no numbers.
    """
    cells, shares, embeddings = [], [], []
    waiting: list[tuple[Rgb, Mask]] = []
    for cell, share, tile in _covered_tiles(basemap, model, grid, block, stored):
        cells.append(cell)
        shares.append(share)
        waiting.append(tile)
        if len(waiting) == TILES_AT_ONCE:
            embeddings.append(_encode(model, waiting))
            waiting.clear()
    if waiting:
        embeddings.append(_encode(model, waiting))
    if not cells:
        return None
    row, col = np.array(cells).T
    x, y = grid.centre(row, col)
    return {
        "cell": grid.cell(row, col),
        "x": x,
        "y": y,
        "side": np.full(len(x), grid.side, np.float32),
        "covered": np.array(shares, np.float32),
        "embedding": np.concatenate(embeddings),
    }


def _encode(model: Model, tiles: list[tuple[Rgb, Mask]]) -> NDArray[np.float16]:
    embeddings = model.encode_tiles(np.stack([tile[0] for tile in tiles]), np.stack([tile[1] for tile in tiles]))
    if not np.isfinite(embeddings).all():
        raise TiercelError(f"Model {model.name} makes embeddings that are no numbers; fetch or train it again.")
    return embeddings.astype(np.float16)


def _covered_tiles(
    basemap: Basemap, model: Model, grid: CellGrid, block: Block, stored: Indices
) -> Iterator[tuple[tuple[int, int], float, tuple[Rgb, Mask]]]:
    """The cells of a block that are to be stored: row and column, share that the map covers, and tile."""
    sizes = _embedding(model)
    pixels = sizes.tile_pixels
    # The cell in the middle of its tile; all of the tile where that shows less.
    off_centre = abs(np.arange(pixels) + 0.5 - pixels / 2)
    middle = np.flatnonzero(off_centre < grid.side / (sizes.tile_m * grid.scale) * pixels / 2)
    inner = slice(middle[0], middle[-1] + 1)
    row, col = np.mgrid[block.row : block.row + block.rows, block.col : block.col + block.cols].reshape(2, -1)
    new = ~_among(grid.cell(row, col), stored)
    if not new.any():
        return
    tile = _tiles(basemap, model, grid, block)
    for place in zip(row[new].tolist(), col[new].tolist(), strict=True):
        rgb, covered = tile(*place)
        share = float(covered[inner, inner].mean())
        if share >= MINIMUM_COVERED:
            yield place, share, (rgb, covered)


def _among(cells: Indices, stored: Indices) -> Mask:
    """Which cells are among those that are stored, which are in growing order."""
    place = np.searchsorted(stored, cells)
    found = np.zeros(len(cells), np.bool_)
    within = place < len(stored)
    found[within] = stored[place[within]] == cells[within]
    return found


def _tiles(basemap: Basemap, model: Model, grid: CellGrid, block: Block) -> Callable[[int, int], tuple[Rgb, Mask]]:
    """A function from the row and column of a cell in a block to its tile."""
    sizes, step = _embedding(model), _step(grid, model)
    pixels, ground = sizes.tile_pixels, sizes.tile_m * grid.scale
    if step is None:

        def read(row: int, col: int) -> tuple[Rgb, Mask]:
            x, y = grid.centre(row, col)
            return basemap.read(Square(float(x), float(y), ground), pixels)

        return read
    between = max(block.rows, block.cols) - 1
    x, y = grid.centre(block.row + between / 2, block.col + between / 2)
    whole = between * step + pixels
    rgb, covered = basemap.read(Square(float(x), float(y), whole * ground / pixels), whole)

    def cut(row: int, col: int) -> tuple[Rgb, Mask]:
        top, left = (row - block.row) * step, (col - block.col) * step
        part = (slice(top, top + pixels), slice(left, left + pixels))
        return rgb[part], covered[part]

    return cut


def _step(grid: CellGrid, model: Model) -> int | None:
    """Pixels between neighbouring tiles; None where these are not whole, or the tiles do not meet."""
    sizes = _embedding(model)
    step = grid.spacing / (sizes.tile_m * grid.scale) * sizes.tile_pixels
    whole = round(step)
    return whole if abs(step - whole) < _PIXEL_SLACK and 1 <= whole <= sizes.tile_pixels else None


def _embedding(model: Model) -> EmbeddingConfig:
    assert model.config.embedding is not None
    return model.config.embedding
