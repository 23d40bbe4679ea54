"""The tree of cells that zooming walks, retrieval ranks and the heat map colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.geo.square import Square

Indices = NDArray[np.int64]

_NEIGHBOURS = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c], np.int64)


@dataclass(frozen=True)
class ZoomTree:
    """A square divided into g x g cells, again and again.

    A cell is (level, row, col). Level 0 is the root; row 0 is the northernmost row and col 0 the westernmost
    column of its level. An action is the choice of a child: `row * g + col` within the parent. All methods
    take scalars or arrays of any one shape; a row and col of -1 stand for "outside the root".

    Attributes:
        root: The square of level 0.
        branching: g, children along a side.
        depth: Level of the leaves.
    """

    root: Square
    branching: int = 4
    depth: int = 3

    def __post_init__(self) -> None:
        """Refuses trees that do not branch.

        Raises:
            ValueError: The branching is below 2 or the depth below 0.
        """
        if self.branching < 2 or self.depth < 0:
            raise ValueError(f"a tree needs a branching of 2 or more and a depth of 0 or more, not {self}")

    def side(self, level: int) -> float:
        """Side of a cell of the level, metres."""
        return self.root.side / self.cells_per_side(level)

    def cells_per_side(self, level: int) -> int:
        """Cells along a side of the root at the level.

        Raises:
            ValueError: The tree has no such level.
        """
        if not 0 <= level <= self.depth:
            raise ValueError(f"level {level} is not one of this tree's levels 0 to {self.depth}")
        return int(self.branching**level)

    def count(self, level: int) -> int:
        """Number of cells of the level."""
        return self.cells_per_side(level) ** 2

    def cell_at(self, x: ArrayLike, y: ArrayLike, level: int) -> tuple[Indices, Indices]:
        """The cells that points lie in.

        Args:
            x: Eastings, metres.
            y: Northings, metres, of the same shape.
            level: Level of the cells.

        Returns:
            Rows and cols, -1 where the point is outside the root.
        """
        east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
        inside = self.root.contains(east, north)
        last, side = self.cells_per_side(level) - 1, self.side(level)
        # Rounding may push a point just inside the far edges one cell too far; clipping puts it back.
        col = np.clip(np.where(inside, (east - self.root.west) / side, 0), 0, last).astype(np.int64)
        row = np.clip(np.where(inside, (self.root.north - north) / side, 0), 0, last).astype(np.int64)
        return np.where(inside, row, -1), np.where(inside, col, -1)

    def centre(self, level: int, row: ArrayLike, col: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centres of cells: eastings and northings, metres."""
        side = self.side(level)
        x = self.root.west + (np.asarray(col, np.float64) + 0.5) * side
        y = self.root.north - (np.asarray(row, np.float64) + 0.5) * side
        return np.asarray(x), np.asarray(y)

    def square(self, level: int, row: int, col: int) -> Square:
        """The ground that one cell covers."""
        x, y = self.centre(level, row, col)
        return Square(float(x), float(y), self.side(level))

    def children(self, level: int, row: ArrayLike, col: ArrayLike) -> tuple[Indices, Indices]:
        """Children of cells, on level + 1.

        Returns:
            Rows and cols with a trailing axis of g * g, in the order of the actions.
        """
        self.cells_per_side(level + 1)
        rows, cols = np.divmod(np.arange(self.branching**2, dtype=np.int64), self.branching)
        return _index(row)[..., None] * self.branching + rows, _index(col)[..., None] * self.branching + cols

    def parent(self, level: int, row: ArrayLike, col: ArrayLike) -> tuple[Indices, Indices]:
        """Rows and cols of the parents, on level - 1."""
        self.cells_per_side(level - 1)
        return _index(row) // self.branching, _index(col) // self.branching

    def path(self, level: int, row: ArrayLike, col: ArrayLike) -> Indices:
        """The actions that lead from the root to cells.

        Returns:
            Actions of shape (..., level), the first pick first.
        """
        self.cells_per_side(level)
        steps = self.branching ** np.arange(level - 1, -1, -1, dtype=np.int64)
        rows = _index(row)[..., None] // steps % self.branching
        cols = _index(col)[..., None] // steps % self.branching
        return rows * self.branching + cols

    def from_path(self, actions: ArrayLike) -> tuple[Indices, Indices]:
        """The cells that actions lead to.

        Args:
            actions: (..., level) picks from the root.

        Returns:
            Rows and cols on that level.
        """
        picks = _index(actions)
        level = picks.shape[-1]
        self.cells_per_side(level)
        steps = self.branching ** np.arange(level - 1, -1, -1, dtype=np.int64)
        rows, cols = np.divmod(picks, self.branching)
        return (rows * steps).sum(-1), (cols * steps).sum(-1)

    def neighbours(self, level: int, row: ArrayLike, col: ArrayLike) -> tuple[Indices, Indices, NDArray[np.bool_]]:
        """The eight cells around cells.

        Returns:
            Rows, cols and whether they are inside the root, with a trailing axis of 8: from the north-west,
            row by row. Rows and cols are -1 outside.
        """
        side = self.cells_per_side(level)
        rows = _index(row)[..., None] + _NEIGHBOURS[:, 0]
        cols = _index(col)[..., None] + _NEIGHBOURS[:, 1]
        inside = (rows >= 0) & (rows < side) & (cols >= 0) & (cols < side)
        return np.where(inside, rows, -1), np.where(inside, cols, -1), inside

    def flat(self, level: int, row: ArrayLike, col: ArrayLike) -> Indices:
        """Row-major indices of cells within their level, -1 for cells outside."""
        rows, cols = _index(row), _index(col)
        return np.where((rows < 0) | (cols < 0), -1, rows * self.cells_per_side(level) + cols)

    def unflat(self, level: int, index: ArrayLike) -> tuple[Indices, Indices]:
        """Rows and cols of row-major indices, -1 for negative indices."""
        flat = _index(index)
        rows, cols = np.divmod(flat, self.cells_per_side(level))
        return np.where(flat < 0, -1, rows), np.where(flat < 0, -1, cols)


def _index(values: ArrayLike) -> Indices:
    return np.asarray(values, np.int64)
