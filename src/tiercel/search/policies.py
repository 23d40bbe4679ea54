"""The policies of a model's heads, bound to one photo and one atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import Atlas
from tiercel.models.features import PhotoFeatures
from tiercel.search.policy import BottomUp, LevelScores

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
    def leaf_scores(self) -> Scores:
        """(leaves of the tree,) float32, log-sum-exp over a leaf's poses; minus infinity where not covered."""
        scores = np.full(self.atlas.tree.count(self.atlas.tree.depth), -np.inf, np.float32)
        scores[self.atlas.leaf_index] = log_sum_exp(self.poses.reshape(len(self.poses), -1))
        return scores

    def best_heading(self, leaf: int) -> float:
        """Heading of the photo's centre column in the best pose within a stored leaf, in degrees."""
        row = int(self.atlas.rows(np.array([leaf]))[0])
        return float(self.photo.headings_deg[int(self.poses[row].max(0).argmax())])


def retrieval_policy(scores: PoseScores) -> LevelScores:
    """Retrieval as a policy: leaves score, the levels above them do not."""
    tree = scores.atlas.tree
    return LevelScores(tree, {tree.depth: scores.leaf_scores})


def bottom_up_policy(scores: PoseScores) -> BottomUp:
    """Retrieval as a policy whose inner nodes gather what their leaves know."""
    return BottomUp(scores.atlas.tree, scores.leaf_scores)


def zoom_policy(atlas: Atlas, photo: PhotoFeatures) -> LevelScores:
    """The zoom head as a policy: every level it was trained for scores; covered cells of coarser levels score 0."""
    tree = atlas.tree
    # Whatever the head knows or not, leaves that are not covered are no answer.
    levels: dict[int, Scores] = {tree.depth: np.where(atlas.covered(tree.depth), 0.0, -np.inf).astype(np.float32)}
    for number, queries in enumerate(photo.zoom):
        level = tree.depth - number
        if level not in atlas.zoom_levels:
            continue
        keys = atlas.zoom_keys(level).astype(np.float32)
        known = ~np.isnan(keys[:, 0]) & atlas.covered(level)
        scores = np.full(len(keys), -np.inf, np.float32)
        scores[known] = log_sum_exp(keys[known] @ queries.T)
        levels[level] = scores
    return LevelScores(tree, levels)


def log_sum_exp(scores: Scores) -> Scores:
    """Over the last axis, in float32; the scores are finite."""
    highest = scores.max(-1, keepdims=True)
    return np.asarray(highest[..., 0] + np.log(np.exp(scores - highest).sum(-1)))
