"""Projections: which azimuths and elevations a picture needs, and how they are arranged in it.

Azimuths are degrees clockwise from north in public functions. Elevations appear as tangents, since a column of the
caster is linear in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.sim.compiled import compiled
from tiercel.sim.world import Bytes

Doubles = NDArray[np.float64]
STEEPEST = math.radians(88.0)
"""Elevations beyond this are drawn as this one: a tangent must stay finite."""


def cylinder_grid(heading: float, height: int, width: int, vertical_tangent: float) -> tuple[Doubles, Doubles]:
    """Azimuths and tangents of a full cylinder whose middle looks at the heading.

    Args:
        heading: Azimuth of the centre, degrees.
        height: Rows.
        width: Columns.
        vertical_tangent: Tangent of the elevation at the upper edge; the lower edge has its negative.

    Returns:
        (width,) degrees, increasing through 360; (height,) tangents, decreasing.
    """
    azimuths: Doubles = heading - 180.0 + (np.arange(width, dtype=np.float64) + 0.5) * (360.0 / width)
    tangents: Doubles = vertical_tangent * (1.0 - (np.arange(height, dtype=np.float64) + 0.5) * (2.0 / height))
    return azimuths, tangents


def panorama_grid(heading: float, height: int, width: int) -> tuple[Doubles, Doubles]:
    """As `cylinder_grid`, for an equirectangular panorama from -90 to 90 degrees of elevation."""
    azimuths, _ = cylinder_grid(heading, 1, width, 1.0)
    elevations = math.pi * (0.5 - (np.arange(height) + 0.5) / height)
    return azimuths, np.tan(elevations)


@dataclass(frozen=True)
class Pinhole:
    """A camera with square pixels and no distortion.

    Attributes:
        heading: Azimuth of the optical axis, degrees.
        pitch: Elevation of the optical axis, degrees.
        roll: Degrees the camera is turned clockwise about its axis.
        field_of_view: Horizontal, degrees, below 180.
        height: Rows.
        width: Columns.
    """

    heading: float
    pitch: float
    roll: float
    field_of_view: float
    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse what no pinhole can see."""
        if not 0.0 < self.field_of_view < 175.0:
            raise TiercelError(
                f"A field of view of {self.field_of_view:g} degrees fits no perspective picture: "
                "give one between 0 and 175, or render a panorama."
            )

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.width / math.tan(math.radians(0.5 * self.field_of_view))

    def directions(self, columns: Doubles, rows: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        """Rays through image points (0 is the left or upper edge of the picture): forward, right, up.

        Forward and right lie in the horizontal plane, forward along the heading.
        """
        right, up = (columns - 0.5 * self.width) / self.focal, (0.5 * self.height - rows) / self.focal
        roll, pitch = math.radians(self.roll), math.radians(self.pitch)
        across = right * math.cos(roll) + up * math.sin(roll)
        over = -right * math.sin(roll) + up * math.cos(roll)
        forward = math.cos(pitch) - over * math.sin(pitch)
        return forward, across, math.sin(pitch) + over * math.cos(pitch)


@dataclass(frozen=True)
class Window:
    """The azimuths and tangents a pinhole picture is cut from, evenly spaced in what the picture is linear in.

    Attributes:
        azimuths: (W,) degrees, increasing.
        tangents: (H,) decreasing.
        flat: True where columns are even in the tangent of the azimuth from the heading, False where in the azimuth.
        first_column: That coordinate at column 0.
        column_step: Its step.
        first_row: Tangent of the elevation from the pitch at row 0.
        row_step: Its step, negative.
    """

    azimuths: Doubles
    tangents: Doubles
    flat: bool
    first_column: float
    column_step: float
    first_row: float
    row_step: float


def window_of(camera: Pinhole, samples: int) -> Window:
    """The window a camera looks through.

    Args:
        camera: The camera.
        samples: Grid points per pixel and direction in the middle of the picture.
    """
    steps = np.linspace(0.0, 1.0, 65)
    columns = np.concatenate([steps, steps, 0 * steps, 0 * steps + 1]) * camera.width
    rows = np.concatenate([0 * steps, 0 * steps + 1, steps, steps]) * camera.height
    forward, right, up = camera.directions(columns, rows)
    turn = np.arctan2(right, forward)
    elevation = np.arctan2(up, np.hypot(forward, right))
    pitch = math.radians(camera.pitch)
    low, high = float(elevation.min()), float(elevation.max())
    high = max(high, pitch) if abs(pitch) < STEEPEST else high
    around = bool((np.abs(np.diff(turn[:65])) > 3.0).any() or np.abs(turn).max() > math.radians(150.0))
    if around:  # the zenith or the nadir may be in the picture
        low, high = (low, STEEPEST) if pitch > 0 else (-STEEPEST, high)
    low, high = max(low, -STEEPEST, pitch - 1.4), min(high, STEEPEST, pitch + 1.4)
    step = 1.0 / (camera.focal * samples)
    flat = not around and float(np.abs(turn).max()) < math.radians(75.0)
    if flat:
        left, last = math.tan(float(turn.min())) - step, math.tan(float(turn.max())) + step
    else:
        left, last = (-math.pi, math.pi) if around else (float(turn.min()) - step, float(turn.max()) + step)
    along = left + step * np.arange(math.ceil((last - left) / step) + 1)
    azimuths = camera.heading + np.degrees(np.arctan(along) if flat else along)
    top, bottom = math.tan(high - pitch) + step, math.tan(low - pitch) - step
    down = top - step * np.arange(math.ceil((top - bottom) / step) + 1)
    elevations = np.clip(pitch + np.arctan(down), -1.56, 1.56)
    keep = np.concatenate([[True], np.diff(elevations) < 0])
    return Window(azimuths, np.tan(elevations[keep]), flat, left, step, float(down[keep][0]), -step)


def resample(frame: Bytes, camera: Pinhole, window: Window, samples: int) -> Bytes:
    """The picture of a camera out of its window.

    Args:
        frame: (W, H, 3) uint8, by column, as the window's azimuths and tangents.
        camera: The camera.
        window: Its window.
        samples: Points per pixel and direction that are averaged.

    Returns:
        (height, width, 3) uint8.
    """
    return _resample(
        frame, camera.height, camera.width, camera.focal, math.radians(camera.pitch), math.radians(camera.roll),
        window.flat, window.first_column, window.column_step, window.first_row, window.row_step, samples,
    )  # fmt: skip


@compiled
def _resample(
    frame: Bytes, height: int, width: int, focal: float, pitch: float, roll: float, flat: bool, first_column: float,
    column_step: float, first_row: float, row_step: float, samples: int,
) -> Bytes:  # fmt: skip
    picture = np.empty((height, width, 3), np.uint8)
    last_column, last_row = frame.shape[0] - 1.0, frame.shape[1] - 1.0
    cos_pitch, sin_pitch, cos_roll, sin_roll = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    tan_pitch = math.tan(pitch)
    share = 1.0 / (samples * samples)
    for row in range(height):
        for column in range(width):
            r, g, b = 0.0, 0.0, 0.0
            for sub in range(samples * samples):
                right = (column + (sub % samples + 0.5) / samples - 0.5 * width) / focal
                over = (0.5 * height - row - (sub // samples + 0.5) / samples) / focal
                across = right * cos_roll + over * sin_roll
                over = -right * sin_roll + over * cos_roll
                forward = cos_pitch - over * sin_pitch
                flat_length = math.sqrt(forward * forward + across * across)
                tangent = (sin_pitch + over * cos_pitch) / max(1e-6, flat_length)
                along = across / forward if flat else math.atan2(across, forward)
                # The tangent of the elevation measured from the pitch, by the subtraction formula.
                bottom = 1.0 + tangent * tan_pitch
                down = (tangent - tan_pitch) / (bottom if abs(bottom) > 1e-6 else 1e-6)
                # The window is as fine as the samples, so the nearest ray will do.
                i = int(min(max((along - first_column) / column_step + 0.5, 0.0), last_column))
                j = int(min(max((down - first_row) / row_step + 0.5, 0.0), last_row))
                r += frame[i, j, 0]
                g += frame[i, j, 1]
                b += frame[i, j, 2]
            picture[row, column, 0] = int(r * share + 0.5)
            picture[row, column, 1] = int(g * share + 0.5)
            picture[row, column, 2] = int(b * share + 0.5)
    return picture


@compiled
def shrink(frame: Bytes, samples: int) -> Bytes:
    """Average blocks of ``samples`` x ``samples`` and turn a frame stored by column into a picture.

    Args:
        frame: (W * samples, H * samples, 3) uint8, by column.
        samples: Side of a block.

    Returns:
        (H, W, 3) uint8.
    """
    width, height = frame.shape[0] // samples, frame.shape[1] // samples
    picture = np.empty((height, width, 3), np.uint8)
    share = 1.0 / (samples * samples)
    for column in range(width):
        for row in range(height):
            r, g, b = 0, 0, 0
            for i in range(column * samples, column * samples + samples):
                for j in range(row * samples, row * samples + samples):
                    r += frame[i, j, 0]
                    g += frame[i, j, 1]
                    b += frame[i, j, 2]
            picture[row, column, 0] = int(r * share + 0.5)
            picture[row, column, 1] = int(g * share + 0.5)
            picture[row, column, 2] = int(b * share + 0.5)
    return picture
