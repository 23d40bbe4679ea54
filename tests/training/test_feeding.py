"""Which crops and photos a batch is made of."""

import dataclasses

import numpy as np
import pytest

from tests.training.conftest import CONFIG, SIDE_M, make_city
from tiercel.training.feeding import Cut, FixedCities, photos_in

ANYWHERE = Cut(250.0, 40.0, 2.0, 0.0, photos=5, crops=1, least=4, pixel=CONFIG.resolution)
IN_SQUARES = Cut(400.0, 70.0, 1.0, 500.0, photos=5, crops=3, least=4, pixel=CONFIG.resolution)


@pytest.mark.parametrize("cut", [ANYWHERE, IN_SQUARES])
def test_photos_lie_inside_their_crops(cities, cut) -> None:
    for seed in range(20):
        for serving in FixedCities(cities).servings(np.random.default_rng(seed), None, cut, 2):
            for crop in serving.crops:
                assert (crop.corner >= 0).all() and (crop.corner + cut.side <= SIDE_M).all()
                assert set(crop.photos) <= set(crop.members)
                inside = serving.city.positions[crop.photos] - crop.corner
                assert ((inside > cut.margin) & (inside < cut.side - cut.margin)).all()


def test_crops_of_one_city_lie_in_different_squares(cities) -> None:
    for seed in range(20):
        serving = FixedCities(cities).servings(np.random.default_rng(seed), None, IN_SQUARES, 1)[0]
        corners = np.array([crop.corner for crop in serving.crops])
        squares = corners // IN_SQUARES.square
        assert (squares == (corners + IN_SQUARES.side - 1e-6) // IN_SQUARES.square).all()
        assert len({tuple(square) for square in squares}) == 3


def test_cities_of_a_batch_differ_as_far_as_there_are_so_many(cities) -> None:
    for count, different in ((1, 1), (2, 2), (5, 2)):
        served = FixedCities(cities).servings(np.random.default_rng(0), None, ANYWHERE, count)
        assert (len(served) == count and len({serving.city.seed for serving in served}) == different) or count == 5


@pytest.mark.parametrize("cut", [ANYWHERE, IN_SQUARES])
def test_a_crop_around_a_photo_holds_it(cut) -> None:
    city, rng = make_city(3), np.random.default_rng(0)
    reached = np.nonzero(cut.reaches(city))[0]
    assert len(reached) == pytest.approx(cut.reached * len(city.positions), rel=0.25)
    for photo in reached:
        corner = cut.around(city, int(photo), rng)
        assert photo in photos_in(city, corner, cut.side, cut.margin)
        assert np.allclose(corner % cut.grid, 0) and (corner >= 0).all() and (corner + cut.side <= SIDE_M).all()
        if cut.square:
            assert cut.same_square(city, corner)[photo]


def test_no_crop_holds_a_photo_out_of_reach() -> None:
    """Whatever the crop."""
    city, rng = make_city(3), np.random.default_rng(1)
    cut = dataclasses.replace(IN_SQUARES, crops=1)
    far = set(np.nonzero(~cut.reaches(city))[0])
    seen = set()
    for _ in range(300):
        seen |= set(FixedCities([city]).servings(rng, None, cut, 1)[0].crops[0].members.tolist())
    # Those within one step of the grid may be held or not.
    edge = 2 * cut.grid
    local = city.positions % cut.square
    sure = {p for p in far if (local[p] < cut.margin - edge).any() or (local[p] > cut.square - cut.margin + edge).any()}
    assert sure and not sure & seen
