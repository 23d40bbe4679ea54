"""What careless cameras do to a picture: tilt, distortion, an axis off the middle, blur, a bonnet in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tiercel.sim.camera import Pinhole
from tiercel.sim.compiled import compiled
from tiercel.sim.difficulty import Lens
from tiercel.sim.sensor import develop
from tiercel.sim.sky import StreetLook
from tiercel.sim.world import Bytes

if TYPE_CHECKING:
    from tiercel.sim.street import StreetRenderer

Doubles = NDArray[np.float64]


class Obstruction(IntEnum):
    """What of a car is in a picture that was taken from it."""

    NONE = 0
    BONNET = 1
    ROOF_EDGE = 2
    PILLAR = 3
    WIPER = 4


@dataclass(frozen=True)
class Shot:
    """Everything about one camera that its user does not know.

    Attributes:
        roll: Degrees a photo's camera is turned clockwise about its axis.
        tilt: Degrees a panorama's camera is turned clockwise about where it looks, and its front is raised.
        distortion: Radial distortion: about this share further out than by a pinhole a point is shown that lies half a
            picture's width from the principal point; negative for further in.
        centre: The principal point, to the right of and below the middle, as shares of the width.
        blur: Standard deviation of the photographic blur, pixels.
        obstruction: What of a car is in the picture.
        seed: Of the obstruction's shape and of the noise.
        compass: Declared heading less the true one, degrees.
        declared: Declared field of view as a share of the true one.
        quality: JPEG quality.
    """

    roll: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    distortion: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    obstruction: Obstruction = Obstruction.NONE
    seed: int = 0
    compass: float = 0.0
    declared: float = 1.0
    quality: int = 92

    @classmethod
    def sample(cls, lens: Lens, rng: np.random.Generator, *, driven: bool) -> Shot:
        """Draw a camera.

        Args:
            lens: How far cameras are from what is said of them.
            rng: Source of randomness.
            driven: Whether the photo is taken from a car.
        """
        roll, tilts, centre = rng.normal(), rng.normal(size=2), rng.normal(size=2)
        blocked = driven and rng.random() < lens.obstructed
        return cls(
            roll=float(lens.roll * roll),
            tilt=(float(lens.tilt * tilts[0]), float(lens.tilt * tilts[1])),
            distortion=float(lens.distortion * rng.uniform(-1.0, 1.0)),
            centre=(float(lens.off_centre * centre[0]), float(lens.off_centre * centre[1])),
            blur=float(rng.uniform(*lens.blur)),
            obstruction=Obstruction(int(rng.integers(1, len(Obstruction)))) if blocked else Obstruction.NONE,
            seed=int(rng.integers(1 << 16)),
            compass=float(lens.compass * rng.normal()),
            declared=float(1.0 + lens.field_of_view * rng.uniform(-1.0, 1.0)),
            quality=int(rng.integers(lens.quality[0], lens.quality[1] + 1)),
        )


def photograph(
    renderer: StreetRenderer, x: float, y: float, eye: float, camera: Pinhole, look: StreetLook, shot: Shot
) -> Bytes:
    """A photograph by a real camera.

    Args:
        renderer: Of the city.
        x: East, metres.
        y: North, metres.
        eye: Height of the eye above the ground, metres.
        camera: What it would be if it were a pinhole: its heading is the azimuth of the picture's middle, its pitch and
            field of view are the lens's; its roll is the shot's.
        look: Weather, light, day and sensor.
        shot: The camera's faults.

    Returns:
        (height, width, 3) uint8.
    """
    height, width, focal = camera.height, camera.width, camera.focal
    columns, rows = (np.arange(pixels, dtype=np.float64) + 0.5 for pixels in (width, height))
    right, down = _seen(columns, rows, camera, shot)
    # A picture by a pinhole of the same focal length, large enough to take all rays from.
    wide = 2 * math.ceil(focal * float(np.abs(right).max()) + 1.0)
    high = 2 * math.ceil(focal * float(np.abs(down).max()) + 1.0)
    angle = 2.0 * math.degrees(math.atan(0.5 * wide / focal))
    larger = Pinhole(0.0, camera.pitch, shot.roll, angle, high, wide)
    across, over = _seen(np.array([0.5 * width]), np.array([0.5 * height]), camera, shot)
    ahead, aside, _ = larger.directions(0.5 * wide + focal * across, 0.5 * high + focal * over)
    heading = camera.heading - math.degrees(math.atan2(aside.item(), ahead.item()))
    plain = renderer.perspective(
        x, y, eye, heading, camera.pitch, angle, high, wide, _clean(look), roll=shot.roll
    )  # fmt: skip
    picture = _warp(plain, focal * right + 0.5 * wide - 0.5, focal * down + 0.5 * high - 0.5, False)
    return _finish(_obstruct(picture, shot), look, shot)


def tilted_panorama(
    renderer: StreetRenderer, x: float, y: float, eye: float, heading: float, height: int, width: int,
    look: StreetLook, shot: Shot,
) -> Bytes:  # fmt: skip
    """An equirectangular panorama by a camera that does not stand upright; arguments as in `photograph`.

    The middle column still looks at the heading.
    """
    level = renderer.panorama(x, y, eye, heading, height, width, _clean(look))
    azimuth = (2.0 * math.pi / width) * (np.arange(width) + 0.5) - math.pi
    elevation = math.pi * (0.5 - (np.arange(height) + 0.5) / height)
    ahead = np.cos(elevation)[:, None] * np.cos(azimuth)
    aside = np.cos(elevation)[:, None] * np.sin(azimuth)
    over = np.broadcast_to(np.sin(elevation)[:, None], ahead.shape)
    roll, pitch = (math.radians(angle) for angle in shot.tilt)
    aside, over = aside * math.cos(roll) + over * math.sin(roll), -aside * math.sin(roll) + over * math.cos(roll)
    ahead, over = ahead * math.cos(pitch) - over * math.sin(pitch), ahead * math.sin(pitch) + over * math.cos(pitch)
    columns = (np.arctan2(aside, ahead) + math.pi) * (width / (2.0 * math.pi)) - 0.5
    rows = (0.5 - np.arcsin(np.clip(over, -1.0, 1.0)) / math.pi) * height - 0.5
    return _finish(_warp(level, columns, rows, True), look, shot)


def _seen(columns: Doubles, rows: Doubles, camera: Pinhole, shot: Shot) -> tuple[Doubles, Doubles]:
    """Where a pinhole would show what is shown in some columns and rows.

    Args:
        columns: (W,) pixels from the left edge.
        rows: (H,) pixels from the upper edge.
        camera: The pinhole.
        shot: The faults that the camera has instead.

    Returns:
        (H, W) to the right of its axis and (H, W) below it, in focal lengths.
    """
    half = 0.5 * camera.width
    right = (columns - half - shot.centre[0] * camera.width)[None, :]
    down = (rows - 0.5 * camera.height - shot.centre[1] * camera.width)[:, None]
    scale = 1.0 / ((1.0 + shot.distortion * (right**2 + down**2) / half**2) * camera.focal)
    return right * scale, down * scale


def _clean(look: StreetLook) -> StreetLook:
    """The same look without what comes after the lens."""
    return replace(look, noise=0.0)


def _finish(picture: Bytes, look: StreetLook, shot: Shot) -> Bytes:
    """Blur and noise."""
    if shot.blur > 0.0:
        picture = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(shot.blur)))
    return develop(picture, StreetLook(noise=look.noise), shot.seed)


@compiled
def _warp(picture: Bytes, columns: Doubles, rows: Doubles, around: bool) -> Bytes:
    """The colours at (height, width) places between pixels; `around`: its left edge goes on at its right one."""
    height, width = columns.shape
    high, wide = picture.shape[0], picture.shape[1]
    out = np.empty((height, width, 3), np.uint8)
    for i in range(height):
        for j in range(width):
            row = min(max(rows[i, j], 0.0), high - 1.0)
            column = columns[i, j] if around else min(max(columns[i, j], 0.0), wide - 1.0)
            r, c = int(row), math.floor(column)
            down, across = row - r, column - c
            below = min(r + 1, high - 1)
            left, right = int(c) % wide, (int(c) + 1) % wide if around else min(int(c) + 1, wide - 1)
            for k in range(3):
                upper = picture[r, left, k] * (1.0 - across) + picture[r, right, k] * across
                lower = picture[below, left, k] * (1.0 - across) + picture[below, right, k] * across
                out[i, j, k] = int(upper * (1.0 - down) + lower * down + 0.5)
    return out


def _obstruct(picture: Bytes, shot: Shot) -> Bytes:
    """Put what is in the way into the picture."""
    if shot.obstruction == Obstruction.NONE:
        return picture
    rng = np.random.default_rng([shot.seed, 4])
    height, width = picture.shape[:2]
    down = ((np.arange(height) + 0.5) / height)[:, None]
    across = ((np.arange(width) + 0.5) / width)[None, :]
    paint = rng.uniform(16.0, 60.0) * rng.uniform(0.9, 1.1, 3)
    sheen = np.zeros((height, width))
    if shot.obstruction == Obstruction.BONNET:
        middle, tall = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.2)
        edge = 1.0 - tall * (1.0 - 1.4 * (across - middle) ** 2)
        inside = (down - edge) * height
        paint = rng.choice([25.0, 60.0, 110.0, 170.0]) * rng.uniform(0.85, 1.1, 3)
        sheen = 70.0 * np.exp(-np.maximum(0.0, down - edge) / 0.05)  # the sky in the lacquer
    elif shot.obstruction == Obstruction.ROOF_EDGE:
        inside = (rng.uniform(0.03, 0.11) + rng.uniform(0.0, 0.1) * (across - 0.5) ** 2 - down) * height
    elif shot.obstruction == Obstruction.PILLAR:
        foot, lean = rng.uniform(0.04, 0.14), rng.uniform(0.05, 0.3)
        inside = (foot + lean * (0.5 - down) * rng.uniform(0.2, 1.0) - across) * width
        inside = inside[:, ::-1] if rng.random() < 0.5 else inside
    else:
        left, length, rise = rng.uniform(-0.1, 0.5), rng.uniform(0.4, 0.8), rng.uniform(0.05, 0.4)
        start, thick = rng.uniform(0.9, 1.05), rng.uniform(0.005, 0.012)
        share = (across - left) / length
        line = start - rise * share
        inside = (thick - np.abs(down - line)) * height
        inside = np.where((share > 0.0) & (share < 1.0), inside, -2.0)
    cover = np.clip(np.broadcast_to(inside, (height, width)) + 0.5, 0.0, 1.0)[..., None]
    shown = np.clip(paint + sheen[..., None], 0.0, 255.0)
    return np.asarray(picture * (1.0 - cover) + shown * cover + 0.5).astype(np.uint8)
