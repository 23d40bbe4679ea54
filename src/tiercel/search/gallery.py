"""Searching a gallery: the cells whose embeddings are most like a photo's.

Up to a million cells every one is compared, block by block; beyond, an approximate index finds candidates, which are
then compared exactly (see `tiercel.atlas.index`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.atlas import Atlas
from tiercel.atlas.index import Index
from tiercel.atlas.manifest import IndexRecord
from tiercel.atlas.tables import check_width, gallery_columns, gallery_table, read_batches, read_column
from tiercel.errors import TiercelError
from tiercel.geo import Area

Scores = NDArray[np.float32]
Indices = NDArray[np.int64]
Half = NDArray[np.float16]

EXACT_CELLS = 1_000_000
"""Up to so many cells a search compares every one, and their embeddings are held in memory."""
BLOCK = 16_384
"""Cells that are compared at once."""
QUERIES_AT_ONCE = 1024
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

    def search(self, vectors: ArrayLike, k: int, *, within: Area | None = None, exact: bool | None = None) -> Hits:
        """The cells most like each of some vectors.

        Args:
            vectors: (n, width), such as the rows of `PhotoFeatures.embedding`.
            k: Cells wanted for each.
            within: Only cells with their centres in this area are searched.
            exact: Whether every cell is compared; by default if there are at most a million of them (in the area).

        Raises:
            TiercelError: The vectors are of another width or no numbers, the area holds no cell, or the approximate
                index is needed and is missing or older than the gallery.
        """
        queries = self._checked(vectors)
        rows = None if within is None else self.rows_within(within)
        if exact is None:
            exact = (len(self) if rows is None else len(rows)) <= EXACT_CELLS
        if exact:
            return self._compare_all(queries, k, rows)
        record = self._fresh_index()
        found = self._index.nearest(queries, k, probes=record.probes, refine=record.refine, rows=rows)
        return Hits(*found)

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

    def rows_within(self, area: Area) -> Indices:
        """Rows of the cells with their centres in an area, in growing order.

        Raises:
            TiercelError: There is none.
        """
        rows = np.flatnonzero(area.contains(self.x, self.y))
        if not len(rows):
            raise TiercelError(
                f"The area {area.name} holds no cell of the map; check that it lies on the map "
                "(LAT,LON,METRES, but longitude before latitude in GeoJSON), or make it larger."
            )
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
            np.copyto(single, block)
            yield start, single
            start += len(block)

    def _half_blocks(self, rows: Indices | None) -> Iterator[Half]:
        if len(self) <= EXACT_CELLS:
            count = len(self) if rows is None else len(rows)
            for start in range(0, count, BLOCK):
                some = slice(start, start + BLOCK)
                yield self._embeddings[some] if rows is None else self._embeddings[rows[some]]
            return
        first = 0
        for batch in self._batches():
            if rows is not None:
                inside = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(batch))] - first
                first += len(batch)
                batch = batch[inside]
            if len(batch):
                yield batch

    def _batches(self) -> Iterator[Half]:
        """All embeddings, from disk."""
        try:
            for batch in read_batches(self.table, "embedding", self._columns["embedding"], self.version, BLOCK):
                yield self._finite(batch)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._damaged from error

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

    def _compare_all(self, queries: Scores, k: int, rows: Indices | None) -> Hits:
        best = _Best(len(queries), k)
        for start, block in self.blocks(rows):
            for first in range(0, len(queries), QUERIES_AT_ONCE):
                some = slice(first, first + QUERIES_AT_ONCE)
                best.add(some, start, queries[some] @ block.T)
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
        try:
            return read_column(self.table, name, self._columns[name], self.version)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._damaged from error

    @property
    def _damaged(self) -> TiercelError:
        return TiercelError(f"{self.table.parent} is incomplete or damaged; build it again with --overwrite.")


class _Best:
    """The k best of what has been seen so far, for each of n queries. Of equal scores the one seen first is better."""

    def __init__(self, queries: int, k: int) -> None:
        if k < 1:
            raise ValueError(f"a search is for 1 cell or more, not {k}")
        self.cells = np.full((queries, k), -1, np.int64)
        self.scores = np.full((queries, k), -np.inf, np.float32)

    def add(self, some: slice, start: int, scores: Scores) -> None:
        """Scores (m, b) of the b cells from `start` on, for some of the queries."""
        k = self.scores.shape[1]
        threshold = self.scores[some, -1].copy()
        if scores.shape[1] > k and not np.isfinite(threshold).all():
            # What is below the k-th of this block alone cannot be among the best.
            own = np.partition(scores, -k, axis=1)[:, -k]
            threshold = np.maximum(threshold, np.nextafter(own, np.float32(-np.inf)))
        # Later cells are passed over at equal scores, so that whatever is not above the threshold is out.
        query, column = np.nonzero(scores > threshold[:, None])
        rows, first = np.unique(query, return_index=True)
        for row, columns in zip(rows.tolist(), np.split(column, first)[1:], strict=True):
            self._merge(some.start + row, start, columns, scores[row])

    def _merge(self, query: int, start: int, columns: Indices, scores: Scores) -> None:
        k = self.scores.shape[1]
        cells = np.concatenate([self.cells[query], start + columns])
        values = np.concatenate([self.scores[query], scores[columns]])
        order = np.argsort(-values, kind="stable")[:k]
        self.cells[query], self.scores[query] = cells[order], values[order]
