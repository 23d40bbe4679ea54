"""The picture of what the searches make of one photo: pick by pick, and with every leaf against every other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.fix.picture import INNER, Overhead, Point, draw_photo, draw_steps, stacked, titled
from tiercel.locate import Analysis
from tiercel.photos import Photo
from tiercel.search import Policy, Posterior, zoom_steps
from tiercel.search.descent import sibling_log_probability

_SQUARE, _PHOTO_HEIGHT = 352, 300


def draw_zooming(analysis: Analysis, photo: Photo, overhead: Overhead, truth: Point) -> Image.Image:
    """The photo, and two ways down the map; the children of each square coloured by the probability that decides.

    Args:
        analysis: Of the photo, by a model that zooms.
        photo: The photo.
        overhead: Reads the map.
        truth: Where it was taken, metres in the map's frame.
    """
    greedy, answer = int(analysis.zoom_greedy.leaves[0]), analysis.zoom_global
    tree = answer.tree
    rows = (
        ("Pick by pick, as published: how likely each child is among its siblings", greedy,
         siblings_on_the_way(analysis.zoom, greedy)),
        ("Every leaf against every other: what the leaves of each child hold together", answer.best,
         leaves_on_the_way(answer, answer.best)),
    )  # fmt: skip
    parts = [draw_photo(photo, INNER, _PHOTO_HEIGHT)]
    for title, leaf, heat in rows:
        steps = zoom_steps(tree, leaf)
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaf))
        best = (float(x), float(y))
        side = min(_SQUARE, INNER // len(steps) - 32)
        off = float(np.hypot(best[0] - truth[0], best[1] - truth[1]))
        row = draw_steps(steps, overhead, side, best=best, truth=truth, heat=heat)
        parts.append(titled(f"{title} ({off:,.0f} m off)", row, INNER))
    return stacked(parts)


def siblings_on_the_way(policy: Policy, leaf: int) -> list[NDArray[np.float64]]:
    """For each square on the way to a leaf, (g, g) probabilities of its children among themselves, row 0 north."""
    tree = policy.tree
    path = tree.path(tree.depth, *tree.unflat(tree.depth, leaf))
    found = []
    for level in range(tree.depth):
        row, col = tree.from_path(path[None, :level])
        shares = np.exp(sibling_log_probability(policy, level, row, col)[0])
        found.append(shares.reshape(tree.branching, tree.branching))
    return found


def leaves_on_the_way(answer: Posterior, leaf: int) -> list[NDArray[np.float64]]:
    """For each square on the way to a leaf, (g, g) shares of its probability that its children hold, row 0 north."""
    tree = answer.tree
    path = tree.path(tree.depth, *tree.unflat(tree.depth, leaf))
    found = []
    for level in range(tree.depth):
        held = answer.marginal(level + 1)[tree.flat(level + 1, *tree.children(level, *tree.from_path(path[:level])))]
        found.append((held / max(held.sum(), np.finfo(float).tiny)).reshape(tree.branching, tree.branching))
    return found
