"""Searches that walk down the tree: greedy, beam and exact best-first.

All three rank leaves by the sum of log-probabilities over siblings along the path, as published for zooming. Where a
square is wrong its children still share a probability of one, so these sums suffer from label bias; `posterior` does
not. They are kept because they are the published method, and because over `BottomUp` they are exact.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.geo import Square, ZoomTree
from tiercel.search.policy import Indices, Policy, check_scores, log_sum_exp


@dataclass(frozen=True, eq=False)
class Descent:
    """The leaves that a search came down to.

    Attributes:
        tree: The tree that was searched.
        leaves: (k,) flat indices of leaves, the best first.
        log_probability: (k,) sums of sibling log-probabilities along the paths.
        expanded: Number of cells whose children were scored.
        unexpanded: Probability of all cells that were seen and set aside. The leaves that are missing from
            `leaves` hold at most this much together.
    """

    tree: ZoomTree
    leaves: Indices
    log_probability: NDArray[np.float64]
    expanded: int
    unexpanded: float

    @property
    def actions(self) -> Indices:
        """(k, depth) picks from the root to each leaf."""
        return self.tree.path(self.tree.depth, *self.tree.unflat(self.tree.depth, self.leaves))

    def steps(self, rank: int = 0) -> list[Square]:
        """The squares zoomed through on the way to a leaf.

        Args:
            rank: Which of the leaves, 0 for the best.

        Returns:
            depth + 1 squares, from the root to the leaf.
        """
        return zoom_steps(self.tree, int(self.leaves[rank]))


def zoom_steps(tree: ZoomTree, leaf: int) -> list[Square]:
    """The squares that contain a leaf, from the root to the leaf itself.

    Args:
        tree: The tree.
        leaf: Flat index of the leaf.
    """
    path = tree.path(tree.depth, *tree.unflat(tree.depth, leaf))
    cells = [tree.from_path(path[:level]) for level in range(tree.depth + 1)]
    return [tree.square(level, int(row), int(col)) for level, (row, col) in enumerate(cells)]


def greedy(policy: Policy) -> Descent:
    """The leaf reached by picking the best child at every level: a beam of one.

    Raises:
        ValueError: The policy covers no leaf, or leads to a square without one.
    """
    return beam(policy, 1)


def beam(policy: Policy, width: int) -> Descent:
    """The best leaves when only the best cells of each level are followed.

    Equal cells are told apart by their paths, the smaller action first.

    Args:
        policy: Scores, bound to a photo.
        width: Cells kept at each level, 1 or more.

    Returns:
        At most `width` leaves.

    Raises:
        ValueError: The width is below 1, or no covered leaf was reached.
    """
    if width < 1:
        raise ValueError(f"a beam needs a width of 1 or more, not {width}")
    tree = policy.tree
    row = col = np.zeros(1, np.int64)
    log_probability = np.zeros(1)
    expanded, unexpanded = 0, 0.0
    for level in range(tree.depth):
        scores = (log_probability[:, None] + sibling_log_probability(policy, level, row, col)).ravel()
        rows, cols = tree.children(level, row, col)
        order = np.argsort(-scores, kind="stable")
        order = order[np.isfinite(scores[order])]
        expanded += len(row)
        unexpanded += float(np.exp(scores[order[width:]]).sum())
        # In the order of their paths, so that ties fall alike at every level.
        kept = np.sort(order[:width])
        row, col, log_probability = rows.ravel()[kept], cols.ravel()[kept], scores[kept]
    if not len(row):
        raise ValueError("the search reached no covered leaf")
    best = np.argsort(-log_probability, kind="stable")
    leaves = tree.flat(tree.depth, row, col)[best]
    return Descent(tree, leaves, log_probability[best], expanded, unexpanded)


def best_first(policy: Policy, k: int) -> Descent:
    """The k best leaves of the whole tree, exactly, without visiting it all.

    A child is never more probable than its parent, so when a leaf comes first in a priority queue of all
    cells seen so far, no other leaf can be better (A* with a bound of zero for what is still to come).

    Args:
        policy: Scores, bound to a photo.
        k: Leaves wanted, 1 or more.

    Returns:
        The k best leaves, or all covered leaves where there are fewer.

    Raises:
        ValueError: `k` is below 1, or there is no covered leaf.
    """
    if k < 1:
        raise ValueError(f"the search needs to be asked for 1 leaf or more, not {k}")
    tree = policy.tree
    # The path breaks ties, the smaller action first.
    queue: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    found: list[tuple[float, tuple[int, ...]]] = []
    expanded = 0
    while queue and len(found) < k:
        cost, path = heapq.heappop(queue)
        if len(path) == tree.depth:
            found.append((cost, path))
            continue
        row, col = tree.from_path(np.asarray([path], np.int64))
        costs = cost - sibling_log_probability(policy, len(path), row, col)[0]
        expanded += 1
        for action in np.flatnonzero(np.isfinite(costs)).tolist():
            heapq.heappush(queue, (float(costs[action]), (*path, action)))
    if not found:
        raise ValueError("the search reached no covered leaf")
    leaves = tree.flat(tree.depth, *tree.from_path(np.asarray([path for _, path in found], np.int64)))
    unexpanded = float(np.exp([-cost for cost, _ in queue]).sum())
    return Descent(tree, leaves, -np.asarray([cost for cost, _ in found]), expanded, unexpanded)


def sibling_log_probability(policy: Policy, level: int, row: Indices, col: Indices) -> NDArray[np.float64]:
    """Log-probabilities of the children of cells, each family summing to one.

    Args:
        policy: Scores, bound to a photo.
        level: Level of the parents.
        row: (n,) rows of the parents.
        col: (n,) cols of the parents.

    Returns:
        (n, g * g), never above 0; all minus infinity where a family has no covered child.
    """
    scores = check_scores(policy.child_scores(level, row, col).astype(np.float64))
    highest = scores.max(-1, keepdims=True)
    # The best score first: the remainder is then never above zero, not even by rounding.
    scores = scores - np.where(np.isfinite(highest), highest, 0.0)
    total = log_sum_exp(scores)[:, None]
    return np.asarray(scores - np.where(np.isfinite(total), total, 0.0))
