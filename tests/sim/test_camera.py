import numpy as np
import pytest

from tiercel.errors import TiercelError
from tiercel.sim.camera import Pinhole, cylinder_grid, panorama_grid, resample, shrink, window_of


def test_a_cylinder_looks_at_its_heading_and_goes_round_once() -> None:
    azimuths, tangents = cylinder_grid(30.0, 4, 8, 0.8)
    assert azimuths.mean() == pytest.approx(30.0)
    assert azimuths[-1] - azimuths[0] + 45.0 == pytest.approx(360.0)
    assert tangents == pytest.approx([0.6, 0.2, -0.2, -0.6])


def test_a_panorama_reaches_from_zenith_to_nadir() -> None:
    _, tangents = panorama_grid(0.0, 180, 360)
    assert np.degrees(np.arctan(tangents)) == pytest.approx(np.arange(89.5, -90.0, -1.0))


def test_the_middle_of_a_photograph_looks_along_the_axis() -> None:
    camera = Pinhole(0.0, 20.0, 35.0, 60.0, 100, 200)
    forward, right, up = camera.directions(np.array([100.0]), np.array([50.0]))
    assert right[0] == pytest.approx(0.0)
    assert np.degrees(np.arctan2(up, forward))[0] == pytest.approx(20.0)


def test_the_edges_of_a_photograph_are_its_field_of_view_apart() -> None:
    camera = Pinhole(0.0, 0.0, 0.0, 80.0, 100, 200)
    forward, right, _ = camera.directions(np.array([0.0, 200.0]), np.array([50.0, 50.0]))
    assert np.degrees(np.arctan2(right, forward)) == pytest.approx([-40.0, 40.0])


def test_roll_turns_the_camera_clockwise() -> None:
    _, _, up = Pinhole(0.0, 0.0, 90.0, 80.0, 100, 100).directions(np.array([100.0]), np.array([50.0]))
    assert up[0] < -0.5  # what was the right edge now looks down


@pytest.mark.parametrize("view", [(10.0, 0.0, 0.0, 60.0), (200.0, 15.0, -6.0, 100.0), (0.0, -40.0, 0.0, 75.0),
                                  (90.0, 80.0, 20.0, 70.0)])  # fmt: skip
def test_a_window_shows_every_ray_where_it_belongs(view: tuple[float, float, float, float]) -> None:
    heading, pitch, roll, angle = view
    camera = Pinhole(heading, pitch, roll, angle, 60, 90)
    window = window_of(camera, 2)
    # A picture of the directions themselves: azimuth in red, elevation in green.
    turn = np.degrees(np.radians(window.azimuths - heading))
    frame = np.zeros((len(window.azimuths), len(window.tangents), 3), np.uint8)
    frame[..., 0] = np.clip(127 + turn / 1.5, 0, 255)[:, None]
    frame[..., 1] = np.clip(127 + np.degrees(np.arctan(window.tangents)), 0, 255)
    picture = resample(frame, camera, window, 2)
    row, column = np.mgrid[0:60, 0:90] + 0.5
    forward, right, up = camera.directions(column, row)
    low = np.degrees(np.arctan2(up, np.hypot(forward, right)))
    sure = np.abs(low) < 80.0  # near the zenith azimuths crowd
    expected = 127 + np.degrees(np.arctan2(right, forward)) / 1.5
    sure &= np.abs(expected - 127) < 115
    assert np.abs(picture[..., 0] - expected)[sure].max() < 2.5
    assert np.abs(picture[..., 1] - (127 + low))[sure].max() < 2.5


def test_shrinking_averages_and_turns_columns_into_rows() -> None:
    frame = np.zeros((4, 2, 3), np.uint8)
    frame[:2] = 100
    frame[0, 0] = 200
    picture = shrink(frame, 2)
    assert picture.shape == (1, 2, 3)
    assert picture[0, :, 0].tolist() == [125, 0]


def test_a_field_of_view_no_pinhole_has_is_refused() -> None:
    with pytest.raises(TiercelError, match="field of view"):
        Pinhole(0.0, 0.0, 0.0, 180.0, 10, 10)
