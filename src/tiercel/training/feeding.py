"""Which crops of which cities, and which of the photos taken in them, make the batch of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.training.cities import TrainingCity

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
TRIES = 200
"""How often a place for a crop is drawn before one with too few photos is taken."""


@dataclass(frozen=True)
class Cut:
    """What a kind of batch cuts out of a city.

    Attributes:
        side: Of a crop, metres.
        margin: How far inside a crop its photos are taken, metres.
        grid: Corners of crops lie at multiples of this, metres.
        square: Each crop lies within one of the squares of this side that a city divides into, and no two crops that
            are served together in the same one; 0 for crops anywhere.
        photos: In each crop.
        crops: From a city in one batch.
        least: Photos that a place needs to be chosen at once.
        pixel: Of a city's finest orthophoto, metres.
    """

    side: float
    margin: float
    grid: float
    square: float
    photos: int
    crops: int
    least: int
    pixel: float

    def city_side(self, city: TrainingCity) -> float:
        """Side of a city, metres."""
        return float(city.overhead[1].shape[0]) * self.pixel

    @property
    def reached(self) -> float:
        """Share of a city that photos in crops are taken in, about."""
        return (1.0 - 2.0 * self.margin / self.square) ** 2 if self.square else 1.0

    def reaches(self, city: TrainingCity) -> NDArray[np.bool_]:
        """(V,) the photos that some crop could hold."""
        side = self.square or self.city_side(city)
        inside = city.positions.astype(np.float64) % side
        low, high = self.margin + self.grid, side - self.margin - self.grid
        return np.asarray(((inside > low) & (inside < high)).all(1))

    def same_square(self, city: TrainingCity, corner: Floats) -> NDArray[np.bool_]:
        """(V,) the photos that were taken in the square that a crop lies in; none where there are no squares."""
        if not self.square:
            return np.zeros(len(city.positions), bool)
        middle = corner + self.side / 2
        return np.asarray((city.positions // self.square == middle // self.square).all(1))

    def around(self, city: TrainingCity, photo: int, rng: np.random.Generator) -> Floats:
        """The corner of a random crop that holds a photo which some crop could hold."""
        at = city.positions[photo].astype(np.float64)
        square = self.square or self.city_side(city)
        first = np.floor(at / square) * square
        low = np.maximum(first, at - self.side + self.margin + self.grid)
        high = np.minimum(first + square - self.side, at - self.margin - self.grid)
        corner = np.round(rng.uniform(low, high) / self.grid) * self.grid
        return np.asarray(np.clip(corner, first, first + square - self.side))


@dataclass(frozen=True)
class Crop:
    """A square of a city with photos taken in it.

    Attributes:
        corner: (2,) its north-west corner, metres east and south of the city's.
        photos: Numbers of the photos of the batch, sorted.
        members: Numbers of all photos that were taken there.
    """

    corner: Floats
    photos: Indices
    members: Indices


@dataclass(frozen=True)
class Serving:
    """What one city has in a batch."""

    city: TrainingCity
    crops: list[Crop]


class Feed(Protocol):
    """Where batches come from."""

    def servings(self, rng: np.random.Generator, step: int | None, cut: Cut, count: int) -> list[Serving]:
        """What `count` cities have in the batch of a step.

        Args:
            rng: Source of chance.
            step: Of the run; None where nothing is trained.
            cut: What is cut out of them.
            count: How many cities, different ones as far as there are so many.
        """


class FixedCities:
    """A few cities that are there from the start; places and photos are drawn anew for each batch.

    Args:
        cities: The cities.
    """

    def __init__(self, cities: Sequence[TrainingCity]) -> None:
        """Keeps them."""
        self.cities = list(cities)

    def servings(self, rng: np.random.Generator, step: int | None, cut: Cut, count: int) -> list[Serving]:
        """See `Feed`."""
        have = len(self.cities)
        chosen = rng.choice(have, count, replace=have < count)
        return [Serving(self.cities[index], self._crops(self.cities[index], cut, rng)) for index in chosen]

    @staticmethod
    def _crops(city: TrainingCity, cut: Cut, rng: np.random.Generator) -> list[Crop]:
        taken: set[tuple[int, int]] = set()
        crops = []
        for _ in range(cut.crops):
            corner, members = place(city, cut, taken, rng)
            photos = np.sort(rng.choice(members, cut.photos, replace=len(members) < cut.photos))
            crops.append(Crop(corner, photos, members))
        return crops


def place(
    city: TrainingCity, cut: Cut, taken: set[tuple[int, int]], rng: np.random.Generator
) -> tuple[Floats, Indices]:
    """A place for a crop, in a square that is not taken yet (and is then), and the photos there.

    Raises:
        ValueError: the city has no place with photos.
    """
    best: tuple[Floats, Indices, tuple[int, int]] | None = None
    for _ in range(TRIES):
        corner, square = _corner(city, cut, rng)
        if cut.square and square in taken:
            continue
        members = photos_in(city, corner, cut.side, cut.margin)
        if best is None or len(members) > len(best[1]):
            best = corner, members, square
            if len(members) >= cut.least:
                break
    if best is None or not len(best[1]):
        raise ValueError(f"city {city.seed} has no place with photos: render more views")
    taken.add(best[2])
    return best[0], best[1]


def _corner(city: TrainingCity, cut: Cut, rng: np.random.Generator) -> tuple[Floats, tuple[int, int]]:
    """A random place for a crop: its corner, and the row and column of its square (0, 0 where there are none)."""
    if not cut.square:
        corner = rng.uniform(0, cut.city_side(city) - cut.side, 2)
        return np.floor(corner / cut.grid) * cut.grid, (0, 0)
    count = round(cut.city_side(city) / cut.square)
    square = int(rng.integers(count)), int(rng.integers(count))
    corner = np.array([square[1], square[0]]) * cut.square + rng.uniform(0, cut.square - cut.side, 2)
    return np.round(corner / cut.grid) * cut.grid, square


def photos_in(city: TrainingCity, corner: Floats, side: float, margin: float) -> Indices:
    """Photos at least `margin` metres inside the square with this north-west corner."""
    inside = np.all((city.positions > corner + margin) & (city.positions < corner + side - margin), axis=1)
    return np.nonzero(inside)[0]
