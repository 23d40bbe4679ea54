"""The approximate index over a gallery: a vector index of Lance, in the same table as the embeddings.

It finds candidates; these are then compared exactly with the embeddings themselves ("refined"), so that the scores are
those of an exact search and only what is found may lack something.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import numpy as np
from lance.dataset import serialize_row_addrs
from lance.progress import IndexProgress
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Indices = NDArray[np.int64]
Progress = Callable[[int, int], None]

KIND = "IVF_HNSW_SQ"
"""Divided into partitions by k-means, in each a graph of neighbours over embeddings of one byte a number."""
CELLS_PER_PARTITION = 1_000_000
"""Few partitions, all of which are searched: they bound the memory that building takes, and cost no recall."""
GRAPH: dict[str, Any] = {"m": 16, "ef_construction": 80}
"""Neighbours that a cell keeps, and candidates kept in view when they are chosen; more finds more with less effort."""
REFINE = 3
"""How many times as many candidates as cells asked for are compared exactly."""
EFFORT_PER_CELL = 4
"""Least candidates kept in view for each cell asked for."""
QUERIES_AT_ONCE = 256
_EMBEDDING = "embedding"
_OFFSET_BITS = 32


def create_index(table: Path, version: int, progress: Progress | None = None) -> int:
    """Builds the index of a gallery.

    Args:
        table: Folder of the Lance table.
        version: Its version that is to be indexed. What was committed after it is set aside.
        progress: Called with the work done and all work, as far as these are known.

    Returns:
        The version of the table with the index.
    """
    dataset = lance.dataset(str(table), version=version)
    if dataset.latest_version != version:
        dataset.restore()  # type: ignore[no-untyped-call]
        dataset = lance.dataset(str(table))

    def report(event: IndexProgress) -> None:
        if progress is not None and event.completed is not None and event.total:
            progress(event.completed, event.total)

    dataset.create_index(
        _EMBEDDING,
        KIND,
        metric="dot",
        num_partitions=partitions_for(dataset.count_rows()),
        replace=True,
        **GRAPH,
        progress_callback=report,
    )
    return int(lance.dataset(str(table)).version)


def partitions_for(cells: int) -> int:
    """How many partitions so many cells are divided into."""
    return max(1, math.ceil(cells / CELLS_PER_PARTITION))


class Index:
    """The index of a gallery, opened for searching.

    Args:
        table: Folder of the Lance table.
        version: The version that holds the index.
    """

    def __init__(self, table: Path, version: int) -> None:
        """Opens the table."""
        self._dataset = lance.dataset(str(table), version=version)
        fragments = self._dataset.get_fragments()
        counts = [fragment.count_rows() for fragment in fragments]
        self._ids = np.array([fragment.fragment_id for fragment in fragments], np.int64)
        self._starts = np.cumsum([0, *counts])

    def nearest(
        self, queries: Scores, k: int, *, probes: int, effort: int, rows: Indices | None = None
    ) -> tuple[Indices, Scores]:
        """The cells most like each of some vectors, or most of them.

        Args:
            queries: (n, width).
            k: Cells wanted for each.
            probes: Partitions that are looked at.
            effort: Candidates that are kept in view in each.
            rows: Only these rows, in growing order; all if left out.

        Returns:
            (n, k) rows and inner products, the best first and of equal ones the lower row; -1 and minus infinity where
            there are fewer.
        """
        cells = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        allowed = None if rows is None else serialize_row_addrs(self._addresses(rows).tolist())
        for first in range(0, len(queries), QUERIES_AT_ONCE):
            some = queries[first : first + QUERIES_AT_ONCE]
            query, row, score = self._candidates(some, REFINE * k, probes, max(effort, EFFORT_PER_CELL * k), allowed)
            order = np.lexsort((row, -score, query))
            query, row, score = query[order], row[order], score[order]
            place = np.arange(len(query)) - np.searchsorted(query, query)
            best = place < k
            cells[first + query[best], place[best]] = row[best]
            scores[first + query[best], place[best]] = score[best]
        return cells, scores

    def _candidates(
        self, queries: Scores, count: int, probes: int, effort: int, allowed: bytes | None
    ) -> tuple[Indices, Indices, Scores]:
        """For each candidate its query, its row, and their inner product."""
        found = self._dataset.scanner(
            columns=[_EMBEDDING, "_distance"],
            nearest={"column": _EMBEDDING, "q": queries, "k": count, "nprobes": probes, "ef": effort},
            row_addr_allowlist=allowed,
            with_row_address=True,
        ).to_table()
        query = found["query_index"].to_numpy()
        width = queries.shape[1]
        embeddings = found[_EMBEDDING].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        # Not Lance's own distances: it rounds queries to the precision of the embeddings.
        score = np.einsum("ij,ij->i", embeddings.astype(np.float32), queries[query])
        return query, self._rows(found["_rowaddr"].to_numpy().astype(np.int64)), score

    def _addresses(self, rows: Indices) -> Indices:
        """Lance's addresses of rows: the fragment, and the place in it."""
        fragment = np.searchsorted(self._starts, rows, side="right") - 1
        return np.asarray((self._ids[fragment] << _OFFSET_BITS) + rows - self._starts[fragment])

    def _rows(self, addresses: Indices) -> Indices:
        fragment = np.searchsorted(self._ids, addresses >> _OFFSET_BITS)
        return np.asarray(self._starts[fragment] + (addresses & ((1 << _OFFSET_BITS) - 1)))
