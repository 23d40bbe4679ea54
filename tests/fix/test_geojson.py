"""GeoJSON by the rules of RFC 7946."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tiercel.fix import Fix
from tiercel.geo import Frame


def _signed_area(ring: np.ndarray) -> float:
    x, y = ring[:-1, 0], ring[:-1, 1]
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_features_and_their_order(fix: Fix) -> None:
    collection = fix.to_geojson()
    json.dumps(collection, allow_nan=False)
    assert collection["type"] == "FeatureCollection" and "crs" not in collection
    roles = [feature["properties"]["role"] for feature in collection["features"]]
    assert roles == ["best", "circle", "circle", "candidate", "candidate"]
    point = collection["features"][0]
    assert point["geometry"] == {
        "type": "Point",
        "coordinates": pytest.approx([fix.longitude, fix.latitude], abs=1e-8),
    }


def test_rings_are_closed_and_counter_clockwise(fix: Fix) -> None:
    for feature in fix.to_geojson()["features"][1:]:
        (ring,) = feature["geometry"]["coordinates"]
        assert feature["geometry"]["type"] == "Polygon" and ring[0] == ring[-1] and len(ring) >= 5
        assert _signed_area(np.array(ring)) > 0


def test_circles_have_their_radius_and_cells_their_corners(fix: Fix) -> None:
    features = fix.to_geojson()["features"]
    frame = Frame(fix.crs)
    for feature, radius in zip(features[1:3], (20.0, 740.0), strict=True):
        ring = np.array(feature["geometry"]["coordinates"][0])
        x, y = frame.from_wgs84(ring[:, 1], ring[:, 0])
        assert np.hypot(x - fix.x, y - fix.y) == pytest.approx(radius, abs=0.01)
        assert feature["properties"]["radius_m"] == radius
    ring = np.array(features[4]["geometry"]["coordinates"][0])
    x, y = frame.from_wgs84(ring[:, 1], ring[:, 0])
    west, south, east, north = fix.tree.square(3, 50, 10).bounds
    assert (x.min(), y.min(), x.max(), y.max()) == pytest.approx((west, south, east, north), abs=0.01)
    assert features[4]["properties"]["rank"] == 2 and "heading" not in features[4]["properties"]


def test_an_unknown_radius_draws_no_circle(fix: Fix) -> None:
    collection = replace(fix, radius_90_m=float("inf"), heading=None).to_geojson()
    json.dumps(collection, allow_nan=False)
    assert [feature["properties"].get("share") for feature in collection["features"]].count(0.9) == 0
    assert collection["features"][0]["properties"]["radius_90_m"] is None
