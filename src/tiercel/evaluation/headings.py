"""Ranks where a query's heading is not known: a reference is as similar as it is at the heading that suits it best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tiercel.evaluation.ranking import Ranks, rank_references
from tiercel.search.nearest import Best

Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
Progress = Callable[[int, int], None]

_PRODUCTS = 1 << 25
"""Sums that are held at a time."""
_REFERENCES = 8192
"""At most as many are compared at a time."""
_PAIRS = 256
"""Pairs that are looked at again at a time."""


def rank_at_best_heading(
    queries: Singles,
    references: Singles,
    positives: Indices,
    semi_positives: Sequence[Sequence[int]],
    progress: Progress | None = None,
) -> Ranks:
    """Rank the references of a gallery for queries that may look anywhere.

    Args:
        queries: (n, H, d) float32, a query at each of its H headings; with one heading, as `rank_references` ranks.
        references: (m, d) float32, all finite.
        positives: (n,) index of each query's true reference.
        semi_positives: For each query, references that are masked for `Ranks.hit`.
        progress: Called with queries done and queries in all.

    Returns:
        The ranks. Similarity is the greatest inner product over the headings, rounded to single precision as there;
        whatever sums in single precision leave undecided is added up again in double precision. Only `Ranks.best` may
        take one for the other among references that are equal but for rounding.
    """
    if queries.shape[1] == 1:
        return rank_references(queries[:, 0], references, positives, semi_positives, progress=progress)
    n, m = len(queries), len(references)
    truth = exact_similarities(queries, references, np.arange(n), positives)
    once = [set(some) for some in semi_positives]
    masked = np.repeat(np.arange(n), [len(some) for some in once])
    semi = np.array([one for some in once for one in some], np.int64)
    above = exact_similarities(queries, references, masked, semi) > truth[masked]
    greater_semi = np.bincount(masked[above], minlength=n)
    slack = _slack(queries, references)
    rank, best = np.zeros(n, np.int64), Best(n, 1)
    for block in _blocks(queries, references, progress):
        some = np.arange(block.query, block.query + len(block.scores))
        off = block.scores - truth[some, None]
        close = np.abs(off) <= slack[some, None]
        column = positives[some] - block.reference
        own = np.flatnonzero((column >= 0) & (column < off.shape[1]))
        close[own, column[own]] = False  # it is not above itself
        off[own, column[own]] = 0.0
        rank[some] += ((off > 0) & ~close).sum(1)
        row, col = np.nonzero(close)
        again = exact_similarities(queries, references, some[row], block.reference + col) > truth[some[row]]
        rank[some] += np.bincount(row[again], minlength=len(some))
        best.add(block.query, block.reference, block.scores)
    return Ranks(rank, m, best.cells[:, 0], rank == greater_semi)


def top_references(
    queries: Singles, references: Singles, k: int, progress: Progress | None = None
) -> tuple[Indices, Singles]:
    """The k most similar references of each query, best first.

    Args:
        queries: (n, H, d) float32, a query at each of its H headings.
        references: (m, d) float32.
        k: How many; all where there are fewer.
        progress: Called with queries done and queries in all.

    Returns:
        (n, k) int64 indices, and (n, k) float32 similarities in single precision.
    """
    best = Best(len(queries), min(k, len(references)))
    for block in _blocks(queries, references, progress):
        best.add(block.query, block.reference, block.scores)
    return best.cells, best.scores


def exact_similarities(queries: Singles, references: Singles, query: ArrayLike, reference: ArrayLike) -> Singles:
    """Similarities of pairs, added up in double precision.

    Args:
        queries: (n, H, d) float32.
        references: (m, d) float32.
        query: (p,) numbers of queries.
        reference: (p,) numbers of references.

    Returns:
        (p,) float32.
    """
    of, to = np.asarray(query, np.int64), np.asarray(reference, np.int64)
    out = np.empty(len(of), np.float32)
    for first in range(0, len(of), _PAIRS):
        some = slice(first, first + _PAIRS)
        left, right = queries[of[some]].astype(np.float64), references[to[some]].astype(np.float64)
        out[some] = np.matmul(left, right[:, :, None])[:, :, 0].max(1, initial=-np.inf)
    return out


def _slack(queries: Singles, references: Singles) -> Singles:
    """(n,) by how much sums in single precision may be off: d 2^-24 |q| |r|, with as much again for the rounding."""
    # Some at a time: queries may be a file that is larger than memory.
    some = [queries[first : first + _PAIRS] for first in range(0, len(queries), _PAIRS)]
    longest = np.concatenate([np.linalg.norm(part, axis=2).max(1) for part in some])
    unit = 2 * (queries.shape[2] + 1) * 2.0**-24
    return np.asarray(unit * longest * np.linalg.norm(references, axis=1).max(), np.float32)


@dataclass(frozen=True)
class _Block:
    """Similarities of some queries and some references.

    Attributes:
        query: Number of the first query.
        reference: Number of the first reference.
        scores: (queries, references) float32.
    """

    query: int
    reference: int
    scores: Singles


def _blocks(queries: Singles, references: Singles, progress: Progress | None) -> Iterator[_Block]:
    """All similarities, query by query and block by block, on a GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    gallery = torch.from_numpy(np.ascontiguousarray(references)).to(device)
    n, headings, width = queries.shape
    step = max(1, _PRODUCTS // (headings * min(_REFERENCES, max(1, len(references)))))
    for first in range(0, n, step):
        some = torch.from_numpy(np.ascontiguousarray(queries[first : first + step])).to(device)
        for start in range(0, len(references), _REFERENCES):
            products = some.reshape(-1, width) @ gallery[start : start + _REFERENCES].T
            scores = products.reshape(len(some), headings, -1).amax(1)
            yield _Block(first, start, scores.cpu().numpy())
        if progress is not None:
            progress(min(first + step, n), n)
