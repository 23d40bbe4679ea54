import dataclasses

import numpy as np
import pytest

from tests.training.conftest import CONFIG, SIDE_M, address, coded_strips, make_city
from tiercel.models.config import EmbeddingConfig
from tiercel.training.cities import TrainingCity, shrunk
from tiercel.training.pairs import EDGE_M, CityPairs, resized

SIZES = EmbeddingConfig(width=16, tile_pixels=64, tile_m=62.5)
PAIRS = dataclasses.replace(CONFIG, heads=("embedding",), embedding=SIZES)
PIXEL = 62.5 / 64


def city_with(positions, seed=0) -> TrainingCity:
    """Photos at positions east and south of the corner."""
    city = make_city(seed, 1)
    places = np.array(positions, np.float32)
    return dataclasses.replace(city, positions=places, strips=coded_strips(len(places)))


def test_a_tile_shows_the_cell_that_the_photo_was_taken_in(cities) -> None:
    source = CityPairs(cities, PAIRS)
    assert len(source) == 400
    for index in (0, 17, 199, 200, 333):
        tile = source.tile(index, 1.0)
        centre = np.array([tile.centre[0], -tile.centre[1]])
        assert tile.covered.all()
        assert ((centre / 31.25) % 1 == 0.5).all()  # the middle of a leaf, not of the photo
        assert np.abs(source.positions[index] - tile.centre).max() <= 31.25 / 2
        assert tile.reach == 31.25 / 2 + EDGE_M
        # What is painted there says where it is.
        for row, column in ((0, 0), (31, 40), (63, 63)):
            expected = centre - 31.25 + (np.array([column, row]) + 0.5) * PIXEL
            assert address(tile.pixels[row, column], PIXEL) == pytest.approx(expected, abs=1e-6)
    photo = source.view(200)
    assert photo.around and photo.start == 0 and (photo.strip[..., 1] == 0).all()


def test_a_tile_of_another_scale_shows_more_around_a_larger_cell(city) -> None:
    source = CityPairs([city], PAIRS)
    for index in range(5):
        tile = source.tile(index, 2.0)
        centre = np.array([tile.centre[0], -tile.centre[1]])
        assert ((centre / 62.5) % 1 == 0.5).all()
        assert np.abs(source.positions[index] - tile.centre).max() <= 62.5 / 2
        assert tile.reach == 62.5 / 2 + EDGE_M
        left, top = np.round((centre - 62.5) / PIXEL).astype(int)
        if min(left, top) >= 0 and max(left, top) + 128 <= 2048:
            expected = shrunk(city.overhead[2][top : top + 128, left : left + 128], 2)
            assert np.abs(tile.pixels.astype(int) - expected).max() <= 1
    # Scales beyond what is rendered finely come from the coarser pictures.
    assert source.tile(0, 8.0).pixels.shape == (64, 64, 3)


def test_beyond_the_edge_nothing_is_covered() -> None:
    source = CityPairs([city_with([(3.0, SIDE_M - 3.0)])], PAIRS)
    tile = source.tile(0, 1.0)
    assert tile.centre == (15.625, -(SIDE_M - 15.625))
    assert not tile.covered[:, :16].any() and not tile.covered[48:].any()
    assert tile.covered[:48, 16:].all()
    assert (tile.pixels[~tile.covered] == 0).all()


def test_photos_of_one_cell_share_a_tile() -> None:
    """Leaves are 31.25 m wide."""
    positions = [(10, 10), (30, 30), (32, 10), (10, 32), (1000, 10)]
    source = CityPairs([city_with(positions), city_with(positions[:2])], PAIRS)
    one, other = source.identity[:5], source.identity[5:]
    assert one[0] == one[1]
    assert len(set(one.tolist())) == 4
    assert other[0] == other[1] and other[0] not in one
    assert source.group.tolist() == [0] * 5 + [1] * 2
    np.testing.assert_allclose(source.positions[3], (10, -32))


def test_rivals_are_photos_of_the_cell_or_just_beside_it() -> None:
    # The first two in one cell; the third 4 m beyond its edge; the fourth in the next cell, but 20 m beyond; the fifth
    # in a third cell, 3 m beyond its own edge and so at home in the cell of the fourth.
    positions = [(10, 10), (20, 20), (35.25, 10), (51.25, 20), (65.5, 20)]
    source = CityPairs([city_with(positions), city_with(positions)], PAIRS)
    expected = [{0, 1, 2}, {0, 1, 2}, {0, 1, 2, 3, 4}, {2, 3, 4}, {2, 3, 4}]
    for index, rivals in enumerate(expected):
        assert set(source.rivals(index).tolist()) == rivals, index
        assert set(source.rivals(index + 5).tolist()) == {one + 5 for one in rivals}


def test_pictures_are_brought_to_the_side_of_a_tile() -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:64] = 200
    covered = np.ones((128, 128), bool)
    covered[:, 100:] = False
    small, seen = resized(pixels, covered, SIZES)
    assert (small[:32] == 200).all() and (small[32:] == 0).all()
    assert seen[:, :50].all() and not seen[:, 50:].any()
    same, _ = resized(small, seen, SIZES)
    assert same is small
