import math

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.errors import TiercelError
from tiercel.sim.street import StreetLook, StreetRenderer
from tiercel.sim.world import World

OVERCAST = StreetLook(weather="overcast", clouds=0.5, haze=0.0)
HOUSE = (90.0, 95.0, 110.0, 105.0, 9.0)  # its south wall stands 15 m north of the eye


def red(picture: np.ndarray) -> np.ndarray:
    """Where the walls and roofs of the handmade houses are: nothing else there is red."""
    return picture[..., 0].astype(int) - picture[..., 1] > 40


@pytest.fixture(scope="module")
def street() -> StreetRenderer:
    return StreetRenderer(handmade([HOUSE]))


@pytest.fixture(scope="module")
def city(world: World) -> StreetRenderer:
    return StreetRenderer(world)


def test_a_wall_stands_at_the_right_columns_and_rows_of_a_cylinder(street: StreetRenderer) -> None:
    picture = street.cylinder(100.0, 80.0, 2.0, 0.0, 256, 720, 1.0, OVERCAST, samples=1)
    columns = np.flatnonzero(red(picture).any(axis=0))
    edge = math.degrees(math.atan2(10.0, 15.0))
    assert columns[0] == pytest.approx((180.0 - edge) * 2, abs=1.5)
    assert columns[-1] == pytest.approx((180.0 + edge) * 2, abs=1.5)
    rows = np.flatnonzero(red(picture)[:, 360])
    assert rows[0] == pytest.approx(128 * (1 - 7.0 / 15.0), abs=1.5)  # the eave, 7 m above the eye
    assert rows[-1] == pytest.approx(128 * (1 + 2.0 / 15.0), abs=2.0)  # the foot, 2 m below it


def test_a_wall_stands_at_the_right_rows_of_a_panorama(street: StreetRenderer) -> None:
    rows = np.flatnonzero(red(street.panorama(100.0, 80.0, 2.0, 0.0, 360, 720, OVERCAST, samples=1))[:, 360])
    assert rows[0] == pytest.approx(180 - 2 * math.degrees(math.atan(7.0 / 15.0)), abs=1.5)
    assert rows[-1] == pytest.approx(180 + 2 * math.degrees(math.atan(2.0 / 15.0)), abs=2.0)


@pytest.mark.parametrize(("heading", "pitch"), [(0.0, 0.0), (10.0, 0.0), (0.0, 8.0)])
def test_a_wall_stands_at_the_right_place_of_a_photograph(street: StreetRenderer, heading: float, pitch: float) -> None:
    picture = street.perspective(100.0, 80.0, 2.0, heading, pitch, 90.0, 300, 400, OVERCAST, samples=1)
    seen = red(picture)
    turn, rise = math.radians(-heading), math.radians(pitch)
    column = round(200 + 200 * math.tan(turn))  # towards the middle of the wall, straight north
    rows = np.flatnonzero(seen[:, column])
    # A point at height h above the eye and 15 m north, in the frame of the tilted camera.
    for row, height in ((rows[0], 7.0), (rows[-1], -2.0)):
        ahead = 15.0 * math.cos(turn)
        depth, up = ahead * math.cos(rise) + height * math.sin(rise), height * math.cos(rise) - ahead * math.sin(rise)
        assert row == pytest.approx(150 - 200 * up / depth, abs=2.5)


def test_a_rolled_camera_turns_the_picture_about_its_middle(street: StreetRenderer) -> None:
    level = street.perspective(100.0, 80.0, 2.0, 0.0, 0.0, 60.0, 256, 256, OVERCAST)
    on_its_side = street.perspective(100.0, 80.0, 2.0, 0.0, 0.0, 60.0, 256, 256, OVERCAST, roll=90.0)
    difference = np.abs(np.rot90(level, 1).astype(int) - on_its_side)
    assert np.median(difference) <= 3 and difference.mean() < 8


def test_a_photograph_agrees_with_the_panorama(city: StreetRenderer) -> None:
    panorama = city.panorama(200.0, 200.0, 2.0, 0.0, 720, 1440, OVERCAST)
    photo = city.perspective(200.0, 200.0, 2.0, 50.0, 12.0, 70.0, 120, 160, OVERCAST, roll=7.0)
    from tiercel.sim.camera import Pinhole

    row, column = np.mgrid[0:120, 0:160]
    forward, right, up = Pinhole(50.0, 12.0, 7.0, 70.0, 120, 160).directions(column + 0.5, row + 0.5)
    azimuth = np.degrees(np.arctan2(right, forward)) + 50.0
    elevation = np.degrees(np.arctan2(up, np.hypot(forward, right)))
    again = panorama[((90.0 - elevation) * 4).astype(int), ((azimuth + 180.0) * 4).astype(int) % 1440]
    assert np.median(np.abs(again.astype(int) - photo)) < 5
    assert np.corrcoef(again.ravel(), photo.ravel())[0, 1] > 0.9


def test_turning_the_heading_rolls_the_panorama(city: StreetRenderer) -> None:
    north = city.cylinder(200.0, 200.0, 2.0, 0.0, 64, 360, 0.8, StreetLook(day=4))
    turned = city.cylinder(200.0, 200.0, 2.0, 90.0, 64, 360, 0.8, StreetLook(day=4))
    difference = np.abs(np.roll(north, -90, axis=1).astype(int) - turned)
    # The grid of the sky is laid anew from the first column, and floats round differently.
    assert np.median(difference) == 0 and difference.mean() < 1.5


def test_the_same_picture_twice(city: StreetRenderer) -> None:
    look = StreetLook.sample(np.random.default_rng(3))
    first = city.perspective(200.0, 200.0, 1.6, 20.0, 3.0, 80.0, 48, 64, look)
    assert np.array_equal(first, city.perspective(200.0, 200.0, 1.6, 20.0, 3.0, 80.0, 48, 64, look))


def test_vehicles_change_with_the_day_and_houses_do_not() -> None:
    slots = [(84.0, 60.0 + 7 * k, 5.0, 0.0, 0) for k in range(10)]
    renderer = StreetRenderer(handmade([(90.0, 60.0, 100.0, 130.0, 12.0)], slots=slots))
    place = (80.0, 80.0, 2.0, 90.0, 64, 256, 0.8)
    days = [renderer.cylinder(*place, StreetLook("overcast", day=day)) for day in (1, 1, 2)]
    assert np.array_equal(days[0], days[1])
    changed = (days[0] != days[2]).any(axis=2)
    assert changed.any()
    assert not changed[:20].any()  # walls and sky above the roofs of cars


def test_nothing_shines_through_a_wall() -> None:
    behind = {
        "slots": [(100.0, 112.0, 5.0, 0.0, 0)],
        "plants": [(100.0, 111.0, 5.0, 6.0, 2.0, 2.0, 0, 0.5, 7)],
        "walkers": [(100.0 + k, 110.0) for k in range(-4, 5)],
    }
    empty, full = StreetRenderer(handmade([HOUSE])), StreetRenderer(handmade([HOUSE], **behind))
    place = (100.0, 80.0, 2.0, 0.0, 0.0, 60.0, 120, 160)
    assert np.array_equal(empty.perspective(*place, OVERCAST), full.perspective(*place, OVERCAST))
    front = (100.0, 130.0, 2.0, 180.0, 0.0, 60.0, 120, 160)
    assert not np.array_equal(empty.perspective(*front, OVERCAST), full.perspective(*front, OVERCAST))


def test_a_low_house_hides_the_foot_of_a_high_one_behind_it() -> None:
    renderer = StreetRenderer(handmade([HOUSE, (95.0, 110.0, 105.0, 120.0, 30.0)]))
    tops = [80.0 * (1 - 28.0 / 30.0), 80.0 * (1 - 7.0 / 15.0)]
    column = red(renderer.cylinder(100.0, 80.0, 2.0, 0.0, 160, 720, 1.0, OVERCAST, samples=1))[:, 360]
    rows = np.flatnonzero(column)
    assert rows[0] == pytest.approx(tops[0], abs=1.5)
    assert column[rows[0] : int(tops[1]) + 20].all()  # one red front without a gap


def test_the_horizon_of_flat_ground_is_level_with_the_eye() -> None:
    renderer = StreetRenderer(handmade())
    picture = renderer.cylinder(80.0, 80.0, 2.0, 0.0, 128, 256, 0.5, OVERCAST, samples=1).astype(int)
    ground_like = picture.max(axis=2) < 160
    assert not ground_like[:64].any()
    assert ground_like[70:].mean() > 0.98


def test_eye_height_counts_from_the_ground_of_the_place() -> None:
    world = handmade([HOUSE])
    world.ground[:] += 3.0
    world.parts["base"] += 3.0
    world.parts["eave"] += 3.0
    place = (100.0, 80.0, 2.0, 0.0, 0.0, 60.0, 60, 80)
    lifted = StreetRenderer(world).perspective(*place, OVERCAST)
    assert np.abs(lifted.astype(int) - StreetRenderer(handmade([HOUSE])).perspective(*place, OVERCAST)).mean() < 0.5


def test_the_sunny_side_of_a_house_is_brighter() -> None:
    renderer = StreetRenderer(handmade([HOUSE]), suns=[(180.0, 40.0)])
    look = StreetLook(haze=0.0, clouds=0.0)
    lit = renderer.perspective(100.0, 80.0, 2.0, 0.0, 10.0, 30.0, 40, 40, look)
    shaded = renderer.perspective(100.0, 120.0, 2.0, 180.0, 10.0, 30.0, 40, 40, look)
    assert lit[red(lit)].mean() > 1.3 * shaded[red(shaded)].mean()


def test_a_house_throws_its_shadow_away_from_the_sun() -> None:
    renderer = StreetRenderer(handmade([HOUSE]), suns=[(180.0, 40.0)])
    down = StreetLook(haze=0.0, clouds=0.0)
    shade = renderer.perspective(100.0, 108.0, 2.0, 0.0, -60.0, 30.0, 20, 20, down)
    sun = renderer.perspective(100.0, 92.0, 2.0, 180.0, -60.0, 30.0, 20, 20, down)
    assert sun.mean() > 1.4 * shade.mean()


def test_rows_take_any_columns(street: StreetRenderer) -> None:
    azimuths, tangents = np.array([-30.0, 0.0, 2.0, 35.0]), np.linspace(0.6, -0.3, 50)
    picture = street.rows(100.0, 80.0, 2.0, azimuths, tangents, OVERCAST)
    assert picture.shape == (50, 4, 3)
    assert red(picture).any(axis=0).tolist() == [True, True, True, False]
    turned = street.rows(100.0, 80.0, 2.0, azimuths + 720.0, tangents, OVERCAST)
    assert np.abs(picture.astype(int) - turned).max() <= 2


def test_a_point_outside_the_city_is_refused(street: StreetRenderer) -> None:
    with pytest.raises(TiercelError, match="outside the city"):
        street.cylinder(-5.0, 80.0, 2.0, 0.0, 16, 32, 1.0, OVERCAST)
