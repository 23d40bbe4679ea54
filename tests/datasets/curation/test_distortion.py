"""Photos bent by a known lens come out straight."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tiercel.datasets.curation.distortion import (
    WIDEST_VIEW,
    Lens,
    lens_of_parameters,
    straightened,
    view_without_bending,
)
from tiercel.errors import TiercelError

BROWN = Lens("brown", (0.75, 0.76), (0.012, -0.008), (-0.21, 0.06, -0.01), (0.0015, -0.0012))
PERSPECTIVE = lens_of_parameters("perspective", [0.85, -0.15, 0.03])
PINCUSHION = lens_of_parameters("perspective", [0.8, 0.12, 0.01])
FISHEYE = lens_of_parameters("fisheye", [0.45, -0.03, 0.004])
LENSES = {"brown": BROWN, "perspective": PERSPECTIVE, "pincushion": PINCUSHION, "fisheye": FISHEYE}


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Dots on a plane one metre in front of the camera."""
    return np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.4, 0.4, 7))


def dots(columns: np.ndarray, rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A dark picture with a soft bright dot around each place."""
    width, height = size
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    picture = np.zeros((height, width))
    for column, row in zip(columns.ravel(), rows.ravel(), strict=True):
        picture += np.exp(-((x - column)[None] ** 2 + (y - row)[:, None] ** 2) / (2 * 2.5**2))
    return np.repeat((np.clip(picture, 0, 1) * 250)[..., None].astype(np.uint8), 3, -1)


def centre_of_dot(picture: np.ndarray, column: float, row: float) -> tuple[float, float]:
    """Where the brightness around a place is centred."""
    left, top = int(column) - 8, int(row) - 8
    part = picture[top : top + 17, left : left + 17, 0].astype(float)
    x, y = np.arange(left, left + 17) + 0.5, np.arange(top, top + 17) + 0.5
    return float((part.sum(0) * x).sum() / part.sum()), float((part.sum(1) * y).sum() / part.sum())


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("size", [(640, 480), (480, 640)])
def test_a_grid_bent_by_a_lens_comes_out_straight_to_half_a_pixel(name: str, size: tuple[int, int]) -> None:
    lens, (width, height) = LENSES[name], size
    long_side = max(size)
    x, y = grid() if width > height else grid()[::-1]
    bent_x, bent_y = lens.distort(x, y)
    photo = dots(bent_x * long_side + width / 2, bent_y * long_side + height / 2, size)
    picture, view = straightened(photo, lens)
    focal = width / 2 / math.tan(math.radians(view / 2))
    columns, rows = x * focal + width / 2, y * focal + height / 2
    seen = (columns > 12) & (columns < width - 12) & (rows > 12) & (rows < height - 12)
    assert seen.sum() >= 25
    for column, row in zip(columns[seen], rows[seen], strict=True):
        assert centre_of_dot(picture, column, row) == pytest.approx((column, row), abs=0.5)
    bent = np.hypot(bent_x * long_side + width / 2 - columns, bent_y * long_side + height / 2 - rows)
    assert bent[seen].max() > 5, "a lens that bends nothing proves nothing"


@pytest.mark.parametrize("name", LENSES)
def test_nothing_but_what_was_seen_is_shown(name: str) -> None:
    picture, view = straightened(np.full((120, 160, 3), 200, np.uint8), LENSES[name])
    assert (picture == 200).all() and 20 < view <= WIDEST_VIEW


def test_a_lens_that_does_not_bend_gives_the_photo_back() -> None:
    lens = lens_of_parameters("perspective", [0.9, 0.0, 0.0])
    assert not lens.bends
    photo = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    picture, view = straightened(photo, lens)
    assert np.abs(picture.astype(int) - photo).max() <= 1
    assert view == pytest.approx(view_without_bending(lens, 80, 60), abs=1e-3)
    assert view == pytest.approx(math.degrees(2 * math.atan(0.5 / 0.9)), abs=1e-3)


def test_the_very_wide_are_cut_to_what_a_flat_picture_can_show() -> None:
    _, view = straightened(np.zeros((100, 100, 3), np.uint8), lens_of_parameters("fisheye", [0.3, 0.0, 0.0]))
    assert view == pytest.approx(WIDEST_VIEW)


def test_a_polynomial_that_folds_back_is_not_followed_beyond_its_fold() -> None:
    lens = lens_of_parameters("perspective", [0.3, -0.3, 0.0])  # folds at a radius of 1.05
    _, view = straightened(np.zeros((100, 100, 3), np.uint8), lens)
    assert lens.reaches(1.0) and not lens.reaches(1.2)
    assert math.tan(math.radians(view / 2)) * math.sqrt(2) < 1.06


@pytest.mark.parametrize(
    ("model", "parameters", "complaint"),
    [
        ("perspective", [0.8, 0.1], "is not known: give perspective or fisheye"),
        ("orthographic", [0.8, 0.1, 0.0], "is not known"),
        ("perspective", [0.0, 0.1, 0.0], "cannot be: give it as a share"),
        ("perspective", [850.0, 0.1, 0.0], "cannot be: give it as a share"),
        ("fisheye", [0.8, float("nan"), 0.0], "cannot be"),
    ],
)
def test_nonsense_is_refused(model: str, parameters: list[float], complaint: str) -> None:
    with pytest.raises(TiercelError, match=complaint):
        lens_of_parameters(model, parameters)


def test_an_axis_outside_the_photo_is_refused() -> None:
    with pytest.raises(TiercelError, match="moves the middle of the photo out of it"):
        straightened(np.zeros((60, 80, 3), np.uint8), Lens("brown", (0.8, 0.8), centre=(0.9, 0.0)))
