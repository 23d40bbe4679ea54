"""What is overhead and how it lights the street: the look of a photograph, the light it implies, the sky itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import smooth_step, value_noise
from tiercel.sim.world import Floats

Weather = Literal["sun", "overcast", "dusk"]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class StreetLook:
    """Everything about a street photograph that is not the place: weather, time of the year, camera, the day's traffic.

    Attributes:
        weather: Clear sky with sun, overcast, or dusk.
        sun: Which of the renderer's suns shines (taken modulo their number).
        clouds: Share of a clear sky under clouds, 0..1.
        cloud_seed: Which clouds.
        haze: Extinction per metre; 0.001 is clear air.
        season: In [0, 4): 0 spring, 1 summer, 2 autumn, 3 winter, as in `materials`.
        exposure: Factor on brightness.
        balance: Factors on red, green and blue.
        contrast: Factor around middle grey.
        saturation: 0 grey, 1 as seen.
        noise: Standard deviation of the sensor's noise, grey levels of 255.
        sharpness: -1 soft, 0 as rendered, 1 oversharpened.
        day: Seed of vehicles and pedestrians.
    """

    weather: Weather = "sun"
    sun: int = 0
    clouds: float = 0.35
    cloud_seed: int = 1
    haze: float = 0.0012
    season: float = 1.0
    exposure: float = 1.0
    balance: Colour = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    noise: float = 0.0
    sharpness: float = 0.0
    day: int = 0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> StreetLook:
        """Draw a look, on purpose from a wider range than cameras and weather have.

        Args:
            rng: Source of randomness; the same state gives the same look.
        """
        weather: Weather = ("sun", "overcast", "dusk")[int(rng.choice(3, p=(0.58, 0.32, 0.10)))]
        tint = rng.normal(0.0, 0.05, 3)
        return cls(
            weather=weather,
            sun=int(rng.integers(1 << 16)),
            clouds=float(rng.random()),
            cloud_seed=int(rng.integers(1 << 16)),
            haze=float(math.exp(rng.uniform(math.log(0.0004), math.log(0.005)))),
            season=float(rng.uniform(0.0, 4.0)),
            exposure=float(math.exp(rng.normal(0.0, 0.16))),
            balance=(float(1.0 + tint[0]), float(1.0 + 0.5 * tint[1]), float(1.0 + tint[2])),
            contrast=float(rng.uniform(0.8, 1.25)),
            saturation=float(rng.uniform(0.55, 1.3)),
            noise=float(rng.uniform(0.0, 7.0) * (rng.random() < 0.7)),
            sharpness=float(rng.uniform(-1.0, 1.0)),
            day=int(rng.integers(1 << 20)),
        )


class Light(NamedTuple):
    """A look as numbers for compiled code. Colours are factors on a surface's colour, or 0..255 for the sky's.

    Attributes:
        sun_x: Unit vector to the sun, east.
        sun_y: Unit vector to the sun, north.
        sun_z: Unit vector to the sun, up.
        sun_r: Strength of direct sunlight, red; 0 where no sun shines.
        sun_g: Green.
        sun_b: Blue.
        sky_r: Strength of the light of the whole sky, red.
        sky_g: Green.
        sky_b: Blue.
        zenith_r: Colour overhead.
        zenith_g: Colour overhead.
        zenith_b: Colour overhead.
        horizon_r: Colour at the horizon, and of the haze.
        horizon_g: Colour at the horizon, and of the haze.
        horizon_b: Colour at the horizon, and of the haze.
        cloud: Share of clouds, 0..1.
        cloud_light: Brightness of clouds, 0..255.
        cloud_seed: Which clouds.
        haze: Extinction per metre.
        season: In [0, 4).
        evening: 1 where lamps and windows are lit.
    """

    sun_x: float
    sun_y: float
    sun_z: float
    sun_r: float
    sun_g: float
    sun_b: float
    sky_r: float
    sky_g: float
    sky_b: float
    zenith_r: float
    zenith_g: float
    zenith_b: float
    horizon_r: float
    horizon_g: float
    horizon_b: float
    cloud: float
    cloud_light: float
    cloud_seed: int
    haze: float
    season: float
    evening: float


def light_of(look: StreetLook, azimuth: float, elevation: float) -> Light:
    """The light of a look.

    Args:
        look: The look.
        azimuth: Of the sun, degrees clockwise from north.
        elevation: Of the sun above the horizon, degrees.
    """
    bearing, height = math.radians(azimuth), math.radians(elevation)
    towards = (
        math.sin(bearing) * math.cos(height),
        math.cos(bearing) * math.cos(height),
        math.sin(height),
    )
    # Lit ground under a high sun comes to about 1.0, shade to about 0.5.
    if look.weather == "sun":
        low = 1.0 - min(1.0, elevation / 50.0)
        direct = (0.66, 0.63 - 0.05 * low, 0.58 - 0.14 * low)
        strength = (1.0 - 0.25 * look.clouds) * (0.92 + 0.40 * low) / max(0.55, towards[2] + 0.25)
        sun = tuple(channel * strength for channel in direct)
        ambient, zenith, horizon = (0.56, 0.585, 0.635), (84.0, 134.0, 200.0), (190.0, 208.0, 226.0)
        cloud, cloud_light = look.clouds * 0.9, 244.0
    elif look.weather == "overcast":
        sun = (0.0, 0.0, 0.0)
        grey = 0.86 + 0.12 * look.clouds
        ambient, zenith = (0.98 * grey, 0.99 * grey, 1.01 * grey), (176.0 * grey, 182.0 * grey, 188.0 * grey)
        horizon, cloud, cloud_light = (206.0 * grey, 208.0 * grey, 210.0 * grey), 0.75, 224.0 * grey
    else:
        sun = (0.42, 0.26, 0.13)
        ambient, zenith, horizon = (0.56, 0.52, 0.60), (74.0, 84.0, 132.0), (232.0, 172.0, 130.0)
        cloud, cloud_light = look.clouds * 0.8, 176.0
    return Light(
        towards[0], towards[1], towards[2], sun[0], sun[1], sun[2], *ambient, *zenith, *horizon,
        cloud, cloud_light, look.cloud_seed, look.haze, look.season, 1.0 if look.weather == "dusk" else 0.0,
    )  # fmt: skip


@compiled
def sky_colour(east: float, north: float, tangent: float, light: Light) -> Colour:
    """The colour of the sky in a direction.

    Args:
        east: East part of the unit azimuth vector.
        north: North part of it.
        tangent: Tangent of the elevation.
        light: The light of the day.

    Returns:
        Red, green, blue, 0..255.
    """
    tangent = max(0.0, tangent)
    up = tangent / math.sqrt(1.0 + tangent * tangent)
    share = min(1.0, 1.25 * up / (0.25 + up))
    r = light.horizon_r + (light.zenith_r - light.horizon_r) * share
    g = light.horizon_g + (light.zenith_g - light.horizon_g) * share
    b = light.horizon_b + (light.zenith_b - light.horizon_b) * share
    flat = math.sqrt(1.0 - up * up)
    towards = flat * (east * light.sun_x + north * light.sun_y) + up * light.sun_z
    if light.sun_r > 0.0 and towards > 0.0:
        disc = 3.0 * smooth_step(0.9988, 0.9996, towards) * (1.0 - light.evening)
        glow = towards**8 * 0.28 + towards**64 * 0.35 + disc
        r += (255.0 - r) * min(1.0, glow)
        g += (248.0 - g) * min(1.0, glow * 0.92)
        b += (228.0 - b) * min(1.0, glow * 0.8)
    if light.cloud > 0.02:
        reach = 1.0 / (up + 0.11)
        x = east * flat * reach
        y = north * flat * reach
        seed = light.cloud_seed
        density = 0.60 * value_noise(1.3 * x, 1.3 * y, seed) + 0.27 * value_noise(3.1 * x, 3.1 * y, seed + 1)
        density += 0.13 * value_noise(7.7 * x, 7.7 * y, seed + 2)
        cover = smooth_step(0.78 - 0.5 * light.cloud, 1.02 - 0.5 * light.cloud, density) * min(1.0, 6.0 * up + 0.1)
        shade = light.cloud_light * (1.12 - 0.28 * density)
        warm = 0.5 * light.evening
        cr = min(255.0, shade + warm * 90.0)
        cg = min(255.0, shade + warm * 10.0)
        cb = min(255.0, shade + 4.0 - warm * 20.0)
        cover *= 0.93
        r += (cr - r) * cover
        g += (cg - g) * cover
        b += (cb - b) * cover
    return r, g, b


@compiled
def sky_grid(directions: Floats, tangents: Floats, step: int, light: Light) -> Floats:
    """The sky on a coarse grid, since it is smooth: every ``step``-th column and row, with one more at each end.

    Args:
        directions: (W, 2) float32, east and north part of every column's azimuth.
        tangents: (H,) float32, tangents of elevation.
        step: Columns and rows between two grid points.
        light: The light of the day.

    Returns:
        (columns, rows, 3) float32; rows below the horizon hold the horizon's colour.
    """
    width = directions.shape[0]
    height = tangents.shape[0]
    grid = np.empty((width // step + 2, height // step + 2, 3), np.float32)
    for i in range(grid.shape[0]):
        column = min(i * step, width - 1)
        for j in range(grid.shape[1]):
            tangent = tangents[min(j * step, height - 1)]
            if tangent <= 0.0 and j > 0 and tangents[min(j * step - step, height - 1)] <= 0.0:
                grid[i, j, 0], grid[i, j, 1], grid[i, j, 2] = light.horizon_r, light.horizon_g, light.horizon_b
                continue
            r, g, b = sky_colour(directions[column, 0], directions[column, 1], tangent, light)
            grid[i, j, 0], grid[i, j, 1], grid[i, j, 2] = r, g, b
    return grid
