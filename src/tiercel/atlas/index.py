"""The approximate index over a gallery: a vector index of Lance, in the same table as the embeddings.

It finds candidates; these are then compared exactly with the embeddings themselves ("refined"), so that the scores are
those of an exact search and only what is found may lack something.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

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
CELLS_PER_PARTITION = 100_000
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
        self, queries: Scores, k: int, *, probes: int, refine: int, rows: Indices | None = None
    ) -> tuple[Indices, Scores]:
        """The cells most like each of some vectors, or most of them.

        Args:
            queries: (n, width).
            k: Cells wanted for each.
            probes: Partitions that are looked at.
            refine: How many times as many candidates are compared exactly.
            rows: Only these rows, in growing order; all if left out.

        Returns:
            (n, k) rows and inner products, the best first and of equal ones the lower row; -1 and minus infinity where
            there are fewer.
        """
        cells = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        allowed = None if rows is None else serialize_row_addrs(self._addresses(rows).tolist())
        found = self._dataset.scanner(
            columns=["_distance"],
            nearest={
                "column": _EMBEDDING,
                "q": queries,
                "k": k,
                "nprobes": probes,
                "refine_factor": refine,
                "ef": refine * k,
            },
            row_addr_allowlist=allowed,
            with_row_address=True,
        ).to_table()
        query, row = found["query_index"].to_numpy(), self._rows(found["_rowaddr"].to_numpy().astype(np.int64))
        # Lance's distance for inner products is one less the product.
        score = (1 - found["_distance"].to_numpy()).astype(np.float32)
        order = np.lexsort((row, -score, query))
        query, row, score = query[order], row[order], score[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        cells[query, place], scores[query, place] = row, score
        return cells, scores

    def _addresses(self, rows: Indices) -> Indices:
        """Lance's addresses of rows: the fragment, and the place in it."""
        fragment = np.searchsorted(self._starts, rows, side="right") - 1
        return np.asarray((self._ids[fragment] << _OFFSET_BITS) + rows - self._starts[fragment])

    def _rows(self, addresses: Indices) -> Indices:
        fragment = np.searchsorted(self._ids, addresses >> _OFFSET_BITS)
        return np.asarray(self._starts[fragment] + (addresses & ((1 << _OFFSET_BITS) - 1)))
