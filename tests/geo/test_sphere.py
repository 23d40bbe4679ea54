import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.maps import package
from tiercel.geo.sphere import EARTH_RADIUS_M, haversine_m, move_from_latlon

PLACES = st.tuples(st.floats(-80, 80), st.floats(-180, 180), st.floats(0, 360), st.floats(0, 50_000))


@given(PLACES)
def test_a_move_ends_as_far_away_as_it_is_long_and_backwards_leads_the_other_way(place) -> None:
    latitude, longitude, bearing, metres = place
    there = move_from_latlon(latitude, longitude, bearing, metres)
    assert haversine_m(latitude, longitude, *there) == pytest.approx(metres, abs=1e-3)
    assert -180 <= there[1] <= 180
    assert np.allclose(there, move_from_latlon(latitude, longitude, bearing + 180, -metres))


def test_a_degree_of_latitude_and_a_parallel() -> None:
    degree = EARTH_RADIUS_M * math.pi / 180
    assert np.allclose(move_from_latlon(10.0, 20.0, 0.0, degree), (11.0, 20.0))
    assert np.allclose(move_from_latlon(0.0, 179.5, 90.0, degree), (0.0, -179.5))
    assert haversine_m(60.0, 0.0, 60.0, 1e-3) == pytest.approx(degree * 1e-3 / 2)


def test_arrays_broadcast() -> None:
    north, east = move_from_latlon(np.zeros((3, 1)), 5.0, np.array([0.0, 90.0]), 100.0)
    assert north.shape == east.shape == (3, 2)


def test_the_package_says_the_same() -> None:
    rng = np.random.default_rng(0)
    here = np.stack([rng.uniform(-70, 70, 40), rng.uniform(-179, 179, 40)], 1)
    bearing, metres = rng.uniform(0, 360, 40), rng.uniform(-20_000, 20_000, 40)
    theirs = package.run(
        "answer = [geo.move_from_latlon(p, b, m) for p, b, m in zip(here, bearing, metres)]",
        here=here.tolist(), bearing=bearing.tolist(), metres=metres.tolist(),
    )  # fmt: skip
    assert np.allclose(np.stack(move_from_latlon(*here.T, bearing, metres), 1), theirs, rtol=0, atol=1e-11)
    far = package.run("answer = geo.distance(here, there)", here=here.tolist(), there=theirs)
    assert np.allclose(haversine_m(*here.T, *np.array(theirs).T), far, rtol=1e-12, atol=1e-9)
