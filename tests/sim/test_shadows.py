"""Shadows fall away from the sun."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tiercel.sim.shadows import cast_shadows
from tiercel.sim.world import PART, PLANT, World


@pytest.fixture(scope="module")
def tower(world: World) -> World:
    """A flat square with a tower of 20 m, 10 m by 10 m, in its middle."""
    n = 400
    part = np.zeros(1, PART)
    part["count"], part["eave"], part["axis"], part["half_length"], part["half_width"] = 4, 20.0, (1.0, 0.0), 5.0, 5.0
    part["centre"] = (100.0, 100.0)
    building = np.zeros((n, n), np.int32)
    building[190:210, 190:210] = 1
    corners = np.array([(95, 95), (105, 95), (105, 105), (95, 105)], np.float32)
    return replace(
        world, size=200.0, ground=np.zeros((n, n), np.float32), surface=np.zeros((n, n), np.uint8), building=building,
        parts=part, corners=corners, plants=np.zeros(0, PLANT),
    )  # fmt: skip


@pytest.mark.parametrize("azimuth", [0.0, 40.0, 90.0, 135.0, 180.0, 250.0, 300.0])
@pytest.mark.parametrize("elevation", [25.0, 45.0, 70.0])
def test_a_tower_throws_its_shadow_away_from_the_sun(tower: World, azimuth: float, elevation: float) -> None:
    shadow = cast_shadows(tower, math.radians(azimuth), math.radians(elevation))
    east, north = -math.sin(math.radians(azimuth)), -math.cos(math.radians(azimuth))
    length = 20.0 / math.tan(math.radians(elevation))

    def at(distance: float) -> float:
        reach = 5.0 / max(abs(east), abs(north)) + distance
        x, y = 100.0 + east * reach, 100.0 + north * reach
        return float(shadow[int((200.0 - y) * 2.0), int(x * 2.0)])

    for share in (0.1, 0.5, 0.9):
        assert at(share * length) == pytest.approx(
            20.0 * (1.0 - share), abs=0.6 + 0.5 * math.tan(math.radians(elevation))
        )
    assert at(length + 1.5) == 0.0
    assert at(-10.0 / max(abs(east), abs(north)) - 1.5) == 0.0
    assert shadow[200, 200] < 20.0 + 1e-3


def test_trees_cast_shadows_and_bare_ones_less(tower: World) -> None:
    plants = np.zeros(1, PLANT)
    plants["x"], plants["y"], plants["height"], plants["crown"], plants["clear"] = 40.0, 40.0, 10.0, 4.0, 2.0
    grove = replace(tower, plants=plants)
    alone = replace(tower, plants=np.zeros(0, PLANT))
    extra = [
        int((cast_shadows(grove, 3.0, 0.8, season) > 0.0).sum() - (cast_shadows(alone, 3.0, 0.8, season) > 0.0).sum())
        for season in (1.2, 3.2)
    ]
    assert extra[0] > 1.5 * extra[1] > 0
