"""What a search asks of a model: scores for cells of the tree, and ways to put such scores together.

A policy is bound to one photo. Its scores are raw and on a logarithmic scale, comparable between all cells of
one level (not only between siblings): that is what lets `posterior` weigh every leaf against every other, where
log-probabilities over siblings alone commit at the first pick (label bias).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.geo import ZoomTree

Scores = NDArray[np.float32]
Indices = NDArray[np.int64]
_Value = TypeVar("_Value", bound=np.generic)
_Number = TypeVar("_Number", np.float32, np.float64)


class Policy(Protocol):
    """Scores for cells, bound to one photo.

    A cell that the map does not cover scores minus infinity, and so does a cell with no covered leaf below it;
    every other score is finite. A policy that has nothing to say about a level scores its covered cells 0.
    """

    @property
    def tree(self) -> ZoomTree:
        """The tree whose cells are scored."""
        ...

    def child_scores(self, level: int, row: Indices, col: Indices) -> Scores:
        """Scores of the children of cells.

        Args:
            level: Level of the parents.
            row: Rows of n parents.
            col: Cols of n parents.

        Returns:
            (n, g * g) scores in the order of `ZoomTree.children`.
        """
        ...

    def node_scores(self, level: int) -> Scores | None:
        """Scores of all cells of a level in flat order, or None where whole levels are not at hand.

        Args:
            level: Level of the scored cells, 1 to depth. The root has no score.
        """
        ...


class LevelScores:
    """A policy whose scores for whole levels are known beforehand."""

    def __init__(self, tree: ZoomTree, scores: Mapping[int, ArrayLike]) -> None:
        """Takes the scores.

        Args:
            tree: The tree.
            scores: Level to (count(level),) scores in flat order. Levels left out score 0.

        Raises:
            ValueError: A level does not exist, has another number of cells, or holds NaN or plus infinity.
        """
        self.tree = tree
        for level in scores:
            if not 1 <= level <= tree.depth:
                raise ValueError(f"level {level} cannot be scored in a tree of depth {tree.depth}")
        levels = {level: check_scores(np.asarray(values, np.float32)) for level, values in scores.items()}
        self._levels = _with_coverage(tree, levels)

    def child_scores(self, level: int, row: Indices, col: Indices) -> Scores:
        """Scores of the children of cells, as `Policy.child_scores`."""
        rows, cols = self.tree.children(level, row, col)
        return self._levels[level + 1][self.tree.flat(level + 1, rows, cols)]

    def node_scores(self, level: int) -> Scores:
        """Scores of all cells of a level, as `Policy.node_scores`."""
        return self._levels[level]


def _with_coverage(tree: ZoomTree, levels: Mapping[int, Scores]) -> dict[int, Scores]:
    """All levels from 1, where a cell without a covered child is itself not covered."""
    complete: dict[int, Scores] = {}
    for level in range(tree.depth, 0, -1):
        scores = levels.get(level, np.zeros(tree.count(level), np.float32))
        if scores.shape != (tree.count(level),):
            raise ValueError(f"level {level} has {tree.count(level)} cells, not scores of shape {scores.shape}")
        if level < tree.depth:
            alive = gather(tree, level + 1, np.isfinite(complete[level + 1])).any(-1)
            scores = np.where(alive, scores, np.float32(-np.inf))
        complete[level] = scores
    return complete


class BottomUp(LevelScores):
    """A policy that lets the leaves decide the first picks too.

    An inner cell gathers the log-sum-exp of the scores of its leaves. The score of a cell is what it gathers
    less what its parent gathers, so scores add up along a path to the score of the leaf (up to a constant): every
    search and every weighted sum stays right, and the scores are log-probabilities already normalised
    over the whole tree. Greedy descent over this policy compares cells by what they gather.
    """

    def __init__(self, tree: ZoomTree, leaf_scores: ArrayLike) -> None:
        """Gathers the scores of leaves.

        Args:
            tree: The tree.
            leaf_scores: (leaves,) scores on a logarithmic scale, minus infinity where not covered.

        Raises:
            ValueError: The shape is wrong, or a score is NaN or plus infinity.
        """
        gathered = bottom_up(tree, leaf_scores)
        levels = range(1, tree.depth + 1)
        super().__init__(tree, {n: _less_parent(tree, n, gathered[n], gathered[n - 1]) for n in levels})


def bottom_up(tree: ZoomTree, leaf_scores: ArrayLike) -> dict[int, NDArray[np.float64]]:
    """What each cell of the tree gathers from its leaves: the log-sum-exp of their scores.

    Args:
        tree: The tree.
        leaf_scores: (leaves,) scores on a logarithmic scale, minus infinity where not covered.

    Returns:
        Level to (count(level),) values in flat order, for levels 0 to depth.

    Raises:
        ValueError: The shape is wrong, or a score is NaN or plus infinity.
    """
    scores = check_scores(np.asarray(leaf_scores, np.float64))
    if scores.shape != (tree.count(tree.depth),):
        raise ValueError(f"the tree has {tree.count(tree.depth)} leaves, not scores of shape {scores.shape}")
    gathered = {tree.depth: scores}
    for level in range(tree.depth, 0, -1):
        gathered[level - 1] = log_sum_exp(gather(tree, level, gathered[level]))
    return gathered


def _less_parent(
    tree: ZoomTree, level: int, scores: NDArray[np.float64], parents: NDArray[np.float64]
) -> NDArray[np.float64]:
    rows, cols = tree.parent(level, *tree.unflat(level, np.arange(tree.count(level))))
    parent = parents[tree.flat(level - 1, rows, cols)]
    return np.where(np.isfinite(scores), scores - np.where(np.isfinite(parent), parent, 0.0), -np.inf)


class WeightedSum:
    """Several policies as one: their scores, weighted and added.

    A cell that any of them does not cover is not covered.
    """

    def __init__(self, terms: Sequence[tuple[Policy, float]]) -> None:
        """Takes the policies.

        Args:
            terms: Policies over the same tree, each with its weight.

        Raises:
            ValueError: There are no terms, or their trees differ.
        """
        if not terms:
            raise ValueError("a weighted sum needs at least one policy")
        self.terms = tuple(terms)
        self.tree = terms[0][0].tree
        if any(policy.tree != self.tree for policy, _ in terms):
            raise ValueError("policies over different trees cannot be added")

    def child_scores(self, level: int, row: Indices, col: Indices) -> Scores:
        """Weighted sum of the scores of the children of cells, as `Policy.child_scores`."""
        return self._add([policy.child_scores(level, row, col) for policy, _ in self.terms])

    def node_scores(self, level: int) -> Scores | None:
        """Weighted sum over a whole level, or None where one of the policies does not know it."""
        known = [scores for policy, _ in self.terms if (scores := policy.node_scores(level)) is not None]
        return self._add(known) if len(known) == len(self.terms) else None

    def _add(self, scores: list[Scores]) -> Scores:
        total = np.zeros(scores[0].shape, np.float32)
        for (_, weight), term in zip(self.terms, scores, strict=True):
            # A weight of 0 must not turn "not covered" into NaN.
            total += np.where(np.isneginf(term), -np.inf, weight * np.where(np.isneginf(term), 0, term))
        return total


class Tempered:
    """A policy whose scores are divided by a temperature for each level: above 1 it is less sure, below 1 more.

    The ranking among the children of one cell stays; how paths weigh against each other may change.
    """

    def __init__(self, policy: Policy, temperatures: Sequence[float]) -> None:
        """Takes the policy.

        Args:
            policy: Any policy.
            temperatures: From the leaves upwards; levels beyond them keep their scores.

        Raises:
            ValueError: A temperature is not positive.
        """
        if not all(0 < temperature < np.inf for temperature in temperatures):
            raise ValueError(f"temperatures are positive numbers, not {tuple(temperatures)}")
        self.policy, self.tree, self.temperatures = policy, policy.tree, tuple(temperatures)

    def child_scores(self, level: int, row: Indices, col: Indices) -> Scores:
        """The scores of the children of cells, tempered, as `Policy.child_scores`."""
        return self.policy.child_scores(level, row, col) / self._of(level + 1)

    def node_scores(self, level: int) -> Scores | None:
        """The scores of a whole level, tempered, or None where the policy does not know it."""
        scores = self.policy.node_scores(level)
        return None if scores is None else scores / self._of(level)

    def _of(self, level: int) -> np.float32:
        up = self.tree.depth - level
        return np.float32(self.temperatures[up] if up < len(self.temperatures) else 1.0)


def gather(tree: ZoomTree, level: int, values: NDArray[_Value]) -> NDArray[_Value]:
    """The values of the cells of a level, laid out by parent.

    Args:
        tree: The tree.
        level: Level of the values, 1 or deeper.
        values: (count(level), ...) in flat order.

    Returns:
        (count(level - 1), g * g, ...): row by row the children of each parent, in the order of the actions.
    """
    g, above = tree.branching, tree.cells_per_side(level - 1)
    rest = values.shape[1:]
    return values.reshape(above, g, above, g, *rest).swapaxes(1, 2).reshape(above * above, g * g, *rest)


def log_sum_exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the sum of exponentials over the last axis; minus infinity where all values are."""
    highest = values.max(-1)
    shift = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(shift + np.log(np.exp(values - shift[..., None]).sum(-1)))


def check_scores(scores: NDArray[_Number]) -> NDArray[_Number]:
    """The scores, once it is sure that they can be ranked.

    Raises:
        ValueError: A score is NaN or plus infinity.
    """
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("a score is NaN or plus infinity; cells that are not covered score minus infinity")
    return scores
