"""What careless cameras do to a picture."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim.camera import Pinhole
from tiercel.sim.difficulty import DIFFICULTIES, Lens
from tiercel.sim.lens import Obstruction, Shot, photograph, tilted_panorama
from tiercel.sim.street import StreetLook, StreetRenderer

OVERCAST = StreetLook(weather="overcast", clouds=0.5, haze=0.0)
POST = (99.5, 95.0, 100.5, 96.0, 30.0)  # a tower of one metre, 15 m north of the eye
PLACE = (100.0, 80.0, 2.0)
HARD = DIFFICULTIES["hard"].lens


def middle_of_the_post(picture: np.ndarray) -> tuple[float, float]:
    """Columns at which a thin red tower stands, in the middle row and near the upper edge, from the left."""
    red = picture[..., 0].astype(int) - picture[..., 1] > 40
    height = len(picture)
    return float(np.flatnonzero(red[height // 2]).mean() + 0.5), float(np.flatnonzero(red[height // 8]).mean() + 0.5)


@pytest.fixture(scope="module")
def street() -> StreetRenderer:
    return StreetRenderer(handmade([POST]))


@pytest.fixture(scope="module")
def sharp(street: StreetRenderer) -> np.ndarray:
    return street.perspective(*PLACE, 10.0, 4.0, 70.0, 240, 320, OVERCAST)


def shoot(street: StreetRenderer, shot: Shot, heading: float = 10.0, look: StreetLook = OVERCAST) -> np.ndarray:
    return photograph(street, *PLACE, Pinhole(heading, 4.0, shot.roll, 70.0, 240, 320), look, shot)


def test_a_camera_without_faults_is_a_pinhole(street: StreetRenderer, sharp: np.ndarray) -> None:
    picture = shoot(street, Shot())
    assert picture.shape == sharp.shape
    difference = np.abs(picture.astype(int) - sharp)
    assert np.median(difference) <= 1 and difference.mean() < 3
    assert middle_of_the_post(picture) == pytest.approx(middle_of_the_post(sharp), abs=0.5)


@pytest.mark.parametrize(
    "shot",
    [
        Shot(centre=(0.05, 0.0)), Shot(centre=(-0.04, 0.03)), Shot(distortion=0.06), Shot(roll=6.0),
        Shot(centre=(0.03, -0.03), distortion=-0.06, roll=-5.0),
    ],
)  # fmt: skip
def test_the_middle_of_the_picture_looks_at_the_heading(street: StreetRenderer, shot: Shot) -> None:
    """Looking straight at the tower, it stands in the middle column at the middle row, whatever the lens does."""
    assert middle_of_the_post(shoot(street, shot, heading=0.0))[0] == pytest.approx(160.0, abs=1.1)


def test_distortion_moves_points_outwards_and_a_negative_one_inwards(street: StreetRenderer) -> None:
    places = [
        middle_of_the_post(shoot(street, Shot(distortion=share), heading=25.0))[0] for share in (-0.06, 0.0, 0.06)
    ]
    half = 160.0 / math.tan(math.radians(35.0)) * math.tan(math.radians(25.0))
    assert 160.0 - places[1] == pytest.approx(half, abs=2.0)
    wanted = [half * (1.0 + share * (half / 160.0) ** 2) for share in (-0.06, 0.0, 0.06)]
    assert [160.0 - place for place in places] == pytest.approx(wanted, abs=2.5)


def test_roll_tips_the_tower(street: StreetRenderer) -> None:
    at_the_middle, above = middle_of_the_post(shoot(street, Shot(roll=5.0), heading=0.0))
    assert above - at_the_middle == pytest.approx(-90.0 * math.tan(math.radians(5.0)), abs=2.5)


def test_blur_softens_and_noise_roughens(street: StreetRenderer, sharp: np.ndarray) -> None:
    def roughness(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture[200:].astype(float), axis=1)).mean())

    assert roughness(shoot(street, Shot(blur=1.3))) < 0.7 * roughness(shoot(street, Shot()))
    noisy = shoot(street, Shot(blur=1.3), look=replace(OVERCAST, noise=8.0))
    assert roughness(noisy) > 3.0 * roughness(shoot(street, Shot(blur=1.3)))


@pytest.mark.parametrize("thing", [thing for thing in Obstruction if thing is not Obstruction.NONE])
def test_a_car_hides_some_of_the_picture_and_not_its_middle(street: StreetRenderer, thing: Obstruction) -> None:
    clear = shoot(street, Shot(seed=3)).astype(int)
    changed = np.mean(
        [(np.abs(shoot(street, Shot(seed=seed, obstruction=thing)) - clear) > 8).any(axis=2) for seed in range(3, 9)],
        axis=0,
    )
    assert 0.001 < changed.mean() < 0.3
    assert changed[90:150, 120:200].mean() < 0.05


def test_a_tilted_panorama_has_a_slanted_horizon_and_looks_where_it_did(street: StreetRenderer) -> None:
    def horizon(picture: np.ndarray) -> np.ndarray:
        return np.asarray((picture.max(axis=2) > 160).sum(axis=0))

    level = street.panorama(*PLACE, 90.0, 180, 360, OVERCAST)
    same = tilted_panorama(street, *PLACE, 90.0, 180, 360, OVERCAST, Shot())
    assert np.abs(level.astype(int) - same).max() <= 1
    rolled = tilted_panorama(street, *PLACE, 90.0, 180, 360, OVERCAST, Shot(tilt=(6.0, 0.0)))
    # Turned clockwise about the front, the camera sees the horizon sink on its left and rise on its right.
    drop = horizon(rolled).astype(int) - horizon(level)
    assert drop[270] == pytest.approx(-6, abs=1) and drop[355] == pytest.approx(0, abs=1)
    raised = tilted_panorama(street, *PLACE, 0.0, 180, 360, OVERCAST, Shot(tilt=(0.0, 5.0)))
    red = raised[..., 0].astype(int) - raised[..., 1] > 40
    assert np.flatnonzero(red[90]).mean() + 0.5 == pytest.approx(180.0, abs=1.0)
    assert horizon(raised)[180 + 15] - horizon(level)[180 + 15] == pytest.approx(5, abs=1.5)


def test_cameras_err_as_much_as_is_said_of_them() -> None:
    rng = np.random.default_rng(2)
    shots = [Shot.sample(HARD, rng, driven=index % 2 == 0) for index in range(1500)]
    for name, wanted in (("roll", HARD.roll), ("compass", HARD.compass)):
        assert np.std([getattr(shot, name) for shot in shots]) == pytest.approx(wanted, rel=0.1)
    declared = np.array([shot.declared for shot in shots])
    assert 0.9 * HARD.field_of_view < np.abs(declared - 1.0).max() <= HARD.field_of_view
    assert all(shot.obstruction == Obstruction.NONE for shot in shots[1::2])
    assert np.mean([shot.obstruction != Obstruction.NONE for shot in shots[::2]]) == pytest.approx(0.3, abs=0.06)
    assert {shot.obstruction for shot in shots} == set(Obstruction)
    exact = Shot.sample(Lens(), rng, driven=True)
    assert replace(exact, seed=0) == Shot() and Lens().exact and not HARD.exact
