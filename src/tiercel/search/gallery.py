"""Searching a gallery: the cells whose embeddings are most like a photo's.

Up to a million cells every one is compared, block by block; beyond, an approximate index finds candidates, which are
then compared exactly (see `tiercel.atlas.index`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tiercel.atlas import Atlas
from tiercel.atlas.gallery import cell_grids
from tiercel.atlas.index import Index
from tiercel.atlas.manifest import IndexRecord
from tiercel.atlas.tables import check_width, gallery_columns, gallery_table, read_batches, read_column, read_rows
from tiercel.errors import TiercelError
from tiercel.geo import Area
from tiercel.models.features import PhotoFeatures
from tiercel.search.cells import ScaleCells, leaf_shares
from tiercel.search.nearest import Best
from tiercel.search.policies import log_sum_exp
from tiercel.search.posterior import nothing_within

Scores = NDArray[np.float32]
Indices = NDArray[np.int64]
Half = NDArray[np.float16]
Progress = Callable[[int, int], None]

EXACT_CELLS = 1_000_000
"""Up to so many cells a search compares every one, and their embeddings are held in memory."""
BLOCK = 16_384
"""Cells that are compared at once."""
QUERIES_AT_ONCE = 1024
WHOLE_SHARE = 20
"""A larger part of the cells than one in so many is read with all the others, from the first to the last."""
_EXPONENT = np.uint16(0x7C00)


@dataclass(frozen=True, eq=False)
class Hits:
    """The cells most like each of n vectors.

    Attributes:
        cells: (n, k) int64 rows of the gallery, the most similar first and of equal ones the lower row; -1 where there
            are fewer cells than were asked for.
        scores: (n, k) float32 inner products with them; minus infinity where there is no cell.
    """

    cells: Indices
    scores: Scores


class Gallery:
    """The cells of an atlas with their embeddings, opened for searching.

    Args:
        table: Folder of the Lance table.
        width: Numbers in an embedding.
        version: Version of the table; the last if left out.
        index: What is known of its approximate index, if it has one.

    Raises:
        TiercelError: The table holds embeddings of another width.
    """

    def __init__(self, table: Path, width: int, version: int | None = None, index: IndexRecord | None = None) -> None:
        """Reads nothing yet but how the table is laid out."""
        self.table, self.width, self.index = table, width, index
        self.version = check_width(table, version, width)
        self._columns = gallery_columns(width)

    @classmethod
    def of(cls, atlas: Atlas) -> Gallery:
        """The gallery of an atlas.

        Raises:
            TiercelError: The atlas has none.
        """
        record = atlas.manifest.gallery
        if record is None:
            heads = ", ".join(atlas.manifest.sizes.heads)
            raise TiercelError(f"{atlas.folder} has no gallery: its model has only these heads: {heads}.")
        table = gallery_table(atlas.folder)
        return cls(table, record.width, atlas.versions.get(table.stem), atlas.manifest.index)

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.x)

    @cached_property
    def cell(self) -> Indices:
        """(cells,) int64 numbers of the cells, which stay when the atlas grows."""
        values: Indices = self._column("cell")
        return values

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """(cells,) eastings of the centres, metres."""
        values: NDArray[np.float64] = self._column("x")
        return values

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """(cells,) northings of the centres, metres."""
        values: NDArray[np.float64] = self._column("y")
        return values

    @cached_property
    def side(self) -> Scores:
        """(cells,) sides, metres."""
        values: Scores = self._column("side")
        return values

    def search(
        self,
        vectors: ArrayLike,
        k: int,
        *,
        within: Area | None = None,
        exact: bool | None = None,
        progress: Progress | None = None,
    ) -> Hits:
        """The cells most like each of some vectors.

        Args:
            vectors: (n, width), such as the rows of `PhotoFeatures.embedding`.
            k: Cells wanted for each.
            within: Only cells with their centres in this area are searched.
            exact: Whether every cell is compared; by default if there are at most a million of them (in the area).
            progress: Called with the number of cells compared and of all, where every one is.

        Raises:
            TiercelError: The vectors are of another width or no numbers, the area holds no cell, or the approximate
                index is needed and is missing or older than the gallery.
        """
        queries = self._checked(vectors)
        rows = None if within is None else self.rows_within(within)
        if exact is None:
            exact = (len(self) if rows is None else len(rows)) <= EXACT_CELLS
        if exact:
            return self._compare_all(queries, k, rows, progress)
        record = self._fresh_index()
        with self._whole():
            return Hits(*self._index.nearest(queries, k, probes=record.probes, effort=record.effort, rows=rows))

    def similarities(self, vectors: ArrayLike) -> Scores:
        """Inner products of vectors with all cells.

        Args:
            vectors: (n, width).

        Returns:
            (n, cells) float32.
        """
        queries = self._checked(vectors)
        similar = np.empty((len(queries), len(self)), np.float32)
        for start, block in self.blocks():
            np.matmul(queries, block.T, out=similar[:, start : start + len(block)])
        return similar

    def vectors(self, rows: Indices) -> Scores:
        """Embeddings of some cells: (rows,) in any order to (rows, width) float32."""
        if len(self) <= EXACT_CELLS:
            return self._embeddings[rows].astype(np.float32)
        return self._taken(rows).astype(np.float32)

    def rows_within(self, area: Area) -> Indices:
        """Rows of the cells with their centres in an area, in growing order.

        Raises:
            TiercelError: There is none.
        """
        rows = np.flatnonzero(area.contains(self.x, self.y))
        if not len(rows):
            raise nothing_within(area.name)
        return rows

    def blocks(self, rows: Indices | None = None) -> Iterator[tuple[int, Scores]]:
        """The embeddings in single precision, block by block.

        Args:
            rows: Only these rows, in growing order; all if left out.

        Yields:
            How many came before, and (some, width) float32, overwritten by the next.
        """
        buffer = np.empty((BLOCK, self.width), np.float32)
        start = 0
        for block in self._half_blocks(rows):
            single = buffer[: len(block)]
            # Several times as fast as numpy's own conversion; torch wants memory that could be written to.
            half = block if block.flags.writeable else block.copy()
            torch.from_numpy(single).copy_(torch.from_numpy(half))
            yield start, single
            start += len(block)

    def _half_blocks(self, rows: Indices | None) -> Iterator[Half]:
        if len(self) <= EXACT_CELLS:
            count = len(self) if rows is None else len(rows)
            for start in range(0, count, BLOCK):
                some = slice(start, start + BLOCK)
                yield self._embeddings[some] if rows is None else self._embeddings[rows[some]]
            return
        if rows is not None and len(rows) < len(self) // WHOLE_SHARE:
            for start in range(0, len(rows), BLOCK):
                yield self._taken(rows[start : start + BLOCK])
            return
        first = 0
        for batch in self._batches():
            if rows is not None:
                inside = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(batch))] - first
                first += len(batch)
                batch = batch[inside]
            if len(batch):
                yield batch

    def _taken(self, rows: Indices) -> Half:
        """Embeddings of some cells, from disk."""
        with self._whole():
            return self._finite(read_rows(self.table, "embedding", self._columns["embedding"], rows, self.version))

    def _batches(self) -> Iterator[Half]:
        """All embeddings, from disk."""
        with self._whole():
            for batch in read_batches(self.table, "embedding", self._columns["embedding"], self.version, BLOCK):
                yield self._finite(batch)

    @cached_property
    def _index(self) -> Index:
        return Index(self.table, self.version)

    @cached_property
    def _embeddings(self) -> Half:
        return self._finite(self._column("embedding"))

    def _finite(self, embeddings: Half) -> Half:
        """Embeddings, once it is sure that they are numbers.

        Raises:
            TiercelError: They are not.
        """
        # All ones in the exponent stand for infinity and for what is no number.
        if len(embeddings) and ((embeddings.view(np.uint16) & _EXPONENT) == _EXPONENT).any():
            raise TiercelError(
                f"{self.table} holds embeddings that are no numbers; build the atlas again with --overwrite."
            )
        return embeddings

    def _checked(self, vectors: ArrayLike) -> Scores:
        queries = np.ascontiguousarray(vectors, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise TiercelError(
                f"Vectors of shape {queries.shape} cannot be compared with the embeddings in {self.table}, of width "
                f"{self.width}; take those of the model that the atlas was built for."
            )
        if not np.isfinite(queries).all():
            raise TiercelError("A photo's embedding is no number; fetch the model or train it again.")
        return queries

    def _compare_all(self, queries: Scores, k: int, rows: Indices | None, progress: Progress | None) -> Hits:
        best, count = Best(len(queries), k), len(self) if rows is None else len(rows)
        for start, block in self.blocks(rows):
            if progress is not None:
                progress(start, count)
            for first in range(0, len(queries), QUERIES_AT_ONCE):
                best.add(first, start, queries[first : first + QUERIES_AT_ONCE] @ block.T)
        cells = best.cells
        if rows is not None:
            cells = np.where(cells < 0, -1, rows[cells])
        return Hits(cells, best.scores)

    def _fresh_index(self) -> IndexRecord:
        """The index.

        Raises:
            TiercelError: There is none, or cells were added since it was built.
        """
        folder, index = self.table.parent, self.index
        if index is None:
            raise TiercelError(
                f"{folder} has {len(self):,} cells and no index to search them by; "
                f"make one with `tiercel index {folder}`."
            )
        if (index.version, index.cells) != (self.version, len(self)):
            raise TiercelError(
                f"The index of {folder} is older than its cells (it holds {index.cells:,} of {len(self):,}); "
                f"make it anew with `tiercel index {folder}`."
            )
        return index

    def _column(self, name: str) -> Any:  # noqa: ANN401  (of the column's own type)
        with self._whole():
            return read_column(self.table, name, self._columns[name], self.version)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Says in a sentence that the table cannot be read."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise TiercelError(
                f"{self.table.parent} is incomplete or damaged; build it again with --overwrite."
            ) from error


class GalleryRetriever:
    """The gallery of an atlas, ready to say of every leaf how well it fits a photo.

    Args:
        atlas: The atlas.
        scale: What a similarity is multiplied by to make it a logit, as the model has learned it.
    """

    def __init__(self, atlas: Atlas, scale: float) -> None:
        """Works out which cells bear on which leaves."""
        record = atlas.manifest.gallery
        self.atlas, self.scale, self.gallery = atlas, scale, Gallery.of(atlas)
        assert record is not None
        tree = atlas.tree
        grids = cell_grids(record, tree.side(tree.depth))
        self.cells = [ScaleCells(grid, self.gallery.cell) for grid in grids]
        self.shares = [leaf_shares(cells, tree, atlas.leaf_index) for cells in self.cells]

    def scores(self, photo: PhotoFeatures, temperature: float = 1.0) -> GalleryScores:
        """Score every cell for one photo; leaf scores are divided by `temperature`."""
        vectors, headings = photo.embedding, photo.headings_deg
        if len(vectors) > 1 and (vectors == vectors[0]).all():
            # A network that averages over its view cannot tell headings.
            vectors, headings = vectors[:1], np.full(1, np.nan, np.float32)
        logits = self.gallery.similarities(vectors)
        logits *= np.float32(self.scale)
        return GalleryScores(self, headings, logits, temperature)


@dataclass(frozen=True, eq=False)
class GalleryScores:
    """How well every cell of a gallery fits one photo, and what follows for the leaves.

    The score of a cell at a heading is the logit z(c, h): the inner product of the embeddings times the learned scale.
    A leaf l gathers, for each scale s and heading, the cells that are nearest to some of its ground, each by its share
    w of the leaf; scales look at one and the same pose, so their logarithms are averaged; all headings are possible:

        score(l) = log sum_h exp( mean_s log sum_c w(c, l) exp z(c, h) ) / temperature.

    With one scale whose cells are the leaves that is the log-sum-exp over headings.

    Attributes:
        retriever: The gallery.
        headings_deg: (H,) headings of the photo's centre column; NaN if the network does not tell.
        logits: (H, cells) float32.
        temperature: Divides the scores of leaves.
    """

    retriever: GalleryRetriever
    headings_deg: Scores
    logits: Scores
    temperature: float = 1.0

    @property
    def atlas(self) -> Atlas:
        """The atlas."""
        return self.retriever.atlas

    @cached_property
    def by_heading(self) -> Scores:
        """(stored leaves, H) float32, averaged over scales, the temperature left out."""
        leaves, headings = len(self.atlas.leaf_index), len(self.headings_deg)
        total, scales = np.zeros((leaves, headings), np.float32), np.zeros((leaves, 1), np.float32)
        for shares in self.retriever.shares:
            known = shares.shares.any(1)
            with np.errstate(divide="ignore"):
                weights = np.log(shares.shares[known])
            scales[known] += 1
            for heading, logits in enumerate(self.logits):
                total[known, heading] += log_sum_exp(logits[shares.rows[known]] + weights)
        # A leaf that the map covers so barely that no cell of any scale is near fits as badly as the worst.
        worst = total[scales[:, 0] > 0].min(initial=0.0)
        return np.divide(total, scales, out=np.full_like(total, worst), where=scales > 0)

    @cached_property
    def leaf_scores(self) -> Scores:
        """(leaves of the tree,) float32; minus infinity where not covered."""
        scores = np.full(self.atlas.tree.count(self.atlas.tree.depth), -np.inf, np.float32)
        scores[self.atlas.leaf_index] = log_sum_exp(self.by_heading) / np.float32(self.temperature)
        return scores

    def best_heading(self, leaf: int) -> float:
        """Heading of the photo's centre column that fits a stored leaf best, in degrees; NaN if none can be told."""
        return float(self.headings_deg[self._best_row(leaf)])

    def place(self, leaf: int) -> tuple[float, float]:
        """Where in a stored leaf the photo fits best: easting and northing, metres.

        Of the cells of the finest grid with their centres in the leaf, the best at the leaf's best heading; and between
        centres the top of the parabola through its score and those of its neighbours, along each axis. It is the centre
        of the leaf where no cell has its own in it.
        """
        tree = self.atlas.tree
        square = tree.square(tree.depth, *(int(v) for v in tree.unflat(tree.depth, leaf)))
        finest = min(self.retriever.cells, key=lambda cells: cells.grid.spacing)
        x, y, rows = finest.around(square)
        score = np.where(rows < 0, -np.inf, self.logits[self._best_row(leaf)][rows])
        inside = np.where(square.contains(x, y), score, -np.inf)
        if not np.isfinite(inside).any():
            return square.x, square.y
        row, col = (int(v) for v in np.unravel_index(int(inside.argmax()), inside.shape))
        east = _top(score[row, col - 1 : col + 2])
        south = _top(score[row - 1 : row + 2, col])
        spacing = finest.grid.spacing
        return float(x[row, col] + east * spacing), float(y[row, col] - south * spacing)

    def _best_row(self, leaf: int) -> int:
        return int(self.by_heading[int(self.atlas.rows(np.array([leaf]))[0])].argmax())


def _top(scores: Scores) -> float:
    """Where the parabola through three scores, one apart, has its top: from the middle one, at most half way to others.

    In the middle where one is missing or these have no top.
    """
    before, middle, after = (float(value) for value in scores)
    bend = before - 2 * middle + after
    if not (math.isfinite(bend) and bend < 0):
        return 0.0
    return min(0.5, max(-0.5, (before - after) / (2 * bend)))
