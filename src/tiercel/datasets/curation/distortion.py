"""Lenses that bend straight lines, and straightening what they saw.

Three models, all in units of the image's long side, so that they hold for a photo that was shrunk:

* `brown`: radial k1, k2, k3 and tangential p1, p2 (Brown, "Decentering distortion of lenses", 1966; the coefficients
  and their order are those of OpenCV's pinhole camera);
* `perspective`: a focal length, k1 and k2, as OpenSfM and Mapillary give them; the same without the rest;
* `fisheye`: a focal length, k1 and k2, of the angle from the axis instead of the radius, likewise OpenSfM's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError

WIDEST_VIEW = 120.0
"""Degrees that a straightened photo shows at most along either side: a flat picture of more is mostly stretched."""

_ROWS_AT_ONCE = 128
_BISECTIONS = 30

Doubles = NDArray[np.float64]
Model = Literal["perspective", "brown", "fisheye"]


@dataclass(frozen=True)
class Lens:
    """A calibrated lens.

    Attributes:
        model: How the coefficients are meant.
        focal: (fx, fy) focal lengths, as shares of the image's long side.
        centre: (x, y) of the optical axis, to the right of and below the image's centre, as shares of the long side.
        radial: k1, k2, k3.
        tangential: p1, p2.
    """

    model: Model
    focal: tuple[float, float]
    centre: tuple[float, float] = (0.0, 0.0)
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuses what no lens can be.

        Raises:
            TiercelError: A number is not finite, or the focal length cannot be.
        """
        numbers = (*self.focal, *self.centre, *self.radial, *self.tangential)
        if not all(math.isfinite(number) for number in numbers) or not all(0.05 < f < 50 for f in self.focal):
            raise TiercelError(
                f"A calibration with the focal length {self.focal[0]:g} of the image's long side cannot be: "
                "give it as a share of the long side (camera_parameters), or in pixels with fx, fy, cx and cy."
            )

    @property
    def bends(self) -> bool:
        """Whether straight lines come out bent or the optical axis off the middle."""
        square = math.isclose(self.focal[0], self.focal[1], rel_tol=1e-3)
        return self.model == "fisheye" or any((*self.radial, *self.tangential, *self.centre)) or not square

    def distort(self, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
        """Where points of the plane at distance 1 in front of the camera come out in the image.

        Args:
            x: To the right of the axis, any shape.
            y: Below it.

        Returns:
            (x, y) from the image's centre, as shares of the long side.
        """
        radius = np.hypot(x, y)
        scale = self._bent(radius) / np.where(radius > 0, radius, 1.0)
        scale = np.where(radius > 0, scale, 1.0)
        p1, p2 = self.tangential
        across = x * scale + 2 * p1 * x * y + p2 * (radius**2 + 2 * x**2)
        down = y * scale + p1 * (radius**2 + 2 * y**2) + 2 * p2 * x * y
        return self.focal[0] * across + self.centre[0], self.focal[1] * down + self.centre[1]

    def _bent(self, radius: Doubles) -> Doubles:
        """Distances from the axis, in focal lengths, as they come out in the image."""
        k1, k2, k3 = self.radial
        reach = np.arctan(radius) if self.model == "fisheye" else radius
        square = reach**2
        return np.asarray(reach * (1 + square * (k1 + square * (k2 + square * k3))))

    def reaches(self, radius: float) -> bool:
        """Whether the model still grows outwards all the way to a distance from the axis.

        Beyond that a polynomial folds back, and shows the middle of the photo once more.
        """
        return bool((np.diff(self._bent(np.linspace(0, radius, 256))) > 0).all())


def lens_of_parameters(model: str, parameters: list[float]) -> Lens:
    """The lens that `camera_type` and `camera_parameters` of Mapillary's API describe.

    Args:
        model: "perspective" or "fisheye".
        parameters: Focal length as a share of the long side, k1, k2.

    Raises:
        TiercelError: The model is another or the parameters are not three numbers.
    """
    if model not in ("perspective", "fisheye") or len(parameters) != 3:
        raise TiercelError(
            f"The calibration {model!r} {parameters} is not known: give perspective or fisheye with [focal, k1, k2], "
            "or leave it empty."
        )
    focal, k1, k2 = parameters
    return Lens("fisheye" if model == "fisheye" else "perspective", (focal, focal), radial=(k1, k2, 0.0))


def straightened(pixels: NDArray[np.uint8], lens: Lens) -> tuple[NDArray[np.uint8], float]:
    """A photo as a lens without distortion would have taken it, of the same size and without empty corners.

    Args:
        pixels: (height, width, 3) uint8.
        lens: What took them.

    Returns:
        (height, width, 3) uint8, and the horizontal field of view, degrees.

    Raises:
        TiercelError: The calibration cannot be that of these pixels.
    """
    height, width = pixels.shape[:2]
    focal = _widest_focal(lens, width, height)
    long_side = max(width, height)
    x = (np.arange(width) + 0.5 - width / 2) / long_side / focal
    y = (np.arange(height) + 0.5 - height / 2) / long_side / focal
    result = np.empty_like(pixels)
    for top in range(0, height, _ROWS_AT_ONCE):
        across, down = lens.distort(*np.meshgrid(x, y[top : top + _ROWS_AT_ONCE]))
        column, row = across * long_side + width / 2 - 0.5, down * long_side + height / 2 - 0.5
        result[top : top + _ROWS_AT_ONCE] = _sampled(pixels, column, row)
    return result, _view(width / long_side, focal)


def view_without_bending(lens: Lens, width: int, height: int) -> float:
    """The horizontal field of view, degrees, of a lens that needs no straightening."""
    return _view(width / max(width, height), lens.focal[0])


def _view(width: float, focal: float) -> float:
    return math.degrees(2 * math.atan(width / 2 / focal))


def _widest_focal(lens: Lens, width: int, height: int) -> float:
    """The shortest focal length, in long sides, at which the straightened photo shows nothing but what was seen."""
    least = 0.5 / math.tan(math.radians(WIDEST_VIEW / 2))
    most = 8 * max(*lens.focal, least)
    if not _inside(lens, width, height, most):
        raise TiercelError(
            "The calibration moves the middle of the photo out of it: check the focal length and the centre."
        )
    if _inside(lens, width, height, least):
        return least
    for _ in range(_BISECTIONS):
        middle = math.sqrt(least * most)
        if _inside(lens, width, height, middle):
            most = middle
        else:
            least = middle
    return most


def _inside(lens: Lens, width: int, height: int, focal: float) -> bool:
    """Whether the border of a straightened photo comes from within the photo."""
    right, low = width / max(width, height) / 2, height / max(width, height) / 2
    along = np.linspace(-1, 1, 65)
    ends = np.ones_like(along)
    x = np.concatenate([along, along, -ends, ends]) * right
    y = np.concatenate([-ends, ends, along, along]) * low
    if not lens.reaches(math.hypot(right, low) / focal):
        return False
    across, down = lens.distort(x / focal, y / focal)
    slack = 1e-9
    return bool((np.abs(across) <= right + slack).all() and (np.abs(down) <= low + slack).all())


def _sampled(pixels: NDArray[np.uint8], column: Doubles, row: Doubles) -> NDArray[np.uint8]:
    """Colours at fractional columns and rows, bilinearly."""
    height, width = pixels.shape[:2]
    column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
    left, top = np.minimum(column.astype(np.int64), width - 2), np.minimum(row.astype(np.int64), height - 2)
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    s, t = (column - left)[..., None].astype(np.float32), (row - top)[..., None].astype(np.float32)
    upper = pixels[top, left] * (1 - s) + pixels[top, right] * s
    lower = pixels[low, left] * (1 - s) + pixels[low, right] * s
    return np.asarray(upper * (1 - t) + lower * t + 0.5, np.uint8)
