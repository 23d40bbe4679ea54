"""The policies of a model's heads, bound to one photo and one atlas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import Atlas
from tiercel.geo import ZoomTree
from tiercel.models.features import PhotoFeatures
from tiercel.search.policy import BottomUp, LevelScores, gather

Scores = NDArray[np.float32]


class Retriever:
    """Retrieval's keys of an atlas, ready for products with photos.

    Args:
        atlas: The atlas. Its keys are held in memory in float32.
    """

    def __init__(self, atlas: Atlas) -> None:
        """Reads the keys."""
        self.atlas = atlas
        self._keys = atlas.keys.reshape(atlas.bias.size, -1).astype(np.float32)
        self._bias = atlas.bias.reshape(-1, 1).astype(np.float32)

    def scores(self, photo: PhotoFeatures, temperature: float = 1.0) -> PoseScores:
        """Score every pose for one photo; the scores are divided by `temperature`."""
        poses = self._keys @ np.ascontiguousarray(photo.retrieval.T)
        poses += self._bias
        poses /= np.float32(temperature)
        return PoseScores(self.atlas, photo, poses.reshape(*self.atlas.bias.shape, -1))


@dataclass(frozen=True, eq=False)
class PoseScores:
    """Retrieval's score of every pose in an atlas for one photo.

    Attributes:
        atlas: The atlas.
        photo: The photo.
        poses: (stored leaves, positions, H) float32, for the H headings of the photo.
    """

    atlas: Atlas
    photo: PhotoFeatures
    poses: Scores

    @cached_property
    def by_heading(self) -> Scores:
        """(stored leaves, H) float32, log-sum-exp over a leaf's positions."""
        return log_sum_exp(self.poses.swapaxes(1, 2))

    @cached_property
    def leaf_scores(self) -> Scores:
        """(leaves of the tree,) float32, log-sum-exp over a leaf's poses; minus infinity where not covered."""
        scores = np.full(self.atlas.tree.count(self.atlas.tree.depth), -np.inf, np.float32)
        scores[self.atlas.leaf_index] = log_sum_exp(self.by_heading)
        return scores

    def best_heading(self, leaf: int) -> float:
        """Heading of the photo's centre column in the best pose within a stored leaf, in degrees."""
        return self.best_pose(leaf)[2]

    def best_pose(self, leaf: int) -> tuple[float, float, float]:
        """The best pose within a stored leaf: easting and northing in metres, and heading in degrees."""
        tree, row = self.atlas.tree, int(self.atlas.rows(np.array([leaf]))[0])
        position, heading = np.unravel_index(int(self.poses[row].argmax()), self.poses[row].shape)
        across = math.isqrt(self.poses.shape[1])
        # Positions are numbered row by row from the leaf's north-western corner.
        south, east = (np.array(divmod(int(position), across)) + 0.5) / across - 0.5
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaf))
        side = tree.side(tree.depth)
        return float(x) + east * side, float(y) - south * side, float(self.photo.headings_deg[int(heading)])


class LeafScores(Protocol):
    """Scores of the leaves of an atlas for one photo, whatever they come from."""

    @property
    def atlas(self) -> Atlas:
        """The atlas."""
        ...

    @property
    def leaf_scores(self) -> Scores:
        """(leaves of the tree,) float32; minus infinity where not covered."""
        ...


def retrieval_policy(scores: LeafScores) -> LevelScores:
    """Retrieval as a policy: leaves score, the levels above them do not."""
    tree = scores.atlas.tree
    return LevelScores(tree, {tree.depth: scores.leaf_scores})


def bottom_up_policy(scores: LeafScores) -> BottomUp:
    """Retrieval as a policy whose inner nodes gather what their leaves know."""
    return BottomUp(scores.atlas.tree, scores.leaf_scores)


def zoom_policy(
    atlas: Atlas, photo: PhotoFeatures, poses: PoseScores | None = None, weight: float = 1.0
) -> LevelScores:
    """The zoom head as a policy.

    Along a path the scores of the zoom head add up heading by heading, so that all picks have to agree on one. What a
    cell scores is what it adds to its parent's path: the log-sum-exp over headings of the one less that of the other.
    Cells of levels above those that the head was trained for gather what their children come to.

    Args:
        atlas: The prepared map.
        photo: The photo.
        poses: Retrieval's scores, where they tell the leaves apart, or are to be joined.
        weight: Multiplies the scores of the zoom head, but not retrieval's.
    """
    tree = atlas.tree
    path = np.zeros((1, len(photo.headings_deg)), np.float32)
    totals: dict[int, Scores] = {}
    for level in range(1, tree.depth + 1):
        path = _spread(tree, level, path) + weight * _picks(atlas, photo, level)
        totals[level] = _summed(path, atlas.covered(level), poses if level == tree.depth else None)
    for level in range(min(atlas.zoom_levels, default=tree.depth) - 1, -1, -1):
        totals[level] = log_sum_exp(gather(tree, level + 1, totals[level + 1]))
    return LevelScores(tree, {level: _added(tree, level, totals) for level in range(1, tree.depth + 1)})


def _added(tree: ZoomTree, level: int, totals: dict[int, Scores]) -> Scores:
    """What each cell of a level adds to its parent's path."""
    own, above = totals[level], _spread(tree, level, totals[level - 1])
    return np.subtract(own, above, out=np.full_like(own, -np.inf), where=np.isfinite(own))


def _spread(tree: ZoomTree, level: int, values: Scores) -> Scores:
    """Values of the cells of the level above, given to each of their children: (count(level), ...)."""
    side = tree.cells_per_side(level - 1)
    grid = values.reshape(side, side, *values.shape[1:])
    return grid.repeat(tree.branching, 0).repeat(tree.branching, 1).reshape(tree.count(level), *values.shape[1:])


def _picks(atlas: Atlas, photo: PhotoFeatures, level: int) -> Scores:
    """What the zoom head gives each cell of a level at each heading; 0 where it has nothing to say."""
    tree, lowest = atlas.tree, atlas.manifest.sizes.zoom_lowest
    number = tree.depth - level + 1 - lowest
    scores = np.zeros((tree.count(level), len(photo.headings_deg)), np.float32)
    if not 0 <= number < len(photo.zoom) or level not in atlas.zoom_levels:
        return scores
    keys = atlas.zoom_keys(level).astype(np.float32)
    known = ~np.isnan(keys[:, 0])
    scores[known] = keys[known] @ photo.zoom[number].T
    if photo.reject:
        families = gather(tree, level, np.where(known[:, None], scores, -np.inf))
        beside = np.logaddexp(log_sum_exp(families.swapaxes(1, 2)), np.float32(photo.reject[number]))
        scores -= _spread(tree, level, beside)
    return scores


def _summed(path: Scores, covered: NDArray[np.bool_], poses: PoseScores | None) -> Scores:
    """Paths summed over headings, and with `poses` over positions; minus infinity where not covered."""
    total = np.full(len(path), -np.inf, np.float32)
    if poses is None:
        total[covered] = log_sum_exp(path[covered])
    else:
        leaves = poses.atlas.leaf_index
        total[leaves] = log_sum_exp(poses.by_heading + path[leaves])
    return total


def log_sum_exp(scores: Scores) -> Scores:
    """Over the last axis, in float32; minus infinity where all scores are."""
    highest = scores.max(-1, keepdims=True)
    shift = np.where(np.isfinite(highest), highest, np.float32(0))
    with np.errstate(divide="ignore"):
        return np.asarray(shift[..., 0] + np.log(np.exp(scores - shift).sum(-1)))
