"""Embeddings written as few small whole numbers, with bounds on what that leaves out.

Products of whole numbers are many times cheaper than those of floating point numbers, and of the most telling
coordinates there need to be few: most references are so far from a query that it shows in them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.evaluation.comparing import UNIT, Bounds, Float, Standing, encode, lengths, try_bounds

ROWS, COLUMNS = 512, 2048
"""Queries and references whose products a thread holds at a time: few enough for the cache, many enough to multiply."""
SAMPLE = 2048
"""Queries, and references, from which axes are found."""
EIGHTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Eighths of the coded coordinates after which a comparison may pause; half of all coordinates are coded."""


class Workers:
    """Threads that each compute by themselves.

    Args:
        count: How many; None for as many as torch uses.
    """

    def __init__(self, count: int | None = None) -> None:
        """Starts none yet."""
        self._before = torch.get_num_threads()
        self.count = count or self._before
        self._local = threading.local()
        self._pool: ThreadPoolExecutor

    def __enter__(self) -> Self:
        """Starts them; torch keeps to one core in each."""
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends them."""
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)

    def run(self, task: Callable[..., Any], arguments: Iterable[Any]) -> list[Any]:
        """Run a task on each of some arguments, and wait for all."""
        return list(self._pool.map(task, arguments))

    def over(self, count: int, task: Callable[[slice], Any], rows: int = ROWS) -> list[Any]:
        """Run a task on every stretch of so many of `count` rows."""
        return self.run(task, [slice(first, min(first + rows, count)) for first in range(0, count, rows)])

    def scratch(self, rows: int, columns: int, kind: torch.dtype) -> torch.Tensor:
        """A matrix of the calling thread to write to; the next call may give it again."""
        held = self._local.__dict__.setdefault("matrices", {})
        if kind not in held or held[kind].numel() < rows * columns:
            held[kind] = torch.empty(max(rows * columns, ROWS * COLUMNS), dtype=kind)
        matrix: torch.Tensor = held[kind][: rows * columns].view(rows, columns)
        return matrix


@dataclass(frozen=True)
class Axes:
    """Directions of which the first tell most about similarity.

    Attributes:
        matrix: (d, w) float32, orthonormal columns.
        ends: Numbers of leading coordinates after which a comparison may pause.
        doubt: By what part of a vector's length its coordinates may be off.
    """

    matrix: Float
    ends: tuple[int, ...]
    doubt: float

    def first(self, width: int) -> Axes:
        """The leading ones of these axes."""
        ends = tuple(end for end in self.ends if end <= width)
        return Axes(np.ascontiguousarray(self.matrix[:, :width]), ends, self.doubt)


def find_axes(queries: Float, references: Float, centre: Float, workers: Workers) -> Axes:
    """Axes along which queries, and references less their centre, are longest, from samples.

    Each stretch of axes between two `ends` is turned at random. That spreads what it holds evenly over its coordinates,
    and whole numbers write it with the least error.
    """
    width = queries.shape[1]
    coded = width // 16 * 8
    ends = tuple(int(coded * eighths / 8) for eighths in EIGHTHS)

    def moment(rows: Float) -> torch.Tensor:
        some = torch.from_numpy(rows)
        return some.T @ some / some.square().sum().clamp(min=1e-30)

    def frame(moments: torch.Tensor) -> tuple[Float, float]:
        matrix = torch.linalg.eigh(moments)[1].flip(1)[:, :coded].contiguous()
        chance = torch.Generator().manual_seed(0)
        for first, last in zip((0, *ends), ends, strict=False):
            turn = torch.linalg.qr(torch.randn(last - first, last - first, generator=chance))[0]
            matrix[:, first:last] = matrix[:, first:last] @ turn
        exact = matrix.double()
        # No eigenvalue of a symmetric matrix exceeds its largest sum of a row.
        return matrix.numpy(), float((exact.T @ exact - torch.eye(coded)).abs().sum(1).max())

    # By the workers, of which each keeps to one core: matrices are too small to be shared out.
    samples = [draw(queries, SAMPLE, seed=0), draw(references, SAMPLE, seed=0) - centre]
    matrix, skew = workers.run(frame, [sum(workers.run(moment, samples))])[0]
    return Axes(matrix, ends, float(np.sqrt(coded)) * (width + 2) * UNIT * 1.01 + skew)


def draw(rows: NDArray[Any], count: int, seed: int) -> NDArray[Any]:
    """Some rows, in their order; all where there are no more."""
    if len(rows) <= count:
        return rows.copy()
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))]


@dataclass(frozen=True)
class Coded:
    """Vectors as small whole numbers.

    Attributes:
        codes: (n, w) int8.
        bounds: For each of the numbers of leading coordinates after which a comparison may pause.
    """

    codes: NDArray[np.int8]
    bounds: tuple[Bounds, ...]


def code(rows: Float, centre: Float | None, axes: Axes | None, workers: Workers) -> Coded:
    """Write vectors as small whole numbers.

    Args:
        rows: (n, d) vectors.
        centre: (d,) to subtract; None for nothing.
        axes: Of the coordinates to write; None for the vectors' own.
        workers: Who does it.
    """
    width = rows.shape[1] if axes is None else axes.matrix.shape[1]
    ends = np.array((width,) if axes is None else axes.ends)
    doubt = 2 * UNIT if axes is None else axes.doubt
    # So that sums of products are exact in single precision as well.
    largest = min(127, int(np.sqrt(2**24 / width)))
    codes = np.empty((len(rows), width), np.int8)
    bounds = np.empty((len(ends), 4, len(rows)), np.float32)

    def write(some: slice) -> None:
        vectors = rows[some] if centre is None else rows[some] - centre
        whole = np.empty(len(vectors), np.float32)
        lengths(vectors, whole)
        if axes is not None:
            vectors = torch.mm(torch.from_numpy(vectors), torch.from_numpy(axes.matrix)).numpy()
        encode(vectors, whole, doubt, largest, ends, codes[some], bounds[:, :, some])

    workers.over(len(rows), write)
    return Coded(codes, tuple(Bounds(*level) for level in bounds))


@dataclass(frozen=True)
class Arithmetic:
    """A way to multiply matrices.

    Attributes:
        kind: Type of the products.
        multiply: Products of every row of one matrix with every row of another, into a third.
    """

    kind: torch.dtype
    multiply: Callable[[NDArray[Any], NDArray[Any], torch.Tensor], object]

    def pace(self, kind: type, width: int, workers: Workers) -> float:
        """Nanoseconds of one thread for the product of a pair of vectors of some kind of numbers."""

        def once(vectors: tuple[NDArray[Any], NDArray[Any]]) -> float:
            started = time.thread_time()
            self.multiply(*vectors, workers.scratch(ROWS, COLUMNS, self.kind))
            return time.thread_time() - started

        vectors: tuple[NDArray[Any], NDArray[Any]] = (np.ones((ROWS, width), kind), np.ones((COLUMNS, width), kind))
        return 1e9 * float(min(workers.run(once, [vectors])[0] for _ in range(4))) / (ROWS * COLUMNS)


def _single(a: NDArray[Any], b: NDArray[Any], out: torch.Tensor) -> None:
    torch.mm(torch.from_numpy(a).float(), torch.from_numpy(b).float().T, out=out)


def _whole(a: NDArray[np.int8], b: NDArray[np.int8], out: torch.Tensor) -> None:
    torch._int_mm(torch.from_numpy(a), torch.from_numpy(b).T, out=out)


SINGLE = Arithmetic(torch.float32, _single)
WHOLE = Arithmetic(torch.int32, _whole)


def arithmetic_of_codes(width: int, workers: Workers) -> Arithmetic:
    """How codes are multiplied fastest on this machine; some would add up whole numbers in too few bits."""
    extreme = np.full((ROWS, width), 127, np.int8)
    products = torch.empty(ROWS, ROWS, dtype=torch.int32)
    try:
        WHOLE.multiply(extreme, -extreme, products)
    except RuntimeError:
        return SINGLE
    exact = bool((products == -127 * 127 * width).all())
    return WHOLE if exact and WHOLE.pace(np.int8, width, workers) < SINGLE.pace(np.int8, width, workers) else SINGLE


@dataclass(frozen=True)
class Level:
    """One way to compare queries with references.

    Attributes:
        width: How many coordinates are multiplied.
        queries: (n, w) codes or vectors, of which the leading `width` coordinates count.
        references: (m, w) likewise.
        query: Bounds of the queries.
        reference: Bounds of the references.
        standing: Of the queries, with the base that goes with these vectors.
        arithmetic: How they are multiplied.
    """

    width: int
    queries: NDArray[Any]
    references: NDArray[Any]
    query: Bounds
    reference: Bounds
    standing: Standing
    arithmetic: Arithmetic

    def products(self, chosen: NDArray[np.int64] | slice, block: slice, workers: Workers) -> NDArray[Any]:
        """Products of some queries with some references; valid until the calling thread asks again."""
        a, b = self.queries[chosen, : self.width], self.references[block, : self.width]
        out = workers.scratch(len(a), len(b), self.arithmetic.kind)
        self.arithmetic.multiply(a, b, out)
        return out.numpy()

    def pace(self, workers: Workers) -> float:
        """Nanoseconds of one thread for the product of a pair."""
        return self.arithmetic.pace(self.queries.dtype.type, self.width, workers)

    def shares(self, chosen: NDArray[np.int64], workers: Workers) -> tuple[Float, Float]:
        """What shares of the references bounds let pass, and leave open, for each of some queries."""
        passing, left = np.empty((2, len(chosen)), np.float32)

        def look(some: slice) -> None:
            products = self.products(chosen[some], slice(None), workers)
            try_bounds(products, chosen[some], self.query, self.reference, self.standing, passing[some], left[some])

        workers.over(len(chosen), look)
        return passing, left
