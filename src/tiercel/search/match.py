"""The second look by geometry: where inside a candidate the camera stood, and which way it looked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.atlas import Atlas
from tiercel.errors import TiercelError
from tiercel.models.features import PhotoFeatures
from tiercel.models.match import MatchHead, correlate
from tiercel.models.model import Model, polar_columns

Floats = NDArray[np.float64]

OFF_THE_MAP = -1e4
"""Score of positions where the camera cannot be."""


@dataclass(frozen=True)
class Matches:
    """What the match says about K candidates.

    Attributes:
        leaves: (K,) flat leaves.
        score: (K,) log-sum-exp over positions and headings; comparable between candidates of one photo.
        x: (K,) easting of the best position, metres.
        y: (K,) northing.
        heading: (K,) heading of the photo's centre column there, degrees.
    """

    leaves: NDArray[np.int64]
    score: Floats
    x: Floats
    y: Floats
    heading: Floats


class Matcher:
    """Matches photos against candidates of one atlas.

    Args:
        atlas: The atlas.
        model: The model it was built for.

    Raises:
        TiercelError: The model has no match head.
    """

    def __init__(self, atlas: Atlas, model: Model) -> None:
        """Works out how large a window a candidate needs."""
        if model.match is None:
            raise TiercelError(f"model {model.name} has no geometric match: use one with the head 'match'.")
        self.atlas, self.model = atlas, model
        self.head: MatchHead = model.match
        cells = model.config.match_cells_per_leaf
        # The camera is looked for in the leaf and half a leaf around it, and the template reaches beyond.
        self.slack = cells // 2
        self.window = cells + 2 * self.slack + 2 * self.head.radius
        self.around = math.ceil((self.slack + self.head.radius) / cells)

    @torch.inference_mode()
    def match(self, photo: PhotoFeatures, leaves: NDArray[np.int64]) -> Matches:
        """Look at candidate leaves.

        Args:
            photo: The photo.
            leaves: (K,) flat indices of stored leaves.
        """
        left = photo.headings_deg[0] - photo.polar_start_deg[0]
        starts: Floats = photo.polar_start_deg.astype(np.float64)
        if not photo.heading_known:
            starts = np.linspace(0.0, 360.0, polar_columns(self.model.config), endpoint=False)
        device = self.model.device
        polar = torch.from_numpy(photo.polar)[None].to(device)
        turns = torch.from_numpy(np.radians(starts).astype(np.float32))[None].to(device)
        windows, possible = (torch.from_numpy(np.stack(part)) for part in zip(*map(self._window, leaves), strict=True))
        scores = correlate(self.head.template(polar, turns), windows.to(device)[None])[0] * self.head.scale()
        scores = scores.masked_fill(~possible.to(device), OFF_THE_MAP)
        total = scores.permute(1, 0, 2, 3).flatten(1).logsumexp(1).cpu().numpy().astype(np.float64)
        return self._poses(scores.cpu().numpy(), leaves, total, starts, float(left))

    def _window(self, leaf: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What lies around a leaf.

        Returns:
            Features (match_width, window, window), zeros where nothing is stored, and where in them the camera may be:
            on stored leaves only, since an answer off the map is none.
        """
        tree, reach = self.atlas.tree, self.around
        depth, side = tree.depth, tree.cells_per_side(tree.depth)
        row, col = (int(v) for v in tree.unflat(depth, leaf))
        steps = np.arange(-reach, reach + 1)
        rows, cols = np.meshgrid(row + steps, col + steps, indexing="ij")
        inside = (rows >= 0) & (rows < side) & (cols >= 0) & (cols < side)
        stored = np.full(rows.shape, -1)
        stored[inside] = self.atlas.rows(tree.flat(depth, rows[inside], cols[inside]))
        match = self.atlas.match
        cells, width = match.shape[1], match.shape[3]
        mosaic = np.zeros((*rows.shape, cells, cells, width), np.float32)
        mosaic[stored >= 0] = match[stored[stored >= 0]]
        whole = mosaic.transpose(4, 0, 2, 1, 3).reshape(width, len(rows) * cells, len(rows) * cells)
        possible = (stored >= 0).repeat(cells, 0).repeat(cells, 1)
        first = reach * cells - self.slack
        seen = slice(first - self.head.radius, first - self.head.radius + self.window)
        camera = slice(first, first + cells + 2 * self.slack)
        return np.ascontiguousarray(whole[:, seen, seen]), possible[camera, camera]

    def _poses(
        self, scores: NDArray[np.float32], leaves: NDArray[np.int64], total: Floats, starts: Floats, left: float
    ) -> Matches:
        """The best pose in each candidate, finer than the grid by a parabola through the peak along each axis."""
        tree, cell = self.atlas.tree, self.model.config.match_cell_m
        turns, count, inside = scores.shape[:3]
        best = scores.transpose(1, 0, 2, 3).reshape(count, -1).argmax(1)
        turn, rest = np.divmod(best, inside * inside)
        row, col = np.divmod(rest, inside)
        at = np.arange(count)
        across = scores[turn, at, row, :], col, False
        down = scores[turn, at, :, col], row, False
        around = scores[:, at, row, col].T, turn, True
        fine_col, fine_row, fine_turn = (_peak(*axis) for axis in (across, down, around))
        leaf_row, leaf_col = tree.unflat(tree.depth, leaves)
        leaf_x, leaf_y = tree.centre(tree.depth, leaf_row, leaf_col)
        # Cell 0 of the window that the camera may be in lies half a leaf and the slack from the leaf's centre.
        offset = (self.model.config.match_cells_per_leaf / 2 + self.slack - 0.5) * cell
        step = 360.0 / turns if turns > 1 else 0.0
        heading = (starts[turn] + fine_turn * step + left) % 360.0
        return Matches(
            leaves, total, leaf_x - offset + (col + fine_col) * cell, leaf_y + offset - (row + fine_row) * cell, heading
        )


def _peak(lines: NDArray[np.float32], index: NDArray[np.int64], wraps: bool) -> Floats:
    """Offset (-0.5 to 0.5) of the top of the parabola through the highest value of each line and its two neighbours."""
    rows, length = np.arange(len(lines)), lines.shape[1]
    if length < 3:
        return np.zeros(len(lines))
    before, after = index - 1, index + 1
    inside = np.full(len(lines), True) if wraps else (before >= 0) & (after < length)
    low, high = lines[rows, before % length].astype(np.float64), lines[rows, after % length].astype(np.float64)
    middle = lines[rows, index].astype(np.float64)
    curvature = low - 2 * middle + high
    offset = np.where(curvature < 0, 0.5 * (low - high) / np.where(curvature < 0, curvature, -1.0), 0.0)
    # Just inside half a cell, so that the answer never lands on the far border of the map.
    return np.where(inside, np.clip(offset, -0.499, 0.499), 0.0)
