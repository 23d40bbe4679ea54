"""Where the true reference of each query stands among all references: recall at k and what else follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import TiercelError
from tiercel.evaluation.bounding import Workers
from tiercel.evaluation.comparing import Float, count_greater, similarities
from tiercel.evaluation.metrics import Measured, share
from tiercel.evaluation.pruning import compare_all, pose

AT_LEAST = 10
"""Ranks are counted up to this number even in the smallest gallery."""


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

    def recall_at(self, k: int) -> Measured:
        """R@k: percentage of queries whose positive has fewer than k references of strictly greater similarity.

        Raises:
            ValueError: Ranks were not counted as far as k.
        """
        if k > self.counted:
            raise ValueError(f"ranks were counted to {self.counted}, which does not tell recall at {k}")
        return share(self.rank < k)

    def hit_rate(self) -> Measured:
        """Percentage of queries whose positive is first once semi-positives are masked."""
        return share(self.hit)


def one_percent(references: int) -> int:
    """The k of R@1%: a hundredth of the references, rounded down; 0 for fewer than a hundred, which nothing reaches."""
    return references // 100


def rank_references(
    queries: ArrayLike,
    references: ArrayLike,
    positives: ArrayLike,
    semi_positives: Sequence[Sequence[int]] | None = None,
    *,
    counted: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank the references of a gallery for every query.

    Args:
        queries: (n, d) embeddings; float32, or what can be turned into it.
        references: (m, d) embeddings. Similarity is the inner product: its products are added up in double precision
            and the sum is rounded to single precision, in which references may tie.
        positives: (n,) index of each query's true reference.
        semi_positives: For each query, references that are masked for `Ranks.hit`.
        counted: How far to count; None for a hundredth of the references, as R@1% needs it, and at least 10.
        threads: How many; None for as many as torch uses.
        progress: Called with references compared and references in all.

    Returns:
        The ranks: exactly those of comparing every pair, on any machine and with any number of threads.

    Raises:
        TiercelError: Embeddings are of two widths, are no matrices or not finite, or an index is none of a reference.
    """
    queries, references = _embeddings(queries, "queries"), _embeddings(references, "references")
    n, m = len(queries), len(references)
    if queries.shape[1] != references.shape[1]:
        raise TiercelError(
            f"The queries' embeddings have {queries.shape[1]} numbers and the references' {references.shape[1]}: "
            "encode both with the same model."
        )
    truths = _indices(positives, n, m)
    starts, masked = _flat(semi_positives, n, m)
    limit = max(max(AT_LEAST, one_percent(m)) if counted is None else counted, 1 + int(np.diff(starts).max(initial=0)))
    similarity, greater = np.empty(n, np.float32), np.empty(n, np.int64)
    with Workers(threads) as workers:
        workers.over(n, lambda some: similarities(queries[some], references, truths[some], similarity[some]))
        problem = pose(queries, references, similarity, truths, limit, workers)
        for lengths, what in ((problem.query_length, "query"), (problem.reference_length, "reference")):
            _check_finite(lengths, what)
        compare_all(problem, workers, progress)

        def count(some: slice) -> None:
            ends = starts[some.start : some.stop + 1]
            count_greater(queries[some], references, similarity[some], ends, masked, greater[some])

        workers.over(n, count)
    rank, best = problem.standing.rank, problem.standing.best
    return Ranks(rank, limit, best, rank == greater)


def _embeddings(rows: ArrayLike, what: str) -> Float:
    try:
        array = np.ascontiguousarray(rows, np.float32)
    except (TypeError, ValueError):
        array = np.empty(0, np.float32)
    if array.ndim != 2 or (what == "references" and not len(array)):
        raise TiercelError(f"The embeddings of the {what} are no matrix: give one row of numbers for each of them.")
    return array


def _check_finite(lengths: Float, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        rest = f" and of {len(bad) - 1} more" if len(bad) > 1 else ""
        raise TiercelError(
            f"The embedding of {what} {bad[0]}{rest} holds NaN or infinite numbers, so that nothing can be ranked: "
            "encode it again, or leave it out."
        )


def _indices(positives: ArrayLike, n: int, m: int) -> NDArray[np.int64]:
    indices = np.asarray(positives)
    if indices.shape != (n,) or (n and indices.dtype.kind not in "iu"):
        raise TiercelError(f"There are {n} queries, so give {n} positives, each the index of a reference.")
    wrong = np.flatnonzero((indices < 0) | (indices >= m))
    if len(wrong):
        raise TiercelError(f"The positive of query {wrong[0]} is {indices[wrong[0]]}, but references are 0 to {m - 1}.")
    return indices.astype(np.int64)


def _flat(
    semi_positives: Sequence[Sequence[int]] | None, n: int, m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists of references one after the other: where each starts, and all of them."""
    lists = [()] * n if semi_positives is None else semi_positives
    if len(lists) != n:
        raise TiercelError(f"There are {n} queries, but semi-positives of {len(lists)}.")
    starts = np.concatenate([[0], np.cumsum([len(some) for some in lists], dtype=np.int64)])
    flat = np.fromiter((one for some in lists for one in some), np.int64, int(starts[-1]))
    wrong = np.flatnonzero((flat < 0) | (flat >= m))
    if len(wrong):
        query = int(np.searchsorted(starts, wrong[0], "right")) - 1
        raise TiercelError(f"A semi-positive of query {query} is {flat[wrong[0]]}, but references are 0 to {m - 1}.")
    return starts, flat
