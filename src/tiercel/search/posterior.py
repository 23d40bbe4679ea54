"""The probability of every leaf, and what can be read from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import TiercelError
from tiercel.geo import ZoomTree
from tiercel.search.disc import Disc
from tiercel.search.policy import Indices, Policy, check_scores, log_sum_exp

Numbers = NDArray[np.float64]

#: Cells whose children are asked for at once where a policy does not know whole levels.
_BATCH = 1024


def posterior(policy: Policy, *, temperature: float = 1.0) -> Posterior:
    """The globally normalised probability of every leaf.

    The score of a leaf is the sum of the raw scores of the cells on its path, and one softmax runs over all
    leaves. A late level can thus overturn an early pick.

    Args:
        policy: Scores, bound to a photo.
        temperature: Calibration: scores are divided by it. Above 1 makes the answer less sure.

    Raises:
        ValueError: The temperature is not positive, a score is NaN, or no leaf is covered.
    """
    tree = policy.tree
    total = np.zeros(1)
    for level in range(1, tree.depth + 1):
        scores = policy.node_scores(level)
        if scores is None:
            scores = _expand(policy, level, np.flatnonzero(np.isfinite(total)))
        above = total.reshape(tree.cells_per_side(level - 1), -1)
        total = above.repeat(tree.branching, 0).repeat(tree.branching, 1).ravel() + check_scores(scores)
    return Posterior.from_scores(tree, total, temperature=temperature)


def _expand(policy: Policy, level: int, parents: Indices) -> NDArray[np.float32]:
    """Scores of a level, asked for family by family; minus infinity below other parents."""
    tree = policy.tree
    scores = np.full(tree.count(level), -np.inf, np.float32)
    for start in range(0, len(parents), _BATCH):
        row, col = tree.unflat(level - 1, parents[start : start + _BATCH])
        scores[tree.flat(level, *tree.children(level - 1, row, col))] = policy.child_scores(level - 1, row, col)
    return scores


@dataclass(frozen=True, eq=False)
class Posterior:
    """A probability for every leaf of a tree.

    Attributes:
        tree: The tree.
        log_probability: (leaves,) in flat order; minus infinity where not covered. The probabilities sum to one.
    """

    tree: ZoomTree
    log_probability: NDArray[np.float32]

    @classmethod
    def from_scores(cls, tree: ZoomTree, scores: ArrayLike, *, temperature: float = 1.0) -> Posterior:
        """Normalises scores of leaves.

        Args:
            tree: The tree.
            scores: (leaves,) on a logarithmic scale, minus infinity where not covered.
            temperature: Scores are divided by it.

        Raises:
            ValueError: The shape is wrong, the temperature is not positive, a score is NaN, or no leaf is covered.
        """
        values = check_scores(np.asarray(scores, np.float64))
        if values.shape != (tree.count(tree.depth),):
            raise ValueError(f"the tree has {tree.count(tree.depth)} leaves, not scores of shape {values.shape}")
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"a temperature is a positive number, not {temperature}")
        values = values / temperature
        total = log_sum_exp(values)
        if not np.isfinite(total):
            raise ValueError("no leaf is covered")
        return cls(tree, (values - total).astype(np.float32))

    @cached_property
    def probability(self) -> Numbers:
        """(leaves,) probabilities, summing to one."""
        values = np.exp(self.log_probability.astype(np.float64))
        return np.asarray(values / values.sum())

    def tempered(self, temperature: float) -> Posterior:
        """The same ranking, more sure (below 1) or less sure (above 1)."""
        return Posterior.from_scores(self.tree, self.log_probability, temperature=temperature)

    def with_prior(self, x: float, y: float, sigma_m: float) -> Posterior:
        """The posterior once a rough position is known.

        The prior is a round normal distribution, integrated over the square of each leaf, so that it is also right
        when it is narrower than a leaf.

        Args:
            x: Easting of the rough position, metres.
            y: Northing, metres.
            sigma_m: Standard deviation along each axis, metres.

        Raises:
            ValueError: The deviation is not positive.
            TiercelError: The position is so far from all covered cells that none of them is possible.
        """
        if not (math.isfinite(sigma_m) and sigma_m > 0):
            raise ValueError(f"a standard deviation is a positive number of metres, not {sigma_m}")
        root, cells = self.tree.root, self.tree.cells_per_side(self.tree.depth)
        edges = np.linspace(0.0, root.side, cells + 1)
        columns = _log_normal_shares((root.west + edges - x) / sigma_m)
        rows = _log_normal_shares((y - root.north + edges) / sigma_m)
        scores = self.log_probability + (rows[:, None] + columns).ravel()
        if not np.isfinite(scores).any():
            raise TiercelError(
                f"The prior at ({x:.0f}, {y:.0f}) is too far from the map's coverage for its {sigma_m:g} m; "
                "check the position or give a larger deviation."
            )
        return Posterior.from_scores(self.tree, scores)

    def restricted(self, leaves: NDArray[np.bool_], name: str) -> Posterior:
        """The posterior once it is known that the place is in one of some leaves.

        Args:
            leaves: (leaves,) whether it may be in each.
            name: What to call the area that they make up, for messages.

        Raises:
            TiercelError: The map covers none of them.
        """
        scores = np.where(leaves, self.log_probability, np.float32(-np.inf))
        if not np.isfinite(scores).any():
            raise nothing_within(name)
        return Posterior.from_scores(self.tree, scores)

    def marginal(self, level: int) -> Numbers:
        """Probabilities of the cells of a level: what their leaves hold together.

        Returns:
            (count(level),) in flat order, summing to one.
        """
        cells = self.tree.cells_per_side(level)
        span = self.tree.cells_per_side(self.tree.depth) // cells
        return np.asarray(self.probability.reshape(cells, span, cells, span).sum((1, 3)).ravel())

    def top(self, k: int, *, apart: int = 0) -> tuple[Indices, NDArray[np.float32]]:
        """The most probable leaves.

        Args:
            k: Leaves wanted.
            apart: Leaves this many rows and cols around a better one are passed over, so that runners-up are
                distinct places: 1 passes over the eight neighbours.

        Returns:
            Flat leaves, the best first (equal ones in flat order), and their own probabilities. Fewer than `k`
            where no others are possible.
        """
        order = np.argsort(-self.log_probability, kind="stable")
        order = order[np.isfinite(self.log_probability[order])]
        if not apart:
            leaves = order[:k]
        else:
            row, col = self.tree.unflat(self.tree.depth, order)
            free = np.ones(len(order), np.bool_)
            picks: list[int] = []
            while len(picks) < k and free.any():
                pick = int(free.argmax())
                picks.append(pick)
                free &= (abs(row - row[pick]) > apart) | (abs(col - col[pick]) > apart)
            leaves = order[picks]
        return leaves, self.probability[leaves].astype(np.float32)

    @cached_property
    def best(self) -> int:
        """Flat index of the most probable leaf."""
        return int(self.log_probability.argmax())

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the most probable leaf: easting and northing, metres."""
        x, y = self.tree.centre(self.tree.depth, *self.tree.unflat(self.tree.depth, self.best))
        return float(x), float(y)

    def radius(self, share: float, around: tuple[float, float] | None = None) -> float:
        """How far around a point a share of the probability reaches.

        The probability of a leaf counts as spread evenly over its square. The radius grows with the share.

        Args:
            share: Above 0 and at most 1.
            around: Easting and northing of the point, metres; the centre of the best leaf if left out.

        Returns:
            Metres. For a share of 1, the distance of the farthest corner of all leaves of any probability.

        Raises:
            ValueError: The share is not above 0 and at most 1.
        """
        return self._disc(around).radius(share)

    def mass_within(self, radius: float, around: tuple[float, float] | None = None) -> float:
        """The probability that the place is at most so far from a point: the inverse of `radius`.

        Args:
            radius: Metres.
            around: Easting and northing of the point, metres; the centre of the best leaf if left out.
        """
        return self._disc(around).mass(radius)

    def _disc(self, around: tuple[float, float] | None) -> Disc:
        return Disc(self.tree, self.probability, around or self.centre)


def nothing_within(name: str) -> TiercelError:
    """What to say of an area that holds nothing of the map."""
    return TiercelError(
        f"The area {name} holds no cell of the map; check that it lies on the map "
        "(LAT,LON,METRES, but longitude before latitude in GeoJSON), or make it larger."
    )


def _log_normal_shares(edges: Numbers) -> Numbers:
    """Logarithm of the standard normal probability between neighbouring edges."""
    # Between two edges on the right, tails keep the digits that differences of near-ones would lose; mirror the left.
    low, high = np.minimum(abs(edges[:-1]), abs(edges[1:])), np.maximum(abs(edges[:-1]), abs(edges[1:]))
    straddles = edges[:-1] * edges[1:] < 0
    tail = np.array([math.erfc(edge / math.sqrt(2)) / 2 for edge in np.concatenate([low, high])])
    near, far = tail[: len(low)], tail[len(low) :]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.where(straddles, 1 - near - far, near - far)))
