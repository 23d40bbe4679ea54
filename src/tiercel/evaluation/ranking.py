"""Where the true reference of each query stands among all references: recall at k and what else follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS = 256
"""Queries compared at a time."""


@dataclass(frozen=True)
class Ranks:
    """Where the positives of queries stand.

    Attributes:
        rank: (n,) int64, references of strictly greater similarity than the query's positive; `counted` stands for so
            many or more.
        counted: How far references were counted.
        best: (n,) int64, index of the most similar reference, the lowest among equals.
        hit: (n,) bool, no reference but semi-positives is of greater similarity than the positive.
    """

    rank: NDArray[np.int64]
    counted: int
    best: NDArray[np.int64]
    hit: NDArray[np.bool_]


def rank_references(
    queries: NDArray[np.float32],
    references: NDArray[np.float32],
    positives: NDArray[np.int64],
    semi_positives: Sequence[Sequence[int]] | None = None,
) -> Ranks:
    """Rank the references of a gallery for every query.

    Args:
        queries: (n, d) float32 embeddings.
        references: (m, d) float32 embeddings; similarity is the inner product.
        positives: (n,) index of each query's true reference.
        semi_positives: For each query, references that are masked for `Ranks.hit`.

    Returns:
        The ranks, counted to the end.
    """
    n = len(queries)
    rank, best, hit = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    for first in range(0, n, ROWS):
        some = slice(first, first + ROWS)
        similarity = queries[some] @ references.T
        truth = np.take_along_axis(similarity, positives[some, None], 1)
        greater = similarity > truth
        rank[some], best[some] = greater.sum(1), similarity.argmax(1)
        for row, masked in enumerate(semi_positives[some] if semi_positives is not None else ()):
            greater[row, list(masked)] = False
        hit[some] = ~greater.any(1)
    return Ranks(rank, len(references), best, hit)
