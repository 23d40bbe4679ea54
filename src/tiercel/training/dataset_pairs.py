"""Pairs of a data set (`tiercel.datasets.pairs`) to train a dual encoder on; pictures are read when they are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.geo.sphere import EARTH_RADIUS_M
from tiercel.models.config import ModelConfig
from tiercel.models.strips import photo_strip
from tiercel.photos import Photo
from tiercel.training.cities import spare_rows
from tiercel.training.pairs import Indices, Tile, View
from tiercel.training.recipe import Recipe

if TYPE_CHECKING:
    from tiercel.datasets.pairs import PairQuery, Reference

AREA_DEG = 0.5
"""Photos further apart than about this belong to different areas."""
HELD_OUT = 0.05
"""Share of the tiles of the training split that progress is watched on."""


class DatasetPairs:
    """Photos of a data set and their tiles.

    Args:
        queries: The photos.
        gallery: The tiles that they refer to.
        config: Sizes of strips and tiles.

    Attributes:
        positions: (n, 2) metres east and north in the photo's area, NaN where unknown.
        group: (n,) the area.
        identity: (n,) index of the tile in the gallery.
        semi_positives: as the data set names them.
    """

    def __init__(self, queries: Sequence[PairQuery], gallery: Sequence[Reference], config: ModelConfig) -> None:
        """Lists the pairs."""
        assert config.embedding is not None
        self.queries, self.gallery, self.config, self.sizes = queries, gallery, config, config.embedding
        places = np.array([_place(query) for query in queries]).reshape(-1, 2)
        self.group = areas(places)
        numbers = range(int(self.group.max(initial=-1)) + 1)
        self._origins = np.array([_middle(places[self.group == number]) for number in numbers]).reshape(-1, 2)
        self.positions = _metres(places, self._origins[self.group])
        self.identity = np.array([query.positive for query in queries], np.int64)
        self.semi_positives: Sequence[tuple[int, ...]] = [query.semi_positives for query in queries]
        # Whose tile it is, and for whom it is a semi-positive.
        self._owners: dict[int, list[int]] = {}
        self._mentions: dict[int, list[int]] = {}
        for index, query in enumerate(queries):
            self._owners.setdefault(query.positive, []).append(index)
            for tile in query.semi_positives:
                self._mentions.setdefault(tile, []).append(index)
        # Around the horizon there may be rows beyond a strip's, for photos from tilted cameras.
        rows = config.strip_height + 2 * spare_rows(config)
        tangent = config.vertical_tangent * rows / config.strip_height
        self._tall = dataclasses.replace(config, strip_height=rows, vertical_tangent=tangent)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.queries)

    def rivals(self, index: int) -> Indices:
        """The pairs whose photo fits this one's tile, or whose tile fits this one's photo."""
        tile = self.queries[index].positive
        found = set(self._mentions.get(tile, ()))
        for other in (tile, *self.queries[index].semi_positives):
            found.update(self._owners.get(other, ()))
        return np.array(sorted(found), np.int64)

    def view(self, index: int) -> View:
        """The photo as a strip; a panorama with spare rows."""
        query, config = self.queries[index], self.config
        photo = Photo.open(query.file, field_of_view=query.field_of_view, panorama=query.panorama)
        around = query.panorama and photo.field_of_view.value >= 360.0 - config.bin_deg
        strip = photo_strip(
            photo.pixels,
            panorama=photo.panorama,
            field_of_view=photo.field_of_view.value,
            heading=query.heading,
            config=self._tall if around else config,
            seen_rows=photo.seen_rows,
        )
        if query.heading is None:
            return View(strip.pixels, None, around)
        left = (query.heading + strip.left_deg) / config.bin_deg * config.columns_per_heading
        return View(strip.pixels, round(left) % config.strip_columns, around)

    def tile(self, index: int, scale: float) -> Tile:
        """The tile as the data set has it, whatever the scale."""
        from tiercel.datasets.pairs import read_tile

        reference, side = self.gallery[self.queries[index].positive], self.sizes.tile_pixels
        pixels = read_tile(reference, side)
        centre = _metres(np.array([_place(reference)]), self._origins[self.group[index]])[0]
        # Where the tile lies is only known with its coordinates, and how far it goes only with its side.
        reach = -1.0 if reference.side_m is None or np.isnan(centre).any() else reference.side_m / 2
        middle = (float(centre[0]), float(centre[1])) if reach >= 0 else (0.0, 0.0)
        return Tile(pixels, np.ones((side, side), bool), middle, reach)


def _place(one: PairQuery | Reference) -> tuple[float, float]:
    """Longitude and latitude in degrees, NaN where unknown."""
    if one.longitude is None or one.latitude is None:
        return (np.nan, np.nan)
    return one.longitude, one.latitude


def _middle(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of those that are known, of (n, 2)."""
    known = places[np.isfinite(places).all(1)]
    return known.mean(0) if len(known) else np.zeros(2)


def _metres(places: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres east and north of an origin, all (n, 2) longitude and latitude; good for the few kilometres of a city."""
    off = np.radians(places - origin) * EARTH_RADIUS_M
    off[:, 0] *= np.cos(np.radians(np.broadcast_to(origin, off.shape)[:, 1]))
    return off


def areas(places: NDArray[np.float64]) -> Indices:
    """Which photos are near each other: a number for each of (n, 2) longitudes and latitudes; unknown ones lie at 0, 0.

    Photos are of one area where a chain of occupied squares of `AREA_DEG` degrees leads from one to the other.
    """
    squares = [(int(x), int(y)) for x, y in np.floor(np.nan_to_num(places) / AREA_DEG)]
    area: dict[tuple[int, int], int] = {}
    occupied = set(squares)
    for square in sorted(occupied):
        number, reached = len(set(area.values())), [square]
        while reached:
            x, y = reached.pop()
            if (x, y) in area or (x, y) not in occupied:
                continue
            area[x, y] = number
            reached += [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    return np.array([area[square] for square in squares], np.int64)


def open_pair_sources(recipe: Recipe) -> tuple[DatasetPairs, DatasetPairs]:
    """The pairs to train on and those to watch progress on, all from the split ``train`` of a recipe's data set.

    The other splits are for tests that are reported, so that nothing is chosen by them.

    Raises:
        TiercelError: there is no such data set, or it has nothing to train on.
    """
    from tiercel.datasets.pairs import open_pairs

    data = open_pairs(recipe.data, layout=recipe.layout or None, area=recipe.area, labels=recipe.labels)
    split = data.split("train")
    tiles = sorted({query.positive for query in split.queries})
    if len(tiles) < 2:
        raise TiercelError(f"{recipe.data} has {len(tiles)} tiles to train on: at least 2 are needed.")
    aside = max(1, round(len(tiles) * HELD_OUT))
    watched = set(np.random.default_rng(recipe.seed).permutation(tiles)[:aside].tolist())
    parts = (
        [query for query in split.queries if query.positive not in watched],
        [query for query in split.queries if query.positive in watched],
    )
    config = dataclasses.replace(recipe.model, heads=("embedding",))
    train, validation = (DatasetPairs(part, split.gallery, config) for part in parts)
    return train, validation
