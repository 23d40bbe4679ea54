"""Colours of the ground and of roofs as seen from above."""

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim.daylight import inside, lit, sunlight, sunlight_above

LIGHT = np.array([0.4, 1.0, 1.0, 0.0])  # a sky of 0.4, tinted shade, summer, no snow


def test_shade_is_darker_and_bluer_and_what_faces_the_sun_brighter() -> None:
    sun, shade, steep = (lit(100.0, 100.0, 100.0, share, facing, LIGHT) for share, facing in ((1, 1), (0, 1), (1, 1.5)))
    assert shade[1] == pytest.approx(40.0) and sun[1] == pytest.approx(100.0) and steep[1] == pytest.approx(130.0)
    assert shade[2] > shade[1] > shade[0]


def test_the_distance_to_the_nearest_wall_is_negative_outside() -> None:
    world = handmade([(50.0, 60.0, 70.0, 70.0, 8.0)])
    distances = [inside(world.parts, world.corners, 0, x, 65.0) for x in (53.0, 60.0, 69.0, 72.0)]
    assert distances == pytest.approx([3.0, 5.0, 1.0, -2.0], abs=1e-3)


def test_shadow_ends_softly_on_the_ground_and_a_roof_rises_out_of_it() -> None:
    shadow, ground = np.zeros((6, 6), np.float32), np.full((6, 6), 5.0, np.float32)
    shadow[:, :3] = 4.0
    assert [sunlight(shadow, col, 2.0) for col in (1.0, 2.5, 3.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert [sunlight_above(shadow, ground, 1.0, 2.0, height) for height in (8.0, 9.5)] == pytest.approx([0.0, 1.0])
