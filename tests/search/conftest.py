"""Random policies, and what a search over them must find, worked out the long way."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree
from tiercel.search import LevelScores


class FamilyPolicy:
    """A policy that knows families only, and counts how many it was asked for."""

    def __init__(self, tree, levels) -> None:
        self.tree, self.levels, self.families = tree, levels, 0

    def child_scores(self, level, row, col) -> np.ndarray:
        self.families += len(row)
        rows, cols = self.tree.children(level, row, col)
        return self.levels[level + 1][rows * self.tree.cells_per_side(level + 1) + cols]

    def node_scores(self, level) -> None:
        return None


@dataclass
class Case:
    """One random tree with its scores: `levels[level]` in flat order, minus infinity where not covered."""

    tree: ZoomTree
    levels: dict

    @property
    def policy(self) -> LevelScores:
        return LevelScores(self.tree, self.levels)

    @property
    def families(self) -> FamilyPolicy:
        return FamilyPolicy(self.tree, self.levels)

    def leaf_values(self, siblings) -> np.ndarray:
        """Leaf by leaf the sum along its path of raw scores, or of log-probabilities among siblings."""
        tree = self.tree
        leaves = np.arange(tree.count(tree.depth))
        path = tree.path(tree.depth, *tree.unflat(tree.depth, leaves))
        total = np.zeros(len(leaves))
        for level in range(1, tree.depth + 1):
            values = self.levels[level].astype(np.float64)
            cell = tree.flat(level, *tree.from_path(path[:, :level]))
            if siblings:
                parent = tree.flat(level - 1, *tree.parent(level, *tree.unflat(level, np.arange(len(values)))))
                family = np.bincount(parent, np.exp(values), minlength=tree.count(level - 1))
                with np.errstate(divide="ignore", invalid="ignore"):
                    values = np.where(np.isfinite(values), values - np.log(family[parent]), -np.inf)
            total += values[cell]
        return total


@st.composite
def random_cases(draw) -> Case:
    shapes = [(g, depth) for g in (2, 3, 4) for depth in (1, 2, 3, 4) if g**depth <= 81]
    branching, depth = draw(st.sampled_from(shapes))
    tree = ZoomTree(Square(draw(st.sampled_from([0.0, 500_000.5])), -40.0, 100.0), branching, depth)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.1, 1.0, 5.0]))
    levels = {n: rng.normal(0, spread, tree.count(n)).astype(np.float32) for n in range(1, depth + 1)}
    if draw(st.booleans()):  # plenty of equal scores
        levels = {n: np.round(values) for n, values in levels.items()}
    covered = rng.random(tree.count(depth)) >= draw(st.sampled_from([0.0, 0.3, 0.9]))
    for _ in range(draw(st.integers(0, 3))):  # whole squares without coverage
        level = draw(st.integers(1, depth))
        covered &= ancestors(tree, level) != rng.integers(tree.count(level))
    covered[rng.integers(len(covered))] = True
    for level in levels:
        alive = np.bincount(ancestors(tree, level), covered, minlength=tree.count(level)) > 0
        levels[level][~alive] = -np.inf
    return Case(tree, levels)


def ancestors(tree, level) -> np.ndarray:
    """The cell of the level above each leaf."""
    path = tree.path(tree.depth, *tree.unflat(tree.depth, np.arange(tree.count(tree.depth))))
    return tree.flat(level, *tree.from_path(path[:, :level]))


@pytest.fixture(scope="session")
def cases() -> st.SearchStrategy[Case]:
    """Strategy of random `Case`s."""
    return random_cases()


@pytest.fixture(scope="session")
def label_bias() -> Case:
    """A tree where the first pick is a little wrong and the leaves could tell.

    The north-west square scores best (2.0 against 1.5) but its leaves are all poor; one of them is the least poor.
    The leaves of the south-east square fit the photo far better, two of them nearly alike.
    """
    tree = ZoomTree(Square(0.0, 0.0, 40.0), 2, 2)
    squares = np.array([2.0, 0.0, 0.0, 1.5], np.float32)
    leaves = np.array([[-3, -9, -9, -9], [-9, -9, -9, -9], [-9, -9, -9, -9], [-9, -9, 5, 6]], np.float32)
    return Case(tree, {1: squares, 2: leaves.ravel()})
