import dataclasses
import math

import numpy as np
import pytest

from tiercel.sim.sky import StreetLook, light_of, sky_colour, sky_grid


def test_a_look_is_drawn_from_its_source_alone() -> None:
    first, second = (StreetLook.sample(np.random.default_rng(9)) for _ in range(2))
    assert first == second
    assert first != StreetLook.sample(np.random.default_rng(10))


def test_looks_cover_all_weathers_and_seasons() -> None:
    rng = np.random.default_rng(0)
    looks = [StreetLook.sample(rng) for _ in range(200)]
    assert {look.weather for look in looks} == {"sun", "overcast", "dusk"}
    assert {int(look.season) for look in looks} == {0, 1, 2, 3}


def test_the_sun_stands_where_it_is_said_to() -> None:
    light = light_of(StreetLook(), 90.0, 30.0)
    assert (light.sun_x, light.sun_y, light.sun_z) == pytest.approx((math.cos(math.pi / 6), 0.0, 0.5))


def test_an_overcast_sky_has_no_sun() -> None:
    light = light_of(StreetLook(weather="overcast"), 90.0, 30.0)
    assert light.sun_r == light.sun_g == light.sun_b == 0.0


def test_a_clear_sky_is_bluer_overhead_and_blinding_at_the_sun() -> None:
    light = light_of(StreetLook(clouds=0.0), 180.0, 45.0)
    zenith, horizon = sky_colour(0.0, 1.0, 20.0, light), sky_colour(0.0, 1.0, 0.01, light)
    assert zenith[2] - zenith[0] > horizon[2] - horizon[0] + 40
    assert min(sky_colour(0.0, -1.0, 1.0, light)) > 220


def test_clouds_whiten_the_sky() -> None:
    def mean(clouds: float) -> float:
        light = light_of(dataclasses.replace(StreetLook(), clouds=clouds), 180.0, 20.0)
        return float(np.mean([sky_colour(math.sin(a), math.cos(a), 0.6, light)[0] for a in np.linspace(0, 6, 60)]))

    assert mean(0.95) > mean(0.1) + 15


def test_the_grid_holds_the_sky_at_its_points() -> None:
    light = light_of(StreetLook(), 180.0, 30.0)
    directions = np.array([[math.sin(a), math.cos(a)] for a in np.linspace(0, 1, 13)], np.float32)
    tangents = np.linspace(1.0, -1.0, 13).astype(np.float32)
    grid = sky_grid(directions, tangents, 6, light)
    assert grid[1, 0] == pytest.approx(sky_colour(*directions[6].tolist(), 1.0, light), rel=1e-4)
