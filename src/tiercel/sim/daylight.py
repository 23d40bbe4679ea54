"""How the ground and the roofs look from above: their colours under sun, sky, shadow and snow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.inlined import inlined
from tiercel.sim.materials import Colour, Table, ground_at, ground_colour, roof_colour, roof_height, value_noise
from tiercel.sim.world import Bytes, Floats, Ints

Array = NDArray[np.float64]


@compiled
def lit(r: float, g: float, b: float, sunlit: float, facing: float, light: Array) -> Colour:
    """Colour under sun and sky.

    `sunlit` is the share of the sun that is not hidden, `facing` the light it sheds as a share of that on flat ground.
    """
    sky, tint = light[0], light[1]
    direct = (1.0 - sky) * facing * sunlit
    warm = direct + sky * (1.0 - 0.1 * tint)
    cold = direct + sky * (1.0 + 0.14 * tint)
    return r * warm, g * (direct + sky), b * cold


@compiled
def sunlight(shadow: Floats, col: float, row: float) -> float:
    """Share of the sun on the ground at a place in texels: the edge of a shadow is as soft as a texel is wide."""
    last = shadow.shape[0] - 2
    c, r = min(max(int(col), 0), last), min(max(int(row), 0), last)
    fx, fy = min(max(col - c, 0.0), 1.0), min(max(row - r, 0.0), 1.0)
    low = (1.0 - fx if shadow[r, c] < 0.3 else 0.0) + (fx if shadow[r, c + 1] < 0.3 else 0.0)
    high = (1.0 - fx if shadow[r + 1, c] < 0.3 else 0.0) + (fx if shadow[r + 1, c + 1] < 0.3 else 0.0)
    return float(low * (1.0 - fy) + high * fy)


@compiled
def sunlight_above(shadow: Floats, ground: Floats, col: float, row: float, height: float) -> float:
    """The same for a roof or a wall at a height."""
    last = shadow.shape[0] - 2
    c, r = min(max(int(col), 0), last), min(max(int(row), 0), last)
    fx, fy = min(max(col - c, 0.0), 1.0), min(max(row - r, 0.0), 1.0)
    total = 0.0
    for dr in range(2):
        for dc in range(2):
            if shadow[r + dr, c + dc] + ground[r + dr, c + dc] < height:
                total += (fx if dc else 1.0 - fx) * (fy if dr else 1.0 - fy)
    return total


@compiled
def inside(parts: Table, corners: Floats, i: int, x: float, y: float) -> float:
    """Distance in metres of a point to the nearest wall of a part, negative outside."""
    low, high = parts[i].start, parts[i].start + parts[i].count
    best = 1e9
    for k in range(low, high):
        j = k + 1 if k + 1 < high else low
        ex, ey = corners[j, 0] - corners[k, 0], corners[j, 1] - corners[k, 1]
        best = min(best, (ex * (y - corners[k, 1]) - ey * (x - corners[k, 0])) / math.sqrt(ex * ex + ey * ey + 1e-9))
    return best


@inlined
def snowed(r: float, g: float, b: float, white: float, x: float, y: float) -> Colour:
    """A colour under snow that covers a share `white` of such ground, in patches."""
    if white > 0.0:
        cover = min(1.0, max(0.0, white * 2.2 - 1.4 * value_noise(x * 0.12, y * 0.12, 7)))
        r, g, b = r + (236.0 - r) * cover, g + (239.0 - g) * cover, b + (244.0 - b) * cover
    return r, g, b


@inlined
def roof_from_above(
    parts: Table, part: int, x: float, y: float, top: float, rim: float, step: float, size: float, ground: Floats,
    shadow: Floats, sun: Array, light: Array,
) -> Colour:  # fmt: skip
    """A roof at a height `top`, `rim` metres from its nearest wall, in pixels of `step` metres."""
    facing = 1.0
    r, g, b = roof_colour(parts, part, x, y, step)
    if parts[part].rise > 0.0:
        gx = (roof_height(parts, part, x + 0.15, y) - roof_height(parts, part, x - 0.15, y)) / 0.3
        gy = (roof_height(parts, part, x, y + 0.15) - roof_height(parts, part, x, y - 0.15)) / 0.3
        if gx * gx + gy * gy < 16.0:
            facing = max(0.0, (sun[2] - gx * sun[0] - gy * sun[1]) / math.sqrt(1.0 + gx * gx + gy * gy)) / sun[2]
            facing = min(1.6, facing)
    elif rim < 0.45 and parts[part].facade != 8 and parts[part].half_width > 3.0:
        r, g, b = r * 1.12 + 6.0, g * 1.12 + 6.0, b * 1.12 + 6.0
    sunlit = sunlight_above(shadow, ground, 2.0 * x - 0.5, 2.0 * (size - y) - 0.5, top + 0.35)
    r, g, b = snowed(r, g, b, light[3], x, y)
    return lit(r, g, b, sunlit, facing, light)


@inlined
def ground_from_above(
    surface: Bytes, feature: Ints, features: Table, u: Floats, v: Floats, junction: Floats, size: float, x: float,
    y: float, step: float, shadow: Floats, light: Array,
) -> Colour:  # fmt: skip
    """The ground at a point, in pixels of `step` metres."""
    season, snow = light[2], light[3]
    what, owner, pu, pv, near = ground_at(surface, feature, features, u, v, junction, size, x, y)
    r, g, b = ground_colour(int(what), int(owner), features, x, y, pu, pv, near, season, step)
    white = snow * (0.25 if what == 0 else (0.0 if what == 6 else 0.9))
    sunlit = sunlight(shadow, 2.0 * x - 0.5, 2.0 * (size - y) - 0.5)
    r, g, b = snowed(r, g, b, white, x, y)
    return lit(r, g, b, sunlit, 1.0, light)
