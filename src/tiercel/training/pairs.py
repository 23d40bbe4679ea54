"""Pairs of a photo and an overhead tile to train a dual encoder on, from rendered cities or from a data set of pairs.

A source knows where its pairs lie and which of them must not be told apart, and reads photos and tiles when they are
asked for. Positions are metres east and north of any origin, of the same one within a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.models.config import EmbeddingConfig, ModelConfig
from tiercel.training.batches import Floats, padded_crop
from tiercel.training.cities import TrainingCity

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]
EDGE_M = 6.0
"""A photo may belong to a cell that ends so far from it: no photo is known to be on the right side of an edge."""


@dataclass(frozen=True)
class View:
    """A photo, laid out by azimuth.

    Attributes:
        strip: (rows, columns, 3) uint8, or 4 with what it saw (above 127) in the last. A panorama has all columns of a
            full turn and perhaps spare rows, as many above as below.
        start: Azimuth of the left edge in strip columns; 0 for a panorama. None where the heading is unknown.
        around: Whether it is a panorama.
    """

    strip: Pixels
    start: int | None = 0
    around: bool = True


@dataclass(frozen=True)
class Tile:
    """The overhead picture of a pair.

    Attributes:
        pixels: (P, P, 3) uint8, P the model's `tile_pixels`, row 0 in the north.
        covered: (P, P) bool, where the map has pixels.
        centre: Metres east and north.
        reach: A photo is at home in it up to so many metres from its centre, east to west and north to south; below 0
            where nobody knows.
    """

    pixels: Pixels
    covered: NDArray[np.bool_]
    centre: tuple[float, float]
    reach: float


class PairSource(Protocol):
    """Where pairs come from.

    Attributes:
        positions: (n, 2) of the photos; NaN where unknown.
        group: (n,) the city or area of each; positions of different groups do not compare.
        identity: (n,) the tile of each; photos may share one.
        semi_positives: For each pair further tiles that show its photo's place.
    """

    positions: Floats
    group: Indices
    identity: Indices
    semi_positives: Sequence[tuple[int, ...]]

    def __len__(self) -> int:
        """How many pairs."""

    def rivals(self, index: int) -> Indices:
        """The pairs, this one among them, that may not meet it in a batch: either photo would fit the other's tile."""

    def view(self, index: int) -> View:
        """Read the photo of a pair."""

    def tile(self, index: int, scale: float) -> Tile:
        """Read the tile of a pair, around a cell of so many times the usual size (where there is a choice)."""


class CityPairs:
    """The panoramas of rendered cities, each with the tile around the map cell that it was taken in.

    Args:
        cities: The cities; each is a group.
        config: Sizes: cells have `leaf_m`, tiles are those of the embedding.
    """

    def __init__(self, cities: Sequence[TrainingCity], config: ModelConfig) -> None:
        """Lists the pairs."""
        assert config.embedding is not None
        self.cities, self.config, self.sizes = cities, config, config.embedding
        counts = [len(city.positions) for city in cities]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.group = np.repeat(np.arange(len(cities)), counts)
        self.number = np.arange(len(self.group)) - self._first[self.group]
        # North is up here, but south in a city's arrays.
        places = [city.positions.astype(np.float64) for city in cities]
        self.positions = np.concatenate([np.zeros((0, 2)), *places]) * (1.0, -1.0)
        cells = np.floor(self.positions * (1.0, -1.0) / config.leaf_m).astype(np.int64)
        per_side = int(cells.max(initial=0)) + 1
        self.identity = (self.group * per_side + cells[:, 1]) * per_side + cells[:, 0]
        self.semi_positives: Sequence[tuple[int, ...]] = [()] * len(self.group)
        self._centres = (cells + 0.5) * config.leaf_m * (1.0, -1.0)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.group)

    def rivals(self, index: int) -> Indices:
        """The pairs whose photo lies in this one's cell, or whose cell holds this one's photo."""
        first, last = self._first[self.group[index] : self.group[index] + 2]
        reach = self.config.leaf_m / 2 + EDGE_M
        here = np.abs(self.positions[first:last] - self._centres[index]).max(1) <= reach
        there = np.abs(self._centres[first:last] - self.positions[index]).max(1) <= reach
        return np.asarray(first + np.nonzero(here | there)[0], np.int64)

    def view(self, index: int) -> View:
        """The panorama, with the spare rows it was rendered with."""
        return View(np.asarray(self.cities[self.group[index]].strips[self.number[index]]))

    def tile(self, index: int, scale: float) -> Tile:
        """The tile around the cell of `leaf_m * scale` that holds the photo."""
        side = self.config.leaf_m * scale
        # Cells count from the north-west corner, as the leaves do.
        cell = np.floor(self.positions[index] * (1.0, -1.0) / side)
        centre = (cell + 0.5) * side
        pixels, covered = self._picture(self.cities[self.group[index]], centre, self.sizes.tile_m * scale)
        return Tile(pixels, covered, (float(centre[0]), -float(centre[1])), side / 2 + EDGE_M)

    def _picture(self, city: TrainingCity, centre: Floats, side: float) -> tuple[Pixels, NDArray[np.bool_]]:
        """The square of that side around a point east and south of the corner, in the tile's pixels."""
        wanted = side / self.sizes.tile_pixels
        factor = max(f for f in city.overhead if f == 1 or f * self.config.resolution <= wanted * 1.001)
        pixel = factor * self.config.resolution
        left, top = np.round((centre - side / 2) / pixel).astype(int)
        crop, covered = padded_crop(city.overhead[factor], left, top, round(side / pixel))
        return resized(crop, covered, self.sizes)


def resized(pixels: Pixels, covered: NDArray[np.bool_], sizes: EmbeddingConfig) -> tuple[Pixels, NDArray[np.bool_]]:
    """A picture (H, W, 3) and where it is covered (H, W), brought to the side of a tile."""
    side = sizes.tile_pixels
    if pixels.shape[:2] == (side, side):
        return pixels, covered
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    mask = Image.fromarray(covered.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image), np.asarray(mask) > 127
