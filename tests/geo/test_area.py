import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.errors import TiercelError
from tiercel.geo import Area, Frame, Square, ZoomTree

FRAME = Frame("EPSG:32633")
WEST, SOUTH = 500_000.0, 5_200_000.0


def ring(*corners: tuple[float, float]) -> list:
    """A closed GeoJSON ring of corners in metres from (WEST, SOUTH)."""
    x, y = np.array([*corners, corners[0]], float).T
    latitude, longitude = FRAME.to_wgs84(WEST + x, SOUTH + y)
    return np.stack([longitude, latitude], -1).tolist()


SQUARE = ring((0, 0), (100, 0), (100, 100), (0, 100))
HOLE = ring((40, 40), (60, 40), (60, 60), (40, 60))
TRIANGLE = ring((200, 0), (300, 0), (200, 100))


def written(tmp_path, content) -> str:
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(content))
    return str(path)


def inside(area, x, y) -> list[bool]:
    return area.contains(WEST + np.array(x, float), SOUTH + np.array(y, float)).tolist()


def test_a_polygon_with_a_hole(tmp_path) -> None:
    area = Area.parse(written(tmp_path, {"type": "Polygon", "coordinates": [SQUARE, HOLE]}), FRAME)
    assert inside(area, [50, 30, 50, -1, 101, 50, 99], [50, 50, 39, 50, 50, 101, 99]) == [
        False, True, True, False, False, False, True,
    ]  # fmt: skip
    assert area.contains(np.full((2, 3), WEST + 10), np.full((2, 3), SOUTH + 10)).shape == (2, 3)


@pytest.mark.parametrize("kind", ["MultiPolygon", "Feature", "FeatureCollection", "GeometryCollection"])
def test_wherever_the_polygons_are(tmp_path, kind) -> None:
    multi = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [TRIANGLE]]}
    feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": multi}
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [15.0, 47.0]}}
    nothing = {"type": "Feature", "geometry": None}
    content = {
        "MultiPolygon": multi,
        "Feature": feature,
        "FeatureCollection": {"type": "FeatureCollection", "features": [point, nothing, feature]},
        "GeometryCollection": {"type": "GeometryCollection", "geometries": [multi]},
    }[kind]
    area = Area.parse(written(tmp_path, content), FRAME)
    assert inside(area, [10, 50, 210, 290, 150], [10, 50, 10, 90, 50]) == [True, False, True, False, False]


def test_polygons_that_overlap_are_joined(tmp_path) -> None:
    other = ring((50, 50), (150, 50), (150, 150), (50, 150))
    area = Area.parse(written(tmp_path, {"type": "MultiPolygon", "coordinates": [[SQUARE], [other]]}), FRAME)
    assert inside(area, [75, 25, 125, 25], [75, 25, 125, 125]) == [True, True, True, False]


def test_rings_need_not_be_closed_and_may_have_heights(tmp_path) -> None:
    open_ring = [[*point, 320.0] for point in SQUARE[:-1]]
    area = Area.parse(written(tmp_path, {"type": "Polygon", "coordinates": [open_ring]}), FRAME)
    assert inside(area, [50, 150], [50, 50]) == [True, False]


def test_edges_are_straight_in_degrees(tmp_path) -> None:
    """Along a parallel of 400 km the frame's straight line is off by kilometres."""
    box = [[12.0, 60.0], [18.0, 60.0], [18.0, 60.1], [12.0, 60.1], [12.0, 60.0]]
    area = Area.parse(written(tmp_path, {"type": "Polygon", "coordinates": [box]}), FRAME)
    for latitude, expected in ((59.9999, False), (60.0001, True), (60.0999, True), (60.1001, False)):
        longitude = np.linspace(12.01, 17.99, 50)
        found = area.contains(*FRAME.from_wgs84(np.full(50, latitude), longitude))
        assert (found == expected).all()


@given(st.integers(0, 2**32 - 1), st.integers(3, 9))
def test_as_counting_crossings_one_by_one(seed, corners) -> None:
    rng = np.random.default_rng(seed)
    rings = tuple(rng.uniform(0, 10, (corners, 2)).round(int(rng.integers(0, 3))) for _ in range(2))
    x, y = rng.uniform(-1, 11, (2, 40))
    found = Area("two rings", (rings,)).contains(x, y)
    for point in range(40):
        crossings = 0
        for points in rings:
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
                if min(y0, y1) <= y[point] < max(y0, y1):
                    crossings += x[point] < x0 + (x1 - x0) / (y1 - y0) * (y[point] - y0)
        assert found[point] == crossings % 2


def test_a_circle() -> None:
    latitude, longitude = (float(v) for v in FRAME.to_wgs84(WEST + 500, SOUTH + 500))
    area = Area.parse(f"{latitude},{longitude},120", FRAME)
    angle = np.radians(np.arange(0, 360, 7.3))
    for radius, expected in ((119.9, True), (120.1, False)):
        found = inside(area, 500 + radius * np.sin(angle), 500 + radius * np.cos(angle))
        assert set(found) == {expected}
    assert not area.contains(0.0, 0.0)


def test_cells_that_an_area_reaches() -> None:
    tree = ZoomTree(Square(WEST + 80, SOUTH + 80, 160.0), 2, 4)  # cells of 10 m
    reached = Area.circle(*(float(v) for v in FRAME.to_wgs84(WEST + 75, SOUTH + 85)), 3.0, FRAME).cells(tree, 4)
    assert np.flatnonzero(reached).tolist() == [int(tree.flat(4, *tree.cell_at(WEST + 75, SOUTH + 85, 4)))]
    reached = Area("a", ((np.array([[WEST + 21, SOUTH - 500], [WEST + 39, SOUTH - 500], [WEST + 39, SOUTH + 42.0],
                                    [WEST + 21, SOUTH + 42.0]]),),)).cells(tree, 4).reshape(16, 16)  # fmt: skip
    expected = np.zeros((16, 16), np.bool_)
    expected[11:, 2:4] = True
    np.testing.assert_array_equal(reached, expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "Point", "coordinates": [15, 47]}, "holds no polygon"),
        ({"type": "FeatureCollection", "features": []}, "holds no polygon"),
        ([1, 2], "holds no polygon"),
        ({"type": "Polygon", "coordinates": []}, "holds no polygon"),
        ({"type": "Polygon", "coordinates": [[[15, 47], [16, 47]]]}, "a polygon that is none: each ring needs three"),
        ({"type": "Polygon", "coordinates": [[15, 47, 16, 48]]}, "a polygon that is none"),
        ({"type": "Polygon", "coordinates": [[["a", 1], [2, 3], [4, 5]]]}, "a polygon that is none"),
        (
            {"type": "Polygon", "coordinates": [[[500000, 5.2e6], [500100, 5.2e6], [500100, 5.3e6]]]},
            r"holds 500000, 5.2e\+06, which is no longitude and latitude; save it in degrees of WGS84",
        ),
        (
            {"type": "Polygon", "coordinates": [[[47, 150], [47, 151], [48, 151]]]},
            "holds 47, 150, which is no longitude and latitude; the order is longitude, latitude",
        ),
    ],
)
def test_files_that_hold_no_area(tmp_path, content, message) -> None:
    with pytest.raises(TiercelError, match=message):
        Area.parse(written(tmp_path, content), FRAME)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.geojson", r"There is no file nowhere.geojson; give a GeoJSON file with a polygon, or LAT,LON,METRES"),
        ("47,15", "47,15 is no area; give LAT,LON,METRES"),
        ("47,15,0", "out of range; the order is LAT,LON,METRES"),
        ("147,15,10", "out of range"),
        ("47,15,inf", "out of range"),
        ("47,nan,10", "out of range"),
    ],
)
def test_texts_that_are_no_area(text, message) -> None:
    with pytest.raises(TiercelError, match=message):
        Area.parse(text, FRAME)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{", b""])
def test_a_file_that_is_no_json(tmp_path, content) -> None:
    (tmp_path / "area.geojson").write_bytes(content)
    with pytest.raises(TiercelError, match=r"area\.geojson is no GeoJSON"):
        Area.parse(str(tmp_path / "area.geojson"), FRAME)
