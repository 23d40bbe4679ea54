"""How the cells of a gallery and the leaves of a tree lie to each other.

Around each centre of a scale's grid lies the square of ground that is nearer to it than to any other centre. A leaf
takes part in as many of these squares as it meets, each by the share of the leaf that lies in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas.gallery import CellGrid, unpack
from tiercel.geo import Square, ZoomTree

Indices = NDArray[np.int64]
Numbers = NDArray[np.float64]

REACH = 4
"""How many cells away the nearest one is looked for, where the map covers too little of those that would be it."""
_SLACK = 1e-6


class ScaleCells:
    """The stored cells of one scale, found by where they are.

    Args:
        grid: The grid of the scale.
        cells: (cells,) numbers of all cells of the gallery.
    """

    def __init__(self, grid: CellGrid, cells: Indices) -> None:
        """Lays the rows of the gallery on the grid."""
        self.grid = grid
        scale, row, col = unpack(cells)
        rows = np.flatnonzero(scale == grid.number)
        self._top, self._left = int(row[rows].min(initial=0)), int(col[rows].min(initial=0))
        height, width = int(row[rows].max(initial=0)) - self._top + 1, int(col[rows].max(initial=0)) - self._left + 1
        self._rows = np.full((height, width), -1, np.int64)
        self._rows[row[rows] - self._top, col[rows] - self._left] = rows

    def at(self, row: Indices, col: Indices) -> Indices:
        """Rows of the gallery of cells of the grid, -1 for those that are not stored."""
        height, width = self._rows.shape
        row, col = np.broadcast_arrays(row - self._top, col - self._left)
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        return np.where(inside, self._rows[np.where(inside, row, 0), np.where(inside, col, 0)], -1)

    def around(self, square: Square) -> tuple[Numbers, Numbers, Indices]:
        """The centres in a square and one more row or column on each side.

        Returns:
            Eastings, northings, and rows of the gallery or -1, all of one shape, from the north and from the west.
        """
        (top, bottom), (left, right) = self._place(
            np.array([square.west, square.east]), np.array([square.north, square.south])
        )
        row, col = np.mgrid[top - 1 : bottom + 2, left - 1 : right + 2]
        return *self.grid.centre(row, col), self.at(row, col)

    def _place(self, x: Numbers, y: Numbers) -> tuple[Indices, Indices]:
        col = np.floor((x - self.grid.west) / self.grid.spacing + _SLACK).astype(np.int64)
        row = np.floor((self.grid.north - y) / self.grid.spacing + _SLACK).astype(np.int64)
        return row, col

    def nearest(self, x: Numbers, y: Numbers) -> Indices:
        """Rows of the gallery of the stored cells that lie nearest to points.

        Args:
            x: (n,) eastings, metres.
            y: (n,) northings, metres.

        Returns:
            (n,) rows; -1 where none of the cells around, up to `REACH` away, is stored.
        """
        grid, away = self.grid, np.arange(-REACH, REACH + 1)
        across, down = (x - grid.west) / grid.spacing, (grid.north - y) / grid.spacing
        row, col = (place[:, None] + away for place in self._place(x, y))
        rows = self.at(row[:, :, None], col[:, None, :])
        distance = (row + 0.5 - down[:, None])[:, :, None] ** 2 + (col + 0.5 - across[:, None])[:, None, :] ** 2
        best = np.where(rows < 0, np.inf, distance).reshape(len(x), len(away) ** 2).argmin(1)
        return np.asarray(rows.reshape(len(x), len(away) ** 2)[np.arange(len(x)), best])


@dataclass(frozen=True, eq=False)
class LeafShares:
    """For each leaf the cells of one scale that bear on it.

    Attributes:
        rows: (leaves, m) rows of the gallery.
        shares: (leaves, m) float32, how much of the leaf lies nearest to each; 0 for places that are not taken up. They
            sum to one, or are all 0 where the scale has no cell near by.
    """

    rows: Indices
    shares: NDArray[np.float32]


def leaf_shares(cells: ScaleCells, tree: ZoomTree, leaves: Indices) -> LeafShares:
    """Which cells of a scale bear on leaves, and by how much. Where none of them is stored, the nearest does.

    Args:
        cells: The cells.
        tree: The tree.
        leaves: Flat indices of the leaves.
    """
    grid, side = cells.grid, tree.side(tree.depth)
    row, col = tree.unflat(tree.depth, leaves)
    root = tree.root
    across, share_across = _overlaps((root.west - grid.west + col * side) / grid.spacing, side / grid.spacing)
    down, share_down = _overlaps((grid.north - root.north + row * side) / grid.spacing, side / grid.spacing)
    rows = cells.at(down[:, :, None], across[:, None, :]).reshape(len(leaves), -1)
    shares = (share_down[:, :, None] * share_across[:, None, :]).reshape(len(leaves), -1)
    shares = np.where(rows < 0, 0.0, shares)
    alone = np.flatnonzero(shares.sum(1) < _SLACK)
    rows[alone, 0] = cells.nearest(*(values[alone] for values in tree.centre(tree.depth, row, col)))
    shares[alone, 0] = rows[alone, 0] >= 0
    total = shares.sum(1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return LeafShares(np.maximum(rows, 0), shares.astype(np.float32))


def _overlaps(start: NDArray[np.floating[Any]], length: float) -> tuple[Indices, Numbers]:
    """The whole numbers k whose stretch from k to k + 1 meets stretches of one length.

    Args:
        start: (n,) where the stretches start.
        length: How long they are.

    Returns:
        (n, m) numbers, and how much of the stretch lies in each, m the most that one can meet.
    """
    most = math.ceil(length - _SLACK) + 1
    first = np.floor(start + _SLACK)
    number = first[:, None] + np.arange(most)
    overlap = np.minimum(number + 1, (start + length)[:, None]) - np.maximum(number, start[:, None])
    overlap = np.where(overlap < _SLACK, 0.0, overlap)
    taken = overlap.any(0)  # The last is not needed where the grids fit each other.
    return number[:, taken].astype(np.int64), overlap[:, taken] / length
