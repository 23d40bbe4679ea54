"""Compiled comparisons of queries with references: first by bounds on the similarity, then exactly.

The similarity that counts is `similarity`: products in double precision, added up in one fixed order and rounded to
single precision, so that it is the same bits on every machine and for every duplicate. Everything else saves work. It
bounds ``query . (reference - centre)``, which puts references in the same order and is free of what all have in common.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
LANES = 32
"""Partial sums of a similarity."""
UNIT = 2.0**-24
"""Largest relative error of rounding to single precision."""
UP = 1.0 + 8.0 * UNIT
"""Makes an upper bound of a number that was computed in double precision and is about to be rounded."""
STRIP = 32
"""References looked at together: where none may pass, the comparison is all they cost."""


class Bounds(NamedTuple):
    """What is known of vectors that are written as small whole numbers, each (n,) float32.

    With these of a query q and a reference r, their inner product is at most
    ``q.step * r.step * product of the codes + q.size * r.error + q.error * r.size + q.rest * r.rest`` (Cauchy-Schwarz).

    Attributes:
        step: What a code of 1 stands for.
        error: At most so far is the coded part off.
        size: At most so long is the coded part.
        rest: At most so long is the part that is not coded.
    """

    step: Float
    error: Float
    size: Float
    rest: Float


class Vectors(NamedTuple):
    """Queries or references.

    Attributes:
        rows: (n, d) float32.
        length: (n,) float32, upper bounds of their lengths.
        codes: (n, d) int8, the rows as small whole numbers.
        bounds: Of these codes.
    """

    rows: Float
    length: Float
    codes: NDArray[np.int8]
    bounds: Bounds


class Standing(NamedTuple):
    """What is known of queries so far, each (n,).

    Attributes:
        truth: float32, similarity of the positive.
        rank: int64, references found to be more similar.
        top: float32, the highest similarity found.
        best: int64, the first reference that has it.
        base: float64, similarity with the centre.
        slack: float64, what rounding may do to a bound.
    """

    truth: Float
    rank: NDArray[np.int64]
    top: Float
    best: NDArray[np.int64]
    base: NDArray[np.float64]
    slack: NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def similarity(query: Float, reference: Float, lanes: NDArray[np.float64]) -> np.float32:
    """The inner product that counts.

    Args:
        query: (d,) vector.
        reference: (d,) vector.
        lanes: (`LANES`,) scratch. Product k is added to lane k % `LANES`; those that fill no round of lanes are added
            up by themselves, and to that the lanes in their order.
    """
    whole = len(query) - len(query) % LANES
    for lane in range(LANES):
        lanes[lane] = 0.0
    for first in range(np.uint64(0), np.uint64(whole), np.uint64(LANES)):
        for lane in range(np.uint64(LANES)):
            lanes[lane] += np.float64(query[first + lane]) * np.float64(reference[first + lane])
    total = 0.0
    for k in range(whole, len(query)):
        total += np.float64(query[k]) * np.float64(reference[k])
    for lane in range(LANES):
        total += lanes[lane]
    return np.float32(total)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def similarities(queries: Float, references: Float, chosen: NDArray[np.int64], out: Float) -> None:
    """The similarity of each of (n, d) queries with its `chosen` (n,) reference, into `out` (n,)."""
    lanes = np.zeros(LANES, np.float64)
    for i in range(len(queries)):
        out[i] = similarity(queries[i], references[chosen[i]], lanes)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_greater(
    queries: Float,
    references: Float,
    truth: Float,
    starts: NDArray[np.int64],
    others: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """How many of some references are more similar than `truth`, each counted once.

    Args:
        queries: (n, d).
        references: (m, d).
        truth: (n,) similarities to exceed.
        starts: (n + 1,) where each query's references start in `others`.
        others: Indices of references.
        out: (n,) to fill.
    """
    lanes = np.zeros(LANES, np.float64)
    for i in range(len(queries)):
        out[i] = 0
        for n in range(starts[i], starts[i + 1]):
            seen = False
            for earlier in range(starts[i], n):
                seen |= others[earlier] == others[n]
            if not seen and similarity(queries[i], references[others[n]], lanes) > truth[i]:
                out[i] += 1


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def lengths(rows: Float, out: Float) -> None:
    """Upper bounds of the lengths of (n, d) rows, into `out` (n,); not finite where the row is not."""
    for i in range(len(rows)):
        total = 0.0
        for k in range(rows.shape[1]):
            total += np.float64(rows[i, k]) * np.float64(rows[i, k])
        out[i] = np.float32(np.sqrt(total) * UP)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def encode(
    rows: Float,
    length: Float,
    doubt: float,
    largest: int,
    ends: NDArray[np.int64],
    codes: NDArray[np.int8],
    bounds: Float,
) -> None:
    """Write vectors as small whole numbers.

    Args:
        rows: (n, w) coordinates.
        length: (n,) upper bounds of the vectors' whole lengths.
        doubt: By what part of that length the coordinates may have been off already.
        largest: Largest whole number to write.
        ends: (levels,) how many leading coordinates each level takes; a level that takes less than all of the vector
            has a rest.
        codes: (n, w) to fill.
        bounds: (levels, 4, n) to fill, in the order of `Bounds`.
    """
    for i in range(len(rows)):
        row, line = rows[i], codes[i]
        low = high = np.float32(0.0)
        for k in range(np.uint64(len(row))):
            low, high = min(low, row[k]), max(high, row[k])
        step = max(max(high, -low) / np.float32(largest), np.float32(1e-30))
        whole, off, size, first = np.float64(length[i]), 0.0, 0.0, np.uint64(0)
        for level in range(len(ends)):
            for k in range(first, np.uint64(ends[level])):
                code = np.rint(row[k] / step)
                line[k] = np.int8(np.int32(code))
                miss = np.float64(row[k]) - np.float64(code) * np.float64(step)
                off += miss * miss
                size += np.float64(row[k]) * np.float64(row[k])
            first = np.uint64(ends[level])
            error = np.sqrt(off) + doubt * whole
            bounds[level, 0, i] = step
            bounds[level, 1, i] = np.float32(error * UP)
            bounds[level, 2, i] = np.float32((np.sqrt(size) + error) * UP)
            bounds[level, 3, i] = np.float32(np.sqrt(max((1.0 + 3.0 * doubt) * whole * whole - size, 0.0)) * UP)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def try_bounds(
    products: NDArray[np.int32],
    chosen: NDArray[np.int64],
    query: Bounds,
    reference: Bounds,
    standing: Standing,
    passing: Float,
    open_: Float,
) -> None:
    """What shares of references bounds let pass, as maybe as similar as the positive, and leave open, as maybe less so.

    Args:
        products: (b, m) products of what stands for queries and references.
        chosen: (b,) the queries.
        query: Bounds of all queries.
        reference: Bounds of the m references.
        standing: Of the queries.
        passing: (b,) to fill.
        open_: (b,) to fill.
    """
    for row in range(len(products)):
        i = chosen[row]
        step = query.step[i]
        least = np.float32((standing.truth[i] - standing.base[i] - standing.slack[i]) / step)
        error, size, rest = query.error[i] / step, query.size[i] / step, query.rest[i] / step
        may = surely = np.float32(0.0)
        for k in range(np.uint64(products.shape[1])):
            middle = np.float32(products[row, k]) * reference.step[k]
            off = size * reference.error[k] + error * reference.size[k] + rest * reference.rest[k]
            may += np.float32(middle + off >= least)
            surely += np.float32(middle - off > least)
        passing[row] = may / np.float32(products.shape[1])
        open_[row] = (may - surely) / np.float32(products.shape[1])


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def settle(
    products: NDArray[np.int32],
    chosen: NDArray[np.int64],
    offset: int,
    query: Bounds,
    reference: Bounds,
    narrow: bool,
    queries: Vectors,
    references: Vectors,
    standing: Standing,
    limit: int,
) -> None:
    """Compare some queries with some references in a row.

    Args:
        products: (b, m) products of what stands for them, their codes or something shorter.
        chosen: (b,) the queries.
        offset: The first of the m references.
        query: Bounds of all queries that go with the products.
        reference: Bounds of all references that go with the products.
        narrow: Whether the codes tell more than the products.
        queries: All queries.
        references: All references.
        standing: Of the queries; brought up to date.
        limit: Ranks are counted up to this number.
    """
    # Taken apart once: to take a tuple of arrays apart, or to hand it on, costs more than to compare a pair.
    truth, rank, top, best, base, slack = standing
    steps, errors, sizes, rests = reference
    rows, row_lengths, row_codes, row_bounds = queries
    columns, column_lengths, column_codes, column_bounds = references
    row_step, row_error, row_size, row_rest = row_bounds
    column_step, column_error, column_size, column_rest = column_bounds
    rounding = (rows.shape[1] + 16.0) * UNIT
    lanes = np.zeros(LANES, np.float64)
    count = products.shape[1]
    passing = np.empty(count, np.int64)
    here_steps, here_rests = steps[offset : offset + count], rests[offset : offset + count]
    worst_error, worst_size = errors[offset : offset + count].max(), sizes[offset : offset + count].max()
    for row in range(len(products)):
        i = chosen[row]
        step = query.step[i]
        error, size, rest = query.error[i] / step, query.size[i] / step, query.rest[i] / step
        cutoff = top[i] if rank[i] >= limit else truth[i]
        least = (cutoff - base[i] - slack[i]) / step - size * worst_error - error * worst_size
        found = _passing(products[row], here_steps, here_rests, rest, np.float32(least), passing)
        for n in range(found):
            j = offset + passing[n]
            product = products[row, passing[n]]
            middle = np.float64(product) * step * steps[j] + base[i]
            off = (size * errors[j] + error * sizes[j] + rest * rests[j]) * step + slack[i]
            verdict = _verdict(middle - off, middle + off, truth[i], top[i], rank[i] < limit)
            if verdict == OPEN and narrow:
                middle = _product(row_codes[i], column_codes[j]) * row_step[i] * np.float64(column_step[j]) + base[i]
                off = (
                    row_size[i] * column_error[j]
                    + row_error[i] * column_size[j]
                    + row_rest[i] * column_rest[j]
                    + slack[i]
                )
                verdict = _verdict(middle - off, middle + off, truth[i], top[i], rank[i] < limit)
            if verdict == OPEN:
                middle = _single(rows[i], columns[j])
                off = rounding * row_lengths[i] * column_lengths[j]
                verdict = _verdict(middle - off, middle + off, truth[i], top[i], rank[i] < limit)
            if verdict == OPEN:
                exact = similarity(rows[i], columns[j], lanes)
                verdict = MORE if exact > truth[i] else LESS
                if exact > top[i] or (exact == top[i] and j < best[i]):
                    top[i], best[i] = exact, j
            if verdict == MORE and rank[i] < limit:
                rank[i] += 1


OPEN, LESS, MORE = 0, 1, 2


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _verdict(low: float, high: float, truth: float, top: float, counting: bool) -> int:
    """What bounds on a similarity say: more or less similar than the positive, and certainly not the best; or nothing.

    Args:
        low: The similarity is this at least.
        high: And this at most.
        truth: Similarity of the positive.
        top: The highest similarity found.
        counting: Whether the rank is still being counted.
    """
    if high < (truth if counting else top):
        return LESS
    return MORE if low > truth and high < top else OPEN


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _product(a: NDArray[np.int8], b: NDArray[np.int8]) -> float:
    """The product of codes."""
    total = np.int32(0)
    for k in range(np.uint64(len(a))):
        total = np.int32(total + np.int32(np.int32(a[k]) * np.int32(b[k])))
    return np.float64(total)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _single(a: Float, b: Float) -> float:
    """An inner product in single precision, added up in any order."""
    total = np.float32(0.0)
    for k in range(np.uint64(len(a))):
        total += a[k] * b[k]
    return np.float64(total)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _passing(
    products: NDArray[np.int32],
    steps: Float,
    rests: Float,
    rest: np.float32,
    least: np.float32,
    passing: NDArray[np.int64],
) -> int:
    """Which of a row of references reach a bound: their places in the row, into `passing`, and how many."""
    count, found = np.uint64(len(products)), 0
    for first in range(np.uint64(0), count, np.uint64(STRIP)):
        strip = min(np.uint64(STRIP), count - first)
        possible = np.int32(strip < np.uint64(STRIP))
        if not possible:
            for k in range(np.uint64(STRIP)):
                at = first + k
                possible |= np.int32(np.float32(products[at]) * steps[at] + rest * rests[at] >= least)
        if possible:
            for k in range(strip):
                at = first + k
                passing[found] = at
                found += int(np.float32(products[at]) * steps[at] + rest * rests[at] >= least)
    return found
