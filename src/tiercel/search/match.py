"""The second look by geometry: which cells fit, where inside them the camera stood, and which way it looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.atlas import Atlas
from tiercel.errors import TiercelError
from tiercel.models.features import PhotoFeatures
from tiercel.models.match import MatchHead, correlate_spectra, polar_columns, template_spectrum
from tiercel.models.model import Model
from tiercel.models.products import multiply

Floats = NDArray[np.float64]
_Array = TypeVar("_Array", Tensor, NDArray[np.float32])

OFF_THE_MAP = -1e4
"""Score of positions where the camera cannot be."""
TRANSFORM = 128
"""Side in cells of the pieces that a sweep transforms: large enough that little of it is overlap."""
WITHIN_BIN = 2
"""Headings tried in each azimuth bin where none is known: as close together as the match was trained for."""
TILES_IN_CACHE, TURNS_IN_CACHE = 8, 2
"""Tiles that are looked at together at one heading, and headings at which candidates are: few enough that what is
worked out of them stays in a cache."""
NEGLIGIBLE = 1e-6
"""Where so little of the probability is left, a sweep ends: looking closely there would change nothing."""
TILES_AT_ONCE = 4
"""Tiles that are looked at together where every heading is: few enough that memory stays bounded."""
TILES_KEPT = 176
"""Spectra of this many tiles stay in memory, about a megabyte each: those of a city of 2 km."""


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
    """Matches photos against the leaves of one atlas.

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
        self.cells = model.config.match_cells_per_leaf
        # The camera is looked for in the leaf and half a leaf around it, and the template reaches beyond.
        self.slack = self.cells // 2
        self.tile = max(1, (TRANSFORM - 2 * self.head.radius) // self.cells)
        self._spectra: dict[int, Tensor] = {}

    def match(self, photo: PhotoFeatures, leaves: NDArray[np.int64]) -> Matches:
        """Look closely at candidate leaves.

        Args:
            photo: The photo.
            leaves: (K,) flat indices of stored leaves.
        """
        return self.match_together([photo], leaves)

    @torch.inference_mode()
    def match_together(self, photos: Sequence[PhotoFeatures], leaves: NDArray[np.int64]) -> Matches:
        """Look closely at candidate leaves, for photos from one spot that may have looked any way.

        Args:
            photos: The photos; each one's heading is summed out by itself.
            leaves: (K,) flat indices of stored leaves.

        Returns:
            One place for all of them in each leaf, and the heading of the first.
        """
        places = zip(*self.atlas.tree.unflat(self.atlas.tree.depth, leaves), strict=True)
        found = [self._window(int(row), int(col), 1, self.slack) for row, col in places]
        windows, possible = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
        spectra, possible, scores = torch.fft.rfft2(windows.to(self.model.device)), possible.to(self.model.device), []
        for photo in photos:
            starts = self._starts(photo, polar_columns(self.model.config))
            one = self._turn_by_turn(self._templates(photo, starts)[0] * self.head.scale(), spectra)
            scores.append(one.masked_fill(~possible, OFF_THE_MAP))
        total = _added([one.logsumexp(0) for one in scores]).flatten(1).logsumexp(1).cpu().numpy().astype(np.float64)
        first = photos[0]
        azimuths = self._starts(first, len(scores[0])) + float(first.headings_deg[0] - first.polar_start_deg[0])
        return self._poses([one.cpu().numpy() for one in scores], leaves, total, azimuths)

    def _turn_by_turn(self, templates: Tensor, windows: Tensor) -> Tensor:
        """As `correlate`, a few templates at a time, so that what is worked out of them stays in a cache.

        Args:
            templates: (H, match_width, t, t).
            windows: (K, match_width, S, S // 2 + 1) spectra.

        Returns:
            (H, K, S - t + 1, S - t + 1).
        """
        side, starts = windows.shape[2], range(0, len(templates), TURNS_IN_CACHE)
        parts = (template_spectrum(templates[start : start + TURNS_IN_CACHE], side) for start in starts)
        return torch.cat([correlate_spectra(part[None], windows[None], templates.shape[-1])[0] for part in parts])

    @torch.inference_mode()
    def everywhere(self, photos: Sequence[PhotoFeatures]) -> Floats:
        """Score every position and every heading of the map, a few tiles at a time.

        Args:
            photos: Photos from one spot, each of which may have looked any way: each one's heading is summed out by
                itself.

        Returns:
            (stored leaves,) the log-sum-exp over the positions of each leaf, one to a cell of the match, of what all
            photos together score there.
        """
        side = self.tile * self.cells + 2 * self.head.radius
        spectra = []
        for photo in photos:
            templates = self._templates(photo, self._within_bins(photo).ravel())[0]
            spectra.append(template_spectrum(templates, side).resolve_conj().permute(2, 3, 0, 1).contiguous())
        numbers = [number for number in range(self._across**2) if (self._rows(number) >= 0).any()]
        scores = np.full(len(self.atlas.leaf_index), -np.inf)
        for some in (numbers[first : first + TILES_AT_ONCE] for first in range(0, len(numbers), TILES_AT_ONCE)):
            tiles = torch.stack([self._spectrum(number).permute(1, 2, 0) for number in some], -1)
            cells = _added([self._at_any_heading(templates, tiles) for templates in spectra])
            cells = cells.reshape(len(some), *2 * (self.tile, self.cells)).logsumexp((2, 4))
            for number, by_leaf in zip(some, cells.flatten(1).cpu().numpy(), strict=True):
                rows = self._rows(number)
                scores[rows[rows >= 0]] = by_leaf[rows >= 0]
        return scores

    def _at_any_heading(self, templates: Tensor, tiles: Tensor) -> Tensor:
        """The mean over headings of the likelihood of each position, as a logarithm.

        As a matrix product for each frequency: fast where all headings are looked at in several tiles.

        Args:
            templates: (side, side // 2 + 1, headings, match_width) spectra.
            tiles: (side, side // 2 + 1, match_width, n) spectra.

        Returns:
            (n, cells, cells).
        """
        side, inside = len(templates), self.tile * self.cells
        found = torch.fft.irfft2(templates @ tiles, s=(side, side), dim=(0, 1)).permute(2, 3, 0, 1)
        found = found[..., :inside, :inside] * self.head.scale()
        mean: Tensor = found.logsumexp(0) - math.log(len(found))
        return mean

    @torch.inference_mode()
    def sweep(self, photo: PhotoFeatures, probability: Floats, effort: int) -> tuple[NDArray[np.int64], Floats]:
        """Score the poses that matter most, every pose if there is effort enough.

        They are taken a tile (a square of leaves whose features are transformed together) and a heading at a time.

        Args:
            photo: The photo, with H headings.
            probability: (stored leaves, H) of each heading in each leaf so far, by which poses are chosen.
            effort: How many tiles are looked at, each heading counted; one is in any case, and fewer where they hold
                all but a `NEGLIGIBLE` part of the probability.

        Returns:
            Flat indices of K stored leaves, and for each the scores of its poses, (K, positions, H) like retrieval's:
            the log-sum-exp over the match's cells around each of retrieval's positions. NaN where it did not look.
        """
        side, starts = self.tile * self.cells + 2 * self.head.radius, self._within_bins(photo)
        across, count = self.model.config.positions_per_leaf, len(starts)
        chosen = self._best(probability, max(1, effort))
        numbers = list(chosen)
        poses = np.full((len(numbers), self.tile**2, across**2, count), np.nan)
        for first in range(0, len(numbers), TILES_KEPT):
            rows = range(first, min(first + TILES_KEPT, len(numbers)))
            spectra = {row: self._spectrum(numbers[row]) for row in rows}
            for heading in range(count):
                here = [row for row in rows if heading in chosen[numbers[row]]]
                if here:
                    scaled = self._templates(photo, starts[heading])[0] * self.head.scale()
                    templates = template_spectrum(scaled, side)
                for start in range(0, len(here), TILES_IN_CACHE):
                    some = here[start : start + TILES_IN_CACHE]
                    found = self._at_positions(templates, [spectra[row] for row in some])
                    poses[some, :, :, heading] = found.cpu().numpy()
        flat, score = np.concatenate([self._leaves(number) for number in numbers]), poses.reshape(-1, *poses.shape[2:])
        inside = flat >= 0
        inside[inside] = self.atlas.rows(flat[inside]) >= 0
        return flat[inside], score[inside]

    def _at_positions(self, templates: Tensor, tiles: Sequence[Tensor]) -> Tensor:
        """The mean over some templates of the likelihood of retrieval's positions, as a logarithm.

        Args:
            templates: (tried, match_width, side, side // 2 + 1) spectra, scaled.
            tiles: n spectra (match_width, side, side // 2 + 1).

        Returns:
            (n, leaves of a tile, positions): the log-sum-exp over the match's cells around each position.
        """
        tile, across, tried = self.tile, self.model.config.positions_per_leaf, len(templates)
        cells = self.model.config.match_cells_per_position
        products = templates.new_empty(len(tiles), tried, *templates.shape[2:])
        multiply(templates, tiles, products.transpose(0, 1))
        side, inside = templates.shape[2], tile * self.cells
        found = torch.fft.irfft2(products, s=(side, side))[..., :inside, :inside]
        found = found.reshape(-1, tried, *2 * (tile, across, cells))
        # What is summed lies side by side: (n, leaf rows, leaf columns, position rows, position columns, and the rest).
        total: Tensor = found.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(5).logsumexp(-1)
        return total.flatten(1, 2).flatten(2) - math.log(tried)

    def _starts(self, photo: PhotoFeatures, count: int) -> Floats:
        """Azimuths of a photo's left edge that are tried, degrees: `count` of them unless it is known."""
        if photo.heading_known:
            return photo.polar_start_deg.astype(np.float64)
        return np.linspace(0.0, 360.0, count, endpoint=False)

    def _within_bins(self, photo: PhotoFeatures) -> Floats:
        """Azimuths of a photo's left edge, degrees: for each of its headings those that are tried in its bin."""
        starts = photo.polar_start_deg.astype(np.float64)[:, None]
        if photo.heading_known:
            return starts
        steps = (np.arange(WITHIN_BIN) + 0.5) / WITHIN_BIN - 0.5
        return np.asarray(starts + steps * self.model.config.bin_deg)

    def _templates(self, photo: PhotoFeatures, starts: Floats) -> Tensor:
        """(1, headings, match_width, side, side)."""
        polar = torch.from_numpy(photo.polar)[None].to(self.model.device)
        return self.head.template(polar, torch.from_numpy(np.radians(starts).astype(np.float32))[None].to(polar.device))

    def _best(self, probability: Floats, count: int) -> dict[int, list[int]]:
        """Numbers of the tiles that hold most of the probability, and at which headings, the best first."""
        tree, headings = self.atlas.tree, probability.shape[1]
        row, col = tree.unflat(tree.depth, self.atlas.leaf_index)
        held = np.zeros((self._across**2, headings))
        np.add.at(held, row // self.tile * self._across + col // self.tile, probability + 1e-30)
        best = np.argsort(-held, axis=None, kind="stable")[:count]
        before = np.cumsum(held.ravel()[best]) - held.ravel()[best]
        best = best[(held.ravel()[best] > 0) & (before < (1.0 - NEGLIGIBLE) * held.sum())]
        chosen: dict[int, list[int]] = {}
        for number, heading in zip(*np.divmod(best, headings), strict=True):
            chosen.setdefault(int(number), []).append(int(heading))
        return chosen

    @property
    def _across(self) -> int:
        """Tiles along the side of the map."""
        return math.ceil(self.atlas.tree.cells_per_side(self.atlas.tree.depth) / self.tile)

    def _leaves(self, number: int) -> NDArray[np.int64]:
        """The flat leaves of a tile, row by row; -1 beyond the map."""
        tree = self.atlas.tree
        first = np.array(divmod(number, self._across)) * self.tile
        row, col = np.meshgrid(*(start + np.arange(self.tile) for start in first), indexing="ij")
        side = tree.cells_per_side(tree.depth)
        inside = (row < side) & (col < side)
        return np.where(inside, tree.flat(tree.depth, np.where(inside, row, 0), np.where(inside, col, 0)), -1).ravel()

    def _rows(self, number: int) -> NDArray[np.int64]:
        """Where a tile's leaves are in the arrays over stored leaves; -1 for those that are not stored."""
        leaves = self._leaves(number)
        return np.where(leaves >= 0, self.atlas.rows(leaves), -1)

    def _spectrum(self, number: int) -> Tensor:
        """Of a tile and what its templates reach around it."""
        if number not in self._spectra:
            row, col = (index * self.tile for index in divmod(number, self._across))
            window, _ = self._window(row, col, self.tile, 0)
            spectrum: Tensor = torch.fft.rfft2(torch.from_numpy(window).to(self.model.device))
            if len(self._spectra) >= TILES_KEPT:
                return spectrum
            self._spectra[number] = spectrum
        return self._spectra[number]

    def _window(self, row: int, col: int, count: int, slack: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What lies around a square of leaves.

        Args:
            row: Of the north-western leaf.
            col: Of the north-western leaf.
            count: Leaves along the side.
            slack: Cells around them where the camera may be as well.

        Returns:
            Features (match_width, side, side), zeros where nothing is stored, reaching a template's radius beyond where
            the camera may be; and where that is: on stored leaves only, since an answer off the map is none.
        """
        tree, cells, reach = self.atlas.tree, self.cells, math.ceil((slack + self.head.radius) / self.cells)
        depth, side = tree.depth, tree.cells_per_side(tree.depth)
        steps = np.arange(-reach, count + reach)
        rows, cols = np.meshgrid(row + steps, col + steps, indexing="ij")
        inside = (rows >= 0) & (rows < side) & (cols >= 0) & (cols < side)
        stored = np.full(rows.shape, -1)
        stored[inside] = self.atlas.rows(tree.flat(depth, rows[inside], cols[inside]))
        match = self.atlas.match
        mosaic = np.zeros((*rows.shape, cells, cells, match.shape[3]), np.float32)
        mosaic[stored >= 0] = match[stored[stored >= 0]]
        whole = mosaic.transpose(4, 0, 2, 1, 3).reshape(-1, len(rows) * cells, len(rows) * cells)
        possible = (stored >= 0).repeat(cells, 0).repeat(cells, 1)
        first, last = reach * cells - slack, (reach + count) * cells + slack
        seen, camera = slice(first - self.head.radius, last + self.head.radius), slice(first, last)
        return np.ascontiguousarray(whole[:, seen, seen]), possible[camera, camera]

    def _poses(
        self, scores: Sequence[NDArray[np.float32]], leaves: NDArray[np.int64], total: Floats, azimuths: Floats
    ) -> Matches:
        """The best pose in each candidate, finer than the grid by a parabola through the peak along each axis.

        Args:
            scores: (turns, K, cells, cells) of each photo. The best place is that of the best pose of all together.
            leaves: (K,) flat.
            total: (K,) the candidates' scores.
            azimuths: (turns,) headings of the first photo.
        """
        tree, cell = self.atlas.tree, self.model.config.match_cell_m
        turns, count, inside = scores[0].shape[:3]
        best = _added([one.max(0) for one in scores]).reshape(count, -1).argmax(1)
        row, col = np.divmod(best, inside)
        at = np.arange(count)
        turn = [one[:, at, row, col].argmax(0) for one in scores]
        across = _added([one[turned, at, row, :] for one, turned in zip(scores, turn, strict=True)])
        down = _added([one[turned, at, :, col] for one, turned in zip(scores, turn, strict=True)])
        fine_col, fine_row = _peak(across, col, False), _peak(down, row, False)
        fine_turn = _peak(scores[0][:, at, row, col].T, turn[0], True)
        leaf_row, leaf_col = tree.unflat(tree.depth, leaves)
        leaf_x, leaf_y = tree.centre(tree.depth, leaf_row, leaf_col)
        # Cell 0 of the window that the camera may be in lies half a leaf and the slack from the leaf's centre.
        offset = (self.model.config.match_cells_per_leaf / 2 + self.slack - 0.5) * cell
        step = 360.0 / turns if turns > 1 else 0.0
        heading = (azimuths[turn[0]] + fine_turn * step) % 360.0
        return Matches(
            leaves, total, leaf_x - offset + (col + fine_col) * cell, leaf_y + offset - (row + fine_row) * cell, heading
        )


def _added(parts: Sequence[_Array]) -> _Array:
    """Their sum."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


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
