"""All queries against all references, each pair by the cheapest bounds that tell it apart from the positive.

A query whose positive is much more similar than most references needs few leading coordinates to leave most of them
behind; one whose positive is far down the list needs them all. What each query needs is found out on a sample of the
references, and what each way costs is measured on this machine; none of that bears on the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.bounding import (
    COLUMNS,
    ROWS,
    SINGLE,
    Axes,
    Coded,
    Level,
    Workers,
    arithmetic_of_codes,
    code,
    draw,
    find_axes,
)
from tiercel.evaluation.comparing import UNIT, Bounds, Float, Standing, Vectors, lengths, settle, similarities

PILOT = 512
"""Queries and references on which ways to compare are tried."""
SMALL_S = 0.3
"""Seconds that plain products may take before it is thought about how to save them."""
LOOK_NS, CODE_NS, PAIR_NS = 20.0, 70.0, 400.0
"""About what it costs to look at the bounds of a pair, to multiply 1,024 codes, and 1,024 numbers in single precision,
which have to be fetched from farther away."""


@dataclass(frozen=True)
class Problem:
    """What is to be compared.

    Attributes:
        queries: (n, d) float32.
        references: (m, d) float32.
        query_length: (n,) float32, upper bounds of their lengths.
        reference_length: (m,) float32.
        centre: (d,) float32, about the mean of the references.
        standing: Of the queries.
        limit: Ranks are counted up to this number.
    """

    queries: Float
    references: Float
    query_length: Float
    reference_length: Float
    centre: Float
    standing: Standing
    limit: int


def pose(
    queries: Float, references: Float, truth: Float, positives: NDArray[np.int64], limit: int, workers: Workers
) -> Problem:
    """Queries and references of which only the similarities with the positives are known."""
    n, m = len(queries), len(references)
    query_length, reference_length, base = (np.empty(count, np.float32) for count in (n, m, n))
    centre = references[:: max(1, m // 4096)].mean(0)
    nowhere = np.zeros(n, np.int64)
    workers.over(n, lambda some: lengths(queries[some], query_length[some]))
    workers.over(m, lambda some: lengths(references[some], reference_length[some]))
    workers.over(n, lambda some: similarities(queries[some], centre[None], nowhere[some], base[some]))
    # What rounding may do to a bound, to the centre's similarity, and to the similarity that counts.
    slack = 80 * UNIT * query_length.astype(np.float64) * float(reference_length.max())
    standing = Standing(truth, np.zeros(n, np.int64), truth.copy(), positives.copy(), base.astype(np.float64), slack)
    return Problem(queries, references, query_length, reference_length, centre, standing, limit)


def compare_all(problem: Problem, workers: Workers, progress: Callable[[int, int], None] | None = None) -> None:
    """Bring the standing of all queries up to date with all references."""
    plan = Planner(problem, workers).plan()
    count, width = problem.references.shape
    for first in range(0, count, COLUMNS):
        block = slice(first, min(first + COLUMNS, count))

        def compare(task: tuple[Level, NDArray[np.int64]], block: slice = block) -> None:
            level, chosen = task
            settle(
                level.products(chosen, block, workers), chosen, block.start, level.query, level.reference,
                level.width < width, plan.queries, plan.references, level.standing, problem.limit,
            )  # fmt: skip

        tasks = [(level, chosen[at : at + ROWS]) for level, chosen in plan.groups for at in range(0, len(chosen), ROWS)]
        workers.run(compare, tasks)
        if progress is not None:
            progress(block.stop, count)


@dataclass(frozen=True)
class Plan:
    """How queries are compared with references.

    Attributes:
        groups: Levels, and the queries compared at each.
        queries: All, with the codes that tell pairs apart that a level leaves open.
        references: Likewise.
    """

    groups: list[tuple[Level, NDArray[np.int64]]]
    queries: Vectors
    references: Vectors


class Planner:
    """Finds the cheapest level for each query.

    Args:
        problem: What is to be compared.
        workers: Who does it.
    """

    def __init__(self, problem: Problem, workers: Workers) -> None:
        """Measures what a plain product costs."""
        self.problem, self.workers = problem, workers
        self.n, self.m, self.width = len(problem.queries), len(problem.references), problem.queries.shape[1]
        self.plain_ns = SINGLE.pace(np.float32, self.width, workers)

    def plan(self) -> Plan:
        """The plan: plain products where these are done before there could be a better one."""
        problem, workers, plain = self.problem, self.workers, self._plain()
        if self.plain_ns * self.n * self.m < SMALL_S * 1e9 * workers.count:
            return self._plan([plain], np.zeros((1, self.n)))
        self.arithmetic = arithmetic_of_codes(self.width, workers)
        self.pilot = draw(problem.references, PILOT, seed=1)
        axes = [*self._axes(), None]
        queries = [code(problem.queries, None, each, workers) for each in axes]
        tried = [code(self.pilot, problem.centre, each, workers) for each in axes]
        costs = self._costs(self._levels(queries, tried, axes, problem.standing), self.n)
        references = [code(problem.references, problem.centre, each, workers) for each in axes]
        levels = [*self._levels(queries, references, axes, problem.standing), plain]
        return self._plan(levels, costs, queries[-1], references[-1])

    def _plan(
        self,
        levels: list[Level],
        costs: NDArray[np.float64],
        queries: Coded | None = None,
        references: Coded | None = None,
    ) -> Plan:
        problem, choice = self.problem, costs.argmin(0)
        return Plan(
            [(level, np.flatnonzero(choice == at)) for at, level in enumerate(levels)],
            _vectors(problem.queries, problem.query_length, queries),
            _vectors(problem.references, problem.reference_length, references),
        )

    def _axes(self) -> list[Axes]:
        """The axes to code along, as many as pay on a sample; an empty list where none do."""
        problem, workers = self.problem, self.workers
        axes = find_axes(problem.queries, problem.references, problem.centre, workers)
        few = draw(np.arange(self.n), PILOT, seed=2)
        standing = Standing(*(each[few] for each in problem.standing))
        queries = [code(problem.queries[few], None, each, workers) for each in (axes, None)]
        tried = [code(self.pilot, problem.centre, each, workers) for each in (axes, None)]
        costs = self._costs(self._levels(queries, tried, [axes, None], standing), len(few))
        # A coordinate costs as much as the product of a pair of vectors.
        projecting = self.plain_ns * (1 / self.n + 1 / self.m)
        totals = {0: costs[-2:].min(0).mean()}
        for count, width in enumerate(axes.ends, 1):
            totals[width] = np.vstack([costs[:count], costs[-2:]]).min(0).mean() + projecting * width
        width = min(totals, key=totals.__getitem__)
        return [axes.first(width)] if width else []

    def _costs(self, levels: list[Level], count: int) -> NDArray[np.float64]:
        """Nanoseconds that a pair costs at some levels, of which the last is of whole vectors, and by plain products.

        Returns:
            (levels + 1, n).
        """
        passing, left = np.stack([level.shares(np.arange(count), self.workers) for level in levels], 1).astype(float)
        # Once a rank has been counted as far as it shall be, hardly any reference passes.
        until = np.minimum(1.0, 1.5 * self.problem.limit / np.maximum(passing[-1] * self.m, 1.0))
        to_come = np.array([CODE_NS] * (len(levels) - 1) + [0.0])[:, None] * passing + PAIR_NS * left[-1]
        to_come = until * (to_come * self.width / 1024 + LOOK_NS * passing)
        pace = np.array([level.arithmetic.pace(np.int8, level.width, self.workers) for level in levels])
        plain = self.plain_ns + until * LOOK_NS * passing[-1]
        return np.vstack([pace[:, None] + to_come, plain])

    def _levels(
        self, queries: list[Coded], references: list[Coded], axes: Sequence[Axes | None], standing: Standing
    ) -> list[Level]:
        return [
            Level(width, mine.codes, theirs.codes, query, reference, standing, self.arithmetic)
            for mine, theirs, each in zip(queries, references, axes, strict=True)
            for width, query, reference in zip(
                each.ends if each else (self.width,), mine.bounds, theirs.bounds, strict=True
            )
        ]

    def _plain(self) -> Level:
        """Products of the vectors themselves in single precision, with bounds on what rounding does to them."""
        problem = self.problem
        rounding = np.float32(np.sqrt((self.width + 16) * UNIT))
        mine, theirs = (
            Bounds(np.ones_like(length), np.zeros_like(length), np.zeros_like(length), rounding * length)
            for length in (problem.query_length, problem.reference_length)
        )
        standing = problem.standing._replace(base=np.zeros(self.n))
        return Level(self.width, problem.queries, problem.references, mine, theirs, standing, SINGLE)


def _vectors(rows: Float, length: Float, coded: Coded | None = None) -> Vectors:
    if coded is None:
        return Vectors(rows, length, np.empty((0, 0), np.int8), Bounds(*np.empty((4, 0), np.float32)))
    return Vectors(rows, length, coded.codes, coded.bounds[0])
