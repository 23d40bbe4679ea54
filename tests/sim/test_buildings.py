"""Buildings: footprints, roofs and what surrounds them."""

import numpy as np
import pytest

from tiercel.sim.character import District
from tiercel.sim.city import make_world
from tiercel.sim.materials import roof_height
from tiercel.sim.world import Roof, Surface, World


def polygons(world: World) -> list[np.ndarray]:
    return [world.corners[p["start"] : p["start"] + p["count"]] for p in world.parts]


def test_footprints_are_convex_counter_clockwise_and_inside(world: World) -> None:
    assert len(world.parts) > 50
    for polygon in polygons(world):
        edge = np.roll(polygon, -1, axis=0) - polygon
        following = np.roll(edge, -1, axis=0)
        assert (edge[:, 0] * following[:, 1] - edge[:, 1] * following[:, 0]).min() > -0.05
        assert polygon.min() >= 0.0
        assert polygon.max() <= world.size


def test_corners_are_numbered_without_gaps(world: World) -> None:
    assert np.array_equal(world.parts["start"], np.concatenate([[0], np.cumsum(world.parts["count"])[:-1]]))
    assert world.parts["count"].sum() == len(world.corners)
    assert world.parts["count"].min() >= 3


def test_walls_rise_from_the_ground(world: World) -> None:
    assert (world.parts["eave"] > world.parts["base"] + 0.5).all()
    assert (world.parts["rise"] >= 0.0).all()
    for part, polygon in zip(world.parts, polygons(world), strict=True):
        col = np.clip((polygon[:, 0] * 2).astype(int), 0, world.texels - 1)
        row = np.clip(((world.size - polygon[:, 1]) * 2).astype(int), 0, world.texels - 1)
        dry = world.surface[row, col] != Surface.WATER
        if dry.any():
            assert part["base"] <= world.ground[row, col][dry].min() + 0.3


def test_roofs_lie_between_eave_and_ridge(world: World) -> None:
    for index, polygon in enumerate(polygons(world)):
        part = world.parts[index]
        for x, y in (polygon.mean(axis=0), polygon[0], 0.5 * (polygon[0] + polygon[1])):
            height = roof_height(world.parts, index, float(x), float(y))
            assert part["eave"] - 1e-3 <= height <= part["eave"] + part["rise"] + 1e-3


def test_a_gable_has_its_ridge_along_the_axis(world: World) -> None:
    gables = np.flatnonzero((world.parts["roof"] == Roof.GABLE) & (world.parts["rise"] > 1.0))
    assert len(gables)
    for index in gables[:20].tolist():
        part = world.parts[index]
        (cx, cy), (ax, ay) = map(float, part["centre"]), map(float, part["axis"])
        reach, side = 0.5 * float(part["half_length"]), float(part["half_width"])
        ridge = part["eave"] + part["rise"]
        assert roof_height(world.parts, index, cx + ax * reach, cy + ay * reach) == pytest.approx(ridge, abs=0.05)
        assert roof_height(world.parts, index, cx - ay * side, cy + ax * side) == pytest.approx(part["eave"], abs=0.05)


def test_parts_keep_off_streets_and_water(world: World) -> None:
    built = world.building > 0
    blocked = np.isin(world.surface, (Surface.ROAD, Surface.WATER))
    assert (built & blocked).sum() < 0.003 * built.sum()


def test_districts_build_differently() -> None:
    """Old towns are denser and lower than business districts, suburbs sparser than both."""
    share: dict[int, list[float]] = {}
    height: dict[int, list[float]] = {}
    for seed in range(8):
        city = make_world(seed, 500.0)
        style = city.features["style"][city.feature]
        for district in np.unique(style):
            here = (style == district) & (city.features["kind"][city.feature] == 1)
            if here.sum() > 40000:
                share.setdefault(int(district), []).append(float((city.building[here] > 0).mean()))
        for district in np.unique(city.parts["style"]):
            own = city.parts[(city.parts["style"] == district) & (city.parts["facade"] != 8)]
            height.setdefault(int(district), []).extend(own["eave"] - own["base"])
    mean = {district: float(np.mean(values)) for district, values in share.items()}
    tall = {district: float(np.percentile(values, 90)) for district, values in height.items()}
    dense = [mean[d] for d in (District.DOWNTOWN, District.OLD_TOWN, District.INNER) if d in mean]
    sparse = [mean[d] for d in (District.SUBURB, District.VILLAS, District.SLABS, District.PARK) if d in mean]
    assert min(dense) > max(sparse)
    assert tall[District.DOWNTOWN] > 1.5 * tall[District.OLD_TOWN]
