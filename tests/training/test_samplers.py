import dataclasses

import numpy as np
import pytest

from tests.training.conftest import small_stage
from tests.training.test_pairs import PAIRS, city_with
from tiercel.errors import TiercelError
from tiercel.training.pairs import CityPairs
from tiercel.training.samplers import (
    batches_of_epoch,
    chosen_neighbours,
    embedding_neighbours,
    geographic_neighbours,
    members_of_epoch,
)


class Line:
    """Pairs on a line, at given metres; those with the same tile are rivals."""

    def __init__(self, places, tiles=None, group=None) -> None:
        self.positions = np.stack([np.array(places, float), np.zeros(len(places))], 1)
        self.identity = np.array(tiles if tiles is not None else range(len(places)))
        self.group = np.array(group if group is not None else [0] * len(places))
        self.semi_positives = [()] * len(places)

    def __len__(self) -> int:
        return len(self.identity)

    def rivals(self, index) -> np.ndarray:
        return np.nonzero(self.identity == self.identity[index])[0]


def test_geographic_neighbours_worked_out_by_hand() -> None:
    """Two cities; the first two photos share a tile and are never each other's neighbours."""
    source = Line([0, 1, 10, 12, 30, 5, 6], tiles=[0, 0, 1, 2, 3, 4, 5], group=[0, 0, 0, 0, 0, 1, 1])
    found = geographic_neighbours(source, 3)
    assert found.dtype == np.int32
    assert found.tolist() == [
        [2, 3, 4], [2, 3, 4], [3, 1, 0], [2, 1, 0], [3, 2, 1], [6, -1, -1], [5, -1, -1],
    ]  # fmt: skip


def test_geographic_neighbours_need_coordinates() -> None:
    with pytest.raises(TiercelError, match=r"without coordinates.*set sampling: random, or dynamic with gps_epochs: 0"):
        geographic_neighbours(Line([0, np.nan, 3]), 2)


def test_embedding_neighbours_worked_out_by_hand() -> None:
    """Photos point where their tiles do, but for the third, whose tile looks like the first's photo."""
    angles = np.radians([5, 90, 10, 180, 40])
    tiles = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    source = Line(range(6), tiles=[0, 1, 2, 3, 4, 4])
    members = np.array([0, 1, 2, 3, 5])
    found = embedding_neighbours(tiles, tiles, members, source, 3)
    assert found.tolist() == [
        [2, 5, 1], [5, 2, 0], [0, 5, 1], [1, 5, 2], [-1, -1, -1], [2, 0, 1],
    ]  # fmt: skip
    # A photo that takes another's tile for its own has that one's pair as its nearest, its own never.
    photos = tiles.copy()
    photos[0] = tiles[3]
    assert embedding_neighbours(photos, tiles, members, source, 2)[0].tolist() == [3, 1]


def test_half_of_the_chosen_are_the_nearest_and_half_are_drawn() -> None:
    pool = np.arange(100, 128, dtype=np.int32)
    seen = set()
    for seed in range(40):
        found = chosen_neighbours(pool, 8, np.random.default_rng(seed)).tolist()
        assert found[:4] == [100, 101, 102, 103]
        assert len(set(found)) == 8 and set(found[4:]) <= set(range(104, 128))
        seen.update(found[4:])
    assert seen == set(range(104, 128))
    few = chosen_neighbours(np.array([5, 6, 7, -1, -1], np.int32), 8, np.random.default_rng(0))
    assert few.tolist() == [5, 6, 7]
    assert chosen_neighbours(np.array([-1, -1], np.int32), 8, np.random.default_rng(0)).tolist() == []


def test_an_epoch_takes_every_pair_once() -> None:
    source = Line(range(20))
    batches = batches_of_epoch(source, np.arange(20), 5, None, 0, np.random.default_rng(0))
    assert batches.shape == (4, 5)
    assert sorted(batches.flatten().tolist()) == list(range(20))
    other = batches_of_epoch(source, np.arange(20), 5, None, 0, np.random.default_rng(1))
    assert (batches != other).any()
    assert batches_of_epoch(source, np.arange(19), 5, None, 0, np.random.default_rng(0)).shape == (3, 5)


def test_neighbours_come_along() -> None:
    """Four clusters of five: with neighbours every batch is a cluster, in the order of who is nearest."""
    source = Line([100 * cluster + place for cluster in range(4) for place in (0, 1, 3, 6, 10)])
    near = geographic_neighbours(source, 4)
    batches = batches_of_epoch(source, np.arange(20), 5, near, 4, np.random.default_rng(3))
    for batch in batches:
        assert len(set((batch // 5).tolist())) == 1
        assert batch[1:3].tolist() == near[batch[0], :2].tolist()
        assert sorted(batch[1:].tolist()) == sorted(near[batch[0]].tolist())
    # Two chosen of the four: a batch is made of two seeds with two neighbours each, as far as these are still free.
    batches = batches_of_epoch(source, np.arange(20), 6, near, 2, np.random.default_rng(3))
    first = batches[0]
    assert first[1] == near[first[0], 0] and first[2] in near[first[0], 1:]
    assert first[0] // 5 == first[2] // 5
    assert sorted(batches.flatten().tolist()) == sorted(set(batches.flatten().tolist()))


def test_no_rivals_meet() -> None:
    source = Line(range(24), tiles=[n // 2 for n in range(24)])
    near = geographic_neighbours(source, 8)
    for neighbours in (None, near):
        for seed in range(5):
            batches = batches_of_epoch(source, np.arange(24), 8, neighbours, 6, np.random.default_rng(seed))
            assert batches.shape == (3, 8)
            for batch in batches:
                assert len(set(source.identity[batch].tolist())) == 8


def test_what_fits_nowhere_is_made_up_for() -> None:
    """Eight photos of one tile and four others, in batches of three: some of the others come again."""
    source = Line(range(12), tiles=[0] * 8 + [1, 2, 3, 4])
    batches = batches_of_epoch(source, np.arange(12), 3, None, 0, np.random.default_rng(0))
    assert batches.shape == (4, 3)
    for batch in batches:
        assert len(set(source.identity[batch].tolist())) == 3
    assert len(set(batches.flatten().tolist()) & set(range(8))) >= 3


def test_too_few_places_for_a_batch() -> None:
    source = Line(range(12), tiles=[n % 3 for n in range(12)])
    with pytest.raises(TiercelError, match=r"no 4 pairs of 12 belong to different places: set pairs_per_batch to less"):
        batches_of_epoch(source, np.arange(12), 4, None, 0, np.random.default_rng(0))


def test_neighbours_in_a_city_stand_in_other_cells() -> None:
    rng = np.random.default_rng(0)
    source = CityPairs([city_with(rng.uniform(20, 400, (60, 2))), city_with(rng.uniform(20, 400, (40, 2)))], PAIRS)
    near = geographic_neighbours(source, 10)
    for index, row in enumerate(near.tolist()):
        assert len(set(row)) == 10
        assert (source.group[row] == source.group[index]).all()
        rivals = set(source.rivals(index).tolist())
        assert not set(row) & rivals
        away = np.linalg.norm(source.positions - source.positions[index], axis=1)
        away[list(rivals)] = np.inf
        away[source.group != source.group[index]] = np.inf
        assert away[row].tolist() == sorted(away)[:10]


def test_pairs_of_an_epoch() -> None:
    stage = small_stage(pairs_per_epoch=7)
    whole = dataclasses.replace(stage, pairs_per_epoch=0)
    assert members_of_epoch(10, whole, 0, 3).tolist() == list(range(10))
    assert members_of_epoch(5, stage, 0, 3).tolist() == list(range(5))
    drawn = [members_of_epoch(20, stage, 1, epoch) for epoch in range(20)]
    assert all(len(set(one.tolist())) == 7 for one in drawn)
    for first in range(0, 20, 2):  # a pass is two epochs, and six pairs wait for the next
        assert not set(drawn[first].tolist()) & set(drawn[first + 1].tolist())
    assert (np.bincount(np.concatenate(drawn), minlength=20) > 0).all()
    assert (members_of_epoch(20, stage, 1, 4) == drawn[4]).all()
    assert (members_of_epoch(20, stage, 2, 4) != drawn[4]).any()
