"""Street pictures of a world: cylinders, panoramas and photographs from any point, in any light, on any day."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tiercel.errors import TiercelError
from tiercel.sim.camera import Pinhole, cylinder_grid, panorama_grid, resample, shrink, window_of
from tiercel.sim.columns import cast_columns, ground_height, make_scene
from tiercel.sim.objects import draw_objects, make_objects
from tiercel.sim.rasters import release
from tiercel.sim.sensor import develop
from tiercel.sim.shadows import cast_shadows
from tiercel.sim.sky import StreetLook, light_of, sky_grid
from tiercel.sim.world import Bytes, Floats, World

__all__ = ["StreetLook", "StreetRenderer"]

_SKY_STEP = 6


class StreetRenderer:
    """Renders street pictures of one world. Shadows are cast once for each of a few suns, when first needed.

    Args:
        world: The city.
        suns: Azimuths and elevations of the suns that may shine, degrees; drawn from the world's seed when not given.
        folder: Where to keep the shadows, 16 bytes a square metre for each sun, instead of in memory.
    """

    def __init__(
        self, world: World, suns: Sequence[tuple[float, float]] | None = None, folder: Path | None = None
    ) -> None:
        """Prepare the world; takes a fraction of a second."""
        self.world, self._folder = world, folder
        if suns is None:
            rng = np.random.default_rng([world.seed, 7])
            suns = [(float(rng.uniform(70.0, 290.0)), float(rng.uniform(22.0, 58.0))) for _ in range(2)]
        self.suns = tuple(suns)
        self._scene = make_scene(world)
        self._objects = make_objects(world)
        self._shadows: dict[int, Floats] = {}
        self._no_shadow = np.zeros((1, 1), np.float32)

    def _shadow(self, look: StreetLook) -> Floats:
        if look.weather == "overcast":
            return self._no_shadow
        index = look.sun % len(self.suns)
        if index not in self._shadows:
            azimuth, elevation = self.suns[index]
            self._shadows[index] = cast_shadows(
                self.world, math.radians(azimuth), math.radians(elevation), folder=self._folder
            )
        return self._shadows[index]

    def _frame(
        self, x: float, y: float, eye: float, azimuths: ArrayLike, tangents: ArrayLike, look: StreetLook, samples: int
    ) -> Bytes:
        """(W, H, 3) uint8 by column, before the camera."""
        if not (0.0 < x < self.world.size and 0.0 < y < self.world.size):
            raise TiercelError(
                f"The point ({x:g}, {y:g}) lies outside the city of {self.world.size:g} m: move it inside."
            )
        angles = np.radians(np.asarray(azimuths, np.float64))
        angles = angles - 2.0 * math.pi * np.round(0.5 * (angles[0] + angles[-1]) / (2.0 * math.pi))
        rises = np.ascontiguousarray(tangents, np.float32)
        directions = np.stack([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
        turns = np.abs(np.gradient(angles)) if len(angles) > 1 else np.full(1, 0.003)
        light = light_of(look, *self.suns[look.sun % len(self.suns)])
        shadow = self._shadow(look)
        level = float(ground_height(self._scene.ground, self._scene.size, float(x), float(y))) + float(eye)
        frame = np.empty((len(angles), len(rises), 3), np.uint8)
        depth = np.empty((len(angles), len(rises)), np.float32)
        sky = sky_grid(directions, rises, _SKY_STEP, light)
        widths = turns.astype(np.float32)
        cast_columns(
            self._scene, shadow, light, float(x), float(y), level, directions, widths, rises, sky, _SKY_STEP, samples,
            frame, depth,
        )  # fmt: skip
        draw_objects(
            self._scene, self._objects, shadow, light, look.day, float(x), float(y), level, angles, directions, widths,
            rises, samples, frame, depth,
        )  # fmt: skip
        scene = self._scene
        release(shadow, scene.ground, scene.surface, scene.feature, scene.u, scene.v, scene.junction, scene.building)
        return frame

    def rows(self, x: float, y: float, eye: float, azimuths: ArrayLike, tangents: ArrayLike, look: StreetLook) -> Bytes:
        """The core caster: one column an azimuth, one row a tangent of elevation, one ray a pixel.

        Args:
            x: East, metres.
            y: North, metres.
            eye: Height of the eye above the ground, metres.
            azimuths: (W,) degrees clockwise from north, increasing, spanning at most 360.
            tangents: (H,) tangents of elevation, strictly decreasing.
            look: Weather, light and day; its camera is not applied.

        Returns:
            (H, W, 3) uint8.

        Raises:
            TiercelError: The point lies outside the city.
        """
        return shrink(self._frame(x, y, eye, azimuths, tangents, look, 1), 1)

    def cylinder(
        self, x: float, y: float, eye: float, heading: float, height: int, width: int, vertical_tangent: float,
        look: StreetLook, samples: int = 2,
    ) -> Bytes:  # fmt: skip
        """A full circle on a cylinder, its middle column looking at the heading.

        Args:
            x: East, metres.
            y: North, metres.
            eye: Height of the eye above the ground, metres.
            heading: Azimuth of the middle, degrees.
            height: Rows.
            width: Columns.
            vertical_tangent: Tangent of the elevation at the upper edge; the lower edge has its negative.
            look: Weather, light, day and camera.
            samples: Rays per pixel and direction.

        Returns:
            (height, width, 3) uint8.
        """
        azimuths, tangents = cylinder_grid(heading, height * samples, width * samples, vertical_tangent)
        picture = shrink(self._frame(x, y, eye, azimuths, tangents, look, samples), samples)
        return develop(picture, look, _noise_seed(x, y, look))

    def panorama(
        self, x: float, y: float, eye: float, heading: float, height: int, width: int, look: StreetLook,
        samples: int = 2,
    ) -> Bytes:  # fmt: skip
        """An equirectangular panorama, elevation from -90 to 90 degrees; arguments as in `cylinder`."""
        azimuths, tangents = panorama_grid(heading, height * samples, width * samples)
        picture = shrink(self._frame(x, y, eye, azimuths, tangents, look, samples), samples)
        return develop(picture, look, _noise_seed(x, y, look))

    def perspective(
        self, x: float, y: float, eye: float, heading: float, pitch: float, field_of_view: float, height: int,
        width: int, look: StreetLook, roll: float = 0.0, samples: int = 2,
    ) -> Bytes:  # fmt: skip
        """A photograph by a pinhole camera with square pixels.

        Args:
            x: East, metres.
            y: North, metres.
            eye: Height of the eye above the ground, metres.
            heading: Azimuth of the optical axis, degrees.
            pitch: Its elevation, degrees.
            field_of_view: Horizontal, degrees.
            height: Rows.
            width: Columns.
            look: Weather, light, day and camera.
            roll: Degrees the camera is turned clockwise about its axis.
            samples: Rays per pixel and direction.

        Returns:
            (height, width, 3) uint8.
        """
        camera = Pinhole(heading, pitch, roll, field_of_view, height, width)
        window = window_of(camera, samples)
        frame = self._frame(x, y, eye, window.azimuths, window.tangents, look, samples)
        return develop(resample(frame, camera, window, samples), look, _noise_seed(x, y, look))


def _noise_seed(x: float, y: float, look: StreetLook) -> int:
    """Noise that repeats for the same picture and differs between places and days."""
    return zlib.crc32(f"{x:.3f} {y:.3f} {look.day} {look.cloud_seed}".encode()) & 0xFFFF
