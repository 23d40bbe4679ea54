import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.errors import TiercelError
from tiercel.geo import Frame


@given(st.floats(-80, 84), st.floats(-180, 179.999))
def test_utm_round_trip_anywhere(latitude: float, longitude: float) -> None:
    frame = Frame.of("EPSG:4326", latitude, longitude)
    x, y = frame.from_wgs84(latitude, longitude)
    assert 100_000 < x < 900_000
    back = frame.to_wgs84(x, y)
    assert np.allclose(back[0], latitude, atol=1e-8)
    assert np.isclose((back[1] - longitude + 180) % 360, 180, atol=1e-7)


@given(st.floats(38.8, 39.0), st.floats(-77.1, -76.9))
def test_state_plane_round_trip(latitude: float, longitude: float) -> None:
    frame = Frame("EPSG:26985")
    assert np.allclose(frame.to_wgs84(*frame.from_wgs84(latitude, longitude)), (latitude, longitude), atol=1e-8)


def test_order_is_latitude_longitude_and_x_east() -> None:
    frame = Frame("EPSG:32632")
    x, y = frame.from_wgs84(46.0, 9.0)  # on the central meridian
    assert abs(float(x) - 500_000) < 0.01 and 5.0e6 < y < 5.2e6
    latitude, longitude = frame.to_wgs84([500_000.0, 501_000.0], [y, y])
    assert np.allclose(latitude, 46.0, atol=1e-4) and longitude[1] > longitude[0]


def test_inputs_are_left_alone() -> None:
    x, y = np.array([500_000.0]), np.array([5_000_000.0])
    Frame("EPSG:32632").to_wgs84(x, y)
    assert x[0] == 500_000.0 and y[0] == 5_000_000.0


@pytest.mark.parametrize(
    ("crs", "place", "name"),
    [
        ("EPSG:4326", (46.3, 7.97), "EPSG:32632"),
        (4326, (-33.9, 151.2), "EPSG:32756"),
        ("EPSG:3857", (38.9, -77.0), "EPSG:32618"),
        ("EPSG:3857", (0.1, 6.7), "EPSG:32632"),
        ("EPSG:2263", (40.7, -74.0), "EPSG:32618"),  # New York, feet
        ("EPSG:3347", (62.45, -114.4), "EPSG:32611"),  # Canada in one cone, metres 3 % off
        ("EPSG:26985", (38.9, -77.0), "EPSG:26985"),
        ("EPSG:2056", (46.3, 7.97), "EPSG:2056"),
        ("EPSG:27700", None, "EPSG:27700"),
        ("EPSG:25832+7837", (51.0, 9.0), "EPSG:25832"),  # with heights
        ("EPSG:4326", (10.0, 180.0), "EPSG:32601"),
    ],
)
def test_a_frame_has_true_metres(crs: object, place: tuple[float, float] | None, name: str) -> None:
    assert Frame.of(crs, *(place or (None, None))).name == name


def test_rasterio_crs_is_understood() -> None:
    crs = pytest.importorskip("rasterio.crs").CRS.from_epsg(32633)
    assert Frame.of(crs).name == "EPSG:32633"


def test_a_system_without_a_code_is_named_by_its_wkt() -> None:
    frame = Frame.of("+proj=tmerc +lat_0=46 +lon_0=8 +x_0=1000 +ellps=WGS84 +units=m", 46.1, 8.1)
    assert "Transverse" in frame.name
    assert np.allclose(frame.to_wgs84(*frame.from_wgs84(46.1, 8.1)), (46.1, 8.1))


@pytest.mark.parametrize("crs", ["EPSG:99999", "nonsense", 'LOCAL_CS["garden",UNIT["metre",1]]'])
def test_unknown_systems_are_named_in_the_error(crs: str) -> None:
    with pytest.raises(TiercelError, match=r"EPSG:32633"):
        Frame.of(crs, 46.0, 8.0)


def test_degrees_without_a_place_are_refused() -> None:
    with pytest.raises(TiercelError, match="not in metres"):
        Frame.of("EPSG:3857")


def test_between_two_systems_and_back() -> None:
    frame = Frame("EPSG:32632")
    x, y = np.array([420_000.0, 430_000.0]), np.array([5_129_000.0, 5_130_000.0])
    assert np.allclose(frame.from_crs("EPSG:3857", *frame.to_crs("EPSG:3857", x, y)), (x, y), atol=1e-4)


def test_geo_needs_numpy_alone() -> None:
    code = "import sys, tiercel.geo; print([m for m in ('pyproj', 'rasterio', 'torch') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_grid_north_leans_east_of_true_north_east_of_the_central_meridian() -> None:
    # On the sphere: tan(convergence) = tan(longitude - central meridian) sin(latitude).
    frame = Frame("EPSG:32633")
    x, y = (float(value) for value in frame.from_wgs84(47.0, 17.0))
    expected = math.degrees(math.atan(math.tan(math.radians(2.0)) * math.sin(math.radians(47.0))))
    assert frame.convergence(x, y) == pytest.approx(expected, abs=0.01)
    assert frame.convergence(500_000.0, y) == pytest.approx(0.0, abs=1e-4)
