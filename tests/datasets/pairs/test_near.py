"""Which tiles are near which photos."""

import numpy as np
import pytest

from tiercel.datasets.pairs.near import metres_per_pixel, near, nearest, plane
from tiercel.geo.sphere import haversine_m


def test_a_pixel_of_a_web_map() -> None:
    assert metres_per_pixel(0.0, 0) == pytest.approx(156_543.034, abs=1e-3)
    assert metres_per_pixel(60.0, 20) == pytest.approx(156_543.034 / 2 / 2**20)


def test_the_plane_is_the_sphere_close_by() -> None:
    x, y = plane([48.0, 48.004], [2.0, 2.005], 48.0)
    assert np.hypot(x[1] - x[0], y[1] - y[0]) == pytest.approx(float(haversine_m(48.0, 2.0, 48.004, 2.005)), rel=1e-4)
    assert x[1] > x[0] and y[1] > y[0]


def test_near_and_nearest_agree_with_comparing_all_with_all(monkeypatch) -> None:
    rng = np.random.default_rng(3)
    x, y, to_x, to_y = (rng.uniform(0, 100, count) for count in (40, 40, 70, 70))
    found = near(x, y, to_x, to_y, 12.0)
    inside = (np.abs(x[:, None] - to_x) <= 12) & (np.abs(y[:, None] - to_y) <= 12)
    assert [row.tolist() for row in found] == [np.flatnonzero(row).tolist() for row in inside]
    assert {len(row) for row in found} != {0}
    monkeypatch.setattr("tiercel.datasets.pairs.near._ALL_AT_ONCE", 150)
    apart = np.hypot(x[:, None] - to_x, y[:, None] - to_y)
    assert nearest(x, y, to_x, to_y).tolist() == apart.argmin(1).tolist()
    assert nearest(x[:0], y[:0], to_x, to_y).shape == (0,)


def test_the_edge_counts_as_near() -> None:
    assert near(np.zeros(1), np.zeros(1), np.array([5.0, 5.1]), np.array([-5.0, 0.0]), 5.0)[0].tolist() == [0]
