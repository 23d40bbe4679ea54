import numpy as np
import pytest

from tiercel.sim.sensor import develop
from tiercel.sim.sky import StreetLook

GREY = np.full((40, 60, 3), 100, np.uint8)


def test_a_neutral_camera_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(develop(picture, StreetLook(), 1), picture)


def test_exposure_and_balance_scale_the_channels() -> None:
    out = develop(GREY, StreetLook(exposure=1.5, balance=(1.2, 1.0, 0.8)), 1)
    assert out[5, 5].tolist() == [180, 150, 120]


def test_noise_has_the_stated_spread_and_repeats() -> None:
    noisy = develop(GREY, StreetLook(noise=6.0), 1)
    assert noisy.std() == pytest.approx(6.0, rel=0.15)
    assert noisy.mean() == pytest.approx(100.0, abs=1.0)
    assert np.array_equal(noisy, develop(GREY, StreetLook(noise=6.0), 1))
    assert not np.array_equal(noisy, develop(GREY, StreetLook(noise=6.0), 2))


@pytest.mark.parametrize(("sharpness", "sign"), [(-1.0, -1), (1.0, 1)])
def test_sharpness_moves_the_contrast_of_an_edge(sharpness: float, sign: int) -> None:
    edge = GREY.copy()
    edge[:, 30:] = 160
    out = develop(edge, StreetLook(sharpness=sharpness), 1).astype(int)
    assert np.sign((out[5, 30, 0] - out[5, 29, 0]) - 60) == sign


def test_without_saturation_all_is_grey() -> None:
    out = develop(np.full((4, 4, 3), (200, 100, 30), np.uint8), StreetLook(saturation=0.0), 1)
    assert out[0, 0].tolist() == [110, 110, 110]
