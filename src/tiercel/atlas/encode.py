"""The parts of an atlas, one after the other: each table piece by piece, so that what is done survives.

Leaves come first, block by block; which of them the map covers decides which squares are then zoomed, from the top.
Where a district is added to an atlas, only cells that it does not hold yet are encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas.atlas import Atlas, covered_cells, read_zoom_keys
from tiercel.atlas.gallery import Block, CellGrid, blocks_of, cell_grids, encode_cells
from tiercel.atlas.manifest import Manifest
from tiercel.atlas.tables import (
    MINIMUM_COVERED,
    Columns,
    Pieces,
    gallery_columns,
    gallery_table,
    leaf_columns,
    leaf_table,
    read_column,
    square_columns,
    square_table,
    zoom_columns,
    zoom_table,
)
from tiercel.geo import Square

if TYPE_CHECKING:
    from tiercel.maps import Basemap
    from tiercel.models import Model

Progress = Callable[[int, int], None]
Indices = NDArray[np.int64]
Rows = dict[str, NDArray[Any]]

#: Squares that go through the zoom head at once, and make one piece.
SQUARES_AT_ONCE = 16
#: Pixels along a leaf where they only tell whether the map covers it.
COVERAGE_PIXELS = 8


@dataclass
class Work:
    """What every part needs, and what is done so far.

    Attributes:
        basemap: The map.
        model: The model.
        manifest: What the atlas is to be.
        folder: Where its tables are written.
        progress: Called with the number of pieces done and the number of all.
        before: The atlas to which the map is added; None for a new one.
        versions: For each table that is done, the version to read.
    """

    basemap: Basemap
    model: Model
    manifest: Manifest
    folder: Path
    progress: Progress | None = None
    before: Atlas | None = None
    versions: dict[str, int] = field(default_factory=dict)
    _done: int = 0

    def encode(self) -> bool:
        """Writes all tables, as far as they are not written yet.

        Returns:
            False if the map covers no place.
        """
        if not _encode_leaves(self):
            return False
        for level in self.manifest.zoom_levels:
            _encode_children(self, level - 1)
        for level in range(self.manifest.tree.depth if self.manifest.sizes.square_width else 0):
            _encode_squares(self, level)
        if self.manifest.gallery is not None:
            _encode_gallery(self)
        return True

    def step(self) -> None:
        """One more piece is done."""
        self._done += 1
        if self.progress is not None:
            self.progress(self._done, self._total)

    @cached_property
    def _total(self) -> int:
        tree, sizes = self.manifest.zoom_tree, self.manifest.sizes
        squares = [tree.count(level - 1) for level in self.manifest.zoom_levels]
        squares += [tree.count(level) for level in range(tree.depth if sizes.square_width else 0)]
        pieces = len(self.leaf_blocks) + sum(-(-count // SQUARES_AT_ONCE) for count in squares)
        return pieces + len(self.gallery_blocks)

    @cached_property
    def leaf_blocks(self) -> list[tuple[int, int, int]]:
        """Number, row and column of the blocks of leaves that the map's bounds reach."""
        tree, config = self.manifest.zoom_tree, self.model.config
        # The last may reach beyond the tree.
        along = -(-tree.cells_per_side(tree.depth) // config.block_leaves)
        side = config.block_leaves * tree.side(tree.depth)
        west, south, east, north = self.basemap.bounds
        root = tree.root
        cols = [n for n in range(along) if root.west + n * side < east and root.west + (n + 1) * side > west]
        rows = [n for n in range(along) if root.north - n * side > south and root.north - (n + 1) * side < north]
        return [(row * along + col, row, col) for row in rows for col in cols]

    @cached_property
    def gallery_blocks(self) -> list[tuple[CellGrid, Block]]:
        """The blocks of the gallery that the map's bounds reach."""
        tree, record = self.manifest.zoom_tree, self.manifest.gallery
        if record is None:
            return []
        grids = cell_grids(record, tree.side(tree.depth))
        return [
            (grid, block) for grid in grids for block in blocks_of(grid, tree.root, self.model, self.basemap.bounds)
        ]

    @cached_property
    def leaves_before(self) -> Indices:
        """Flat indices of the leaves that are there already, in the order of their table."""
        return np.zeros(0, np.int64) if self.before is None else self.before.leaves_in(self.manifest.zoom_tree)

    def pieces(self, table: Path, columns: Columns, *, extend: bool = True) -> Pieces:
        """A table to write."""
        live = None if self.before is None else self.before.versions[table.stem]
        return Pieces(table, columns, live=live, extend=extend)

    def commit(self, table: Path, pieces: Pieces) -> bool:
        """Makes a table of its pieces; False where there is none."""
        version = pieces.commit()
        if version is not None:
            self.versions[table.stem] = version
        return version is not None

    def covered(self, level: int) -> NDArray[np.bool_]:
        """Which cells of a level have any leaf, once the leaves are written."""
        return covered_cells(self.manifest.zoom_tree, self._leaves, level)

    @property
    def leaves_stored(self) -> int:
        """How many leaves there are, once they are written."""
        return len(self._leaves)

    @property
    def _leaves(self) -> Indices:
        leaf = leaf_columns(self.manifest.sizes)["leaf"]
        leaves: Indices = read_column(leaf_table(self.folder), "leaf", leaf, self.versions["leaves"])
        return leaves


def _encode_leaves(work: Work) -> bool:
    table, columns = leaf_table(work.folder), leaf_columns(work.manifest.sizes)
    moved = work.before is not None and work.before.tree != work.manifest.zoom_tree
    pieces = work.pieces(table, columns, extend=not moved)
    for number, row, col in work.leaf_blocks:
        if not pieces.has(number):
            pieces.write(number, _encode_block(work, row, col))
        work.step()
    if moved:
        assert work.before is not None
        beyond = work.manifest.zoom_tree.count(work.manifest.tree.depth)
        pieces.write(beyond, {"leaf": work.leaves_before, "covered": work.before.covered_share})
    return work.commit(table, pieces)


def _encode_block(work: Work, block_row: int, block_col: int) -> Rows | None:
    """Rows of the table of leaves for one block, or None where the map covers none of its leaves."""
    config, tree = work.model.config, work.manifest.zoom_tree
    leaves, margin, pixels = config.block_leaves, config.margin_leaves, config.pixels_per_leaf
    featured = bool({"retrieval", "match"} & set(config.heads))
    if not featured:
        margin, pixels = 0, min(pixels, COVERAGE_PIXELS)
    side = leaves * config.leaf_m
    block = Square(tree.root.west + (block_col + 0.5) * side, tree.root.north - (block_row + 0.5) * side, side)
    rgb, covered = work.basemap.read(block.expanded(margin * config.leaf_m), (leaves + 2 * margin) * pixels)
    inner = covered[margin * pixels : (margin + leaves) * pixels, margin * pixels : (margin + leaves) * pixels]
    share = inner.reshape(leaves, pixels, leaves, pixels).mean((1, 3), dtype=np.float32)
    row, col = np.nonzero(share >= MINIMUM_COVERED)
    # The last blocks of a tree may reach beyond it.
    last = tree.cells_per_side(tree.depth) - 1
    inside = (row + block_row * leaves <= last) & (col + block_col * leaves <= last)
    row, col = row[inside], col[inside]
    leaf = tree.flat(tree.depth, row + block_row * leaves, col + block_col * leaves)
    new = ~np.isin(leaf, work.leaves_before)
    row, col, leaf = row[new], col[new], leaf[new]
    if not len(row):
        return None
    rows: Rows = {"leaf": leaf, "covered": share[row, col]}
    if featured:
        features = work.model.encode_block(rgb, covered)
        rows |= {"keys": features.keys[row, col], "bias": features.bias[row, col], "match": features.match[row, col]}
    return rows


def _encode_children(work: Work, level: int) -> None:
    """Zoom keys of the children of all covered squares of a level."""
    manifest, tree = work.manifest, work.manifest.zoom_tree
    table, columns = zoom_table(work.folder, level + 1), zoom_columns(manifest.sizes)
    new = work.covered(level + 1)
    if work.before is not None:
        new &= ~work.before.covered(level + 1)
    rows, cols = tree.parent(level + 1, *tree.unflat(level + 1, np.flatnonzero(new)))
    squares = np.zeros(tree.count(level), np.bool_)
    squares[tree.flat(level, rows, cols)] = True
    topmost = level == tree.depth - manifest.sizes.zoom_levels
    keys = None if topmost else read_zoom_keys(work.folder, manifest, level, work.versions[f"zoom_{level}"])
    pieces = work.pieces(table, columns)
    for piece, start in enumerate(range(0, tree.count(level), SQUARES_AT_ONCE)):
        some = start + np.flatnonzero(squares[start : start + SQUARES_AT_ONCE])
        if len(some) and not pieces.has(piece):
            pieces.write(piece, _encode_some_children(work, level, some, new, keys))
        work.step()
    work.commit(table, pieces)


def _encode_some_children(
    work: Work, level: int, squares: Indices, new: NDArray[np.bool_], keys: NDArray[np.float16] | None
) -> Rows:
    """Rows of the table of zoom keys for those children of some squares that are new."""
    config, tree = work.model.config, work.manifest.zoom_tree
    row, col = tree.unflat(level, squares)
    views = [
        work.basemap.read(
            tree.square(level, int(r), int(c)).expanded(config.zoom_margin * tree.side(level)), config.zoom_pixels
        )
        for r, c in zip(row, col, strict=True)
    ]
    rgb, covered = np.stack([view[0] for view in views]), np.stack([view[1] for view in views])
    encoded = work.model.encode_children(rgb, covered, None if keys is None else keys[squares], tree.depth - level)
    cells = tree.flat(level + 1, *tree.children(level, row, col))
    stored = new[cells]
    return {"cell": cells[stored], "key": encoded[stored]}


def _encode_squares(work: Work, level: int) -> None:
    """The decoder's tokens of all covered squares of a level."""
    manifest, tree, decoder = work.manifest, work.manifest.zoom_tree, work.model.config.decoder
    assert decoder is not None
    table = square_table(work.folder, level)
    squares = work.covered(level)
    pieces = work.pieces(table, square_columns(manifest.sizes))
    for piece, start in enumerate(range(0, tree.count(level), SQUARES_AT_ONCE)):
        some = start + np.flatnonzero(squares[start : start + SQUARES_AT_ONCE])
        if len(some) and not pieces.has(piece):
            views = [
                work.basemap.read(tree.square(level, int(row), int(col)), decoder.pixels)
                for row, col in zip(*tree.unflat(level, some), strict=True)
            ]
            rgb, covered = np.stack([view[0] for view in views]), np.stack([view[1] for view in views])
            pieces.write(piece, {"cell": some, "token": work.model.encode_squares(rgb, covered)})
        work.step()
    work.commit(table, pieces)


def _encode_gallery(work: Work) -> None:
    """Embeddings of the cells of the gallery."""
    record = work.manifest.gallery
    assert record is not None
    table, columns = gallery_table(work.folder), gallery_columns(record.width)
    stored = np.zeros(0, np.int64)
    if work.before is not None:
        stored = np.sort(read_column(table, "cell", columns["cell"], work.before.versions[table.stem]))
    pieces = work.pieces(table, columns)
    for piece, (grid, block) in enumerate(work.gallery_blocks):
        if not pieces.has(piece):
            pieces.write(piece, encode_cells(work.basemap, work.model, grid, block, stored))
        work.step()
    work.commit(table, pieces)
