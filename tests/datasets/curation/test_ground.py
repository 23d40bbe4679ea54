"""The square of a benchmark, and which photos stand on the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.curation.town import FRAME, MIDDLE, SIDE, SOUTH, WEST, place, write_map
from tiercel.datasets.curation.ground import bounds_in_frame, choose_division, on_map, shares
from tiercel.datasets.justzoomin import cell_centre, outside_m
from tiercel.errors import TiercelError
from tiercel.maps import open_map

LEAF = 39.0625


def positions(*places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([place(*one) for one in places])
    return pairs[:, 0], pairs[:, 1]


def test_photos_stand_on_ground_that_the_map_shows(tmp_path: Path) -> None:
    with open_map(write_map(tmp_path, gap=200.0)) as basemap:
        places = positions((100, 300), (195, 300), (215, 300), (400, 300), (400, SIDE + 5), (400, 50_000), (550, 550))
        assert on_map(basemap, *places, LEAF).tolist() == [False, False, True, True, False, False, True]
        far = (np.array([0.0, 89.9]), np.array([0.0, 179.0]))
        assert on_map(basemap, *far, LEAF).tolist() == [False, False]
        assert on_map(basemap, *positions((400, 300)), LEAF).tolist() == [True]


def test_the_square_is_the_smallest_that_holds_all_photos(tmp_path: Path) -> None:
    with open_map(write_map(tmp_path)) as basemap:
        few = choose_division(basemap, *positions((100, 100), (150, 120)))
        assert (few.side_m, few.depth, few.branching) == (156.25, 1, 4)
        many = choose_division(basemap, *positions((60, 60), (500, 500), (300, 80)))
        assert (many.side_m, many.depth) == (625.0, 2)
        assert choose_division(basemap, *positions((60, 60), (500, 500)), leaf=10.0).side_m == 640.0
        assert choose_division(basemap, *positions((60, 60), (500, 500)), depth=3).side_m == 2500.0


def test_the_square_lies_on_the_map_where_it_can(tmp_path: Path) -> None:
    with open_map(write_map(tmp_path)) as basemap:
        corner = positions((45, 45), (80, 70))
        division = choose_division(basemap, *corner)
        x, y = FRAME.from_wgs84(division.latitude, division.longitude)
        assert (float(x), float(y)) == pytest.approx((WEST + 78, SOUTH + 78), abs=2)
        assert float(outside_m(*corner, division).max()) == 0
        whole = choose_division(basemap, *corner, depth=2)  # larger than the map, so around its middle
        x, y = FRAME.from_wgs84(whole.latitude, whole.longitude)
        assert (float(x), float(y)) == pytest.approx(MIDDLE, abs=2)


def test_a_centre_may_be_asked_for(tmp_path: Path) -> None:
    with open_map(write_map(tmp_path)) as basemap:
        division = choose_division(basemap, *positions((100, 100), (150, 120)), centre=place(300, 300))
        assert (division.latitude, division.longitude) == pytest.approx(place(300, 300), abs=1e-8)
        assert division.side_m == 625.0


def test_every_photo_of_a_random_town_lies_in_its_square(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with open_map(write_map(tmp_path)) as basemap:
        for spread in (20.0, 110.0, 240.0):
            places = positions(*rng.uniform(280 - spread, 280 + spread, (30, 2)))
            assert float(outside_m(*places, choose_division(basemap, *places)).max()) == 0


def test_photos_of_two_continents_are_too_far_apart(tmp_path: Path) -> None:
    with (
        open_map(write_map(tmp_path)) as basemap,
        pytest.raises(TiercelError, match=r"km apart, too far for one square"),
    ):
        choose_division(basemap, np.array([47.0, 40.0]), np.array([15.0, -100.0]))


def test_shares_agree_with_the_published_cells(tmp_path: Path) -> None:
    with open_map(write_map(tmp_path)) as basemap:
        division = choose_division(basemap, *positions((60, 60), (500, 500)))
        latitude, longitude = cell_centre(np.array([[0, 0], [15, 15], [2, 9]]), division)
        east, south = shares(division, latitude, longitude)
        assert east == pytest.approx([1 / 32, 31 / 32, 19 / 32], abs=1e-4)
        assert south == pytest.approx([1 / 32, 31 / 32, 5 / 32], abs=1e-4)
        west, low, right, top = bounds_in_frame(basemap, division)
        assert (west, low) >= (WEST, SOUTH) and (right, top) <= (WEST + SIDE, SOUTH + SIDE)
