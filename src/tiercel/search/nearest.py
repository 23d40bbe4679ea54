"""The best of many scores, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Indices = NDArray[np.int64]


class Best:
    """The k best cells seen so far for each of n queries. Of equal scores the one seen first is better.

    Args:
        queries: n.
        k: 1 or more.

    Attributes:
        cells: (n, k) int64 in order, -1 where fewer were seen.
        scores: (n, k) float32, minus infinity where fewer were seen.
    """

    def __init__(self, queries: int, k: int) -> None:
        """Nothing is seen yet."""
        if k < 1:
            raise ValueError(f"a search is for 1 cell or more, not {k}")
        self.cells = np.full((queries, k), -1, np.int64)
        self.scores = np.full((queries, k), -np.inf, np.float32)

    def add(self, first_query: int, first_cell: int, scores: Scores) -> None:
        """More scores.

        Args:
            first_query: The first of the m queries whose scores these are.
            first_cell: The first of the b cells, above all that these queries have seen.
            scores: (m, b).
        """
        k = self.scores.shape[1]
        threshold = self.scores[first_query : first_query + len(scores), -1].copy()
        if scores.shape[1] > k and not np.isfinite(threshold).all():
            # What is below the k-th of this block alone cannot be among the best.
            own = np.partition(scores, -k, axis=1)[:, -k]
            threshold = np.maximum(threshold, np.nextafter(own, np.float32(-np.inf)))
        # Later cells are passed over at equal scores, so that whatever is not above the threshold is out.
        query, cell = np.nonzero(scores > threshold[:, None])
        rows, starts = np.unique(query, return_index=True)
        for row, columns in zip(rows.tolist(), np.split(cell, starts)[1:], strict=True):
            self._merge(first_query + row, first_cell + columns, scores[row, columns])

    def _merge(self, query: int, cells: Indices, scores: Scores) -> None:
        cells, scores = np.concatenate([self.cells[query], cells]), np.concatenate([self.scores[query], scores])
        order = np.argsort(-scores, kind="stable")[: self.scores.shape[1]]
        self.cells[query], self.scores[query] = cells[order], scores[order]
