"""Shadows of buildings and trees, one sweep over the city for a direction of the sun."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.materials import Table, leaf_cover, roof_height
from tiercel.sim.rasters import Band, bands, new_raster, release
from tiercel.sim.world import TEXEL, Floats, Ints, World


def cast_shadows(
    world: World, sun_azimuth: float, sun_elevation: float, season: float = 1.0, folder: Path | None = None
) -> Floats:
    """How high the shadow reaches above every texel.

    Args:
        world: The city.
        sun_azimuth: Where the sun stands, radians clockwise from north.
        sun_elevation: Its height above the horizon, radians, in (0, pi / 2).
        season: In [0, 4), see `tiercel.sim.materials`; bare trees cast slighter shadows.
        folder: Where to keep the result, instead of in memory.

    Returns:
        (N, N) float32: height above the ground in metres below which a point over the texel lies in the shadow of
        something else; 0 where even the ground is in the sun. A part's own walls do not shade its roof.
    """
    texels = world.texels
    shadow = new_raster(texels, np.float32, folder)
    for band in bands(shadow):
        shadow[band[0] : band[1]] = world.ground[band[0] : band[1]]
        _raise_parts(shadow, world.building, world.parts, world.size, band)
        _raise_plants(shadow, world.plants, world.size, season, band)
        release(shadow, world.ground, world.building)
    east, south, slope = math.sin(sun_azimuth), -math.cos(sun_azimuth), math.tan(sun_elevation)
    major, minor = (south, east) if abs(south) >= abs(east) else (east, south)
    height = np.full(texels + 2 * _spare(texels, minor, major), -1e9, np.float32)
    for lines in bands(shadow):
        _sweep(shadow, world.ground, east, south, slope, height, lines)
        release(shadow, world.ground)
    return shadow


@compiled
def _raise_parts(top: Floats, building: Ints, parts: Table, size: float, band: Band) -> None:
    """Write the roof's height wherever a building stands."""
    for row in range(band[0], band[1]):
        for col in range(top.shape[1]):
            if building[row, col] > 0:
                top[row, col] = roof_height(
                    parts, building[row, col] - 1, (col + 0.5) * TEXEL, size - (row + 0.5) * TEXEL
                )


@compiled
def _raise_plants(top: Floats, plants: Table, size: float, season: float, band: Band) -> None:
    """Raise the surface to the crowns of trees."""
    texels = top.shape[0]
    for i in range(len(plants)):
        p = plants[i]
        radius = p.crown * (0.4 + 0.6 * leaf_cover(p.kind, season))
        middle, half = 0.5 * (p.height + p.clear), 0.5 * (p.height - p.clear)
        low, high = int((size - p.y - radius) / TEXEL), int((size - p.y + radius) / TEXEL) + 1
        for row in range(max(band[0], low), min(band[1], high)):
            for col in range(max(0, int((p.x - radius) / TEXEL)), min(texels, int((p.x + radius) / TEXEL) + 1)):
                dx, dy = (col + 0.5) * TEXEL - p.x, size - (row + 0.5) * TEXEL - p.y
                rest = 1.0 - (dx * dx + dy * dy) / (radius * radius)
                if rest > 0.0:
                    share = 1.0 - math.sqrt(1.0 - rest) if p.kind == 1 else math.sqrt(rest)
                    foot = p.clear if p.kind == 1 else middle
                    span = p.height - p.clear if p.kind == 1 else half
                    top[row, col] = max(top[row, col], p.ground + foot + span * share)


@compiled
def _spare(texels: int, minor: float, major: float) -> int:
    """How far digital lines may drift to either side."""
    return int(texels * abs(-minor / abs(major))) + 2


@compiled
def _sweep(
    shadow: Floats, ground: Floats, east: float, south: float, slope: float, height: Floats, lines: Band
) -> None:
    """Carry the height of the shadow away from the sun, along digital lines, one row or column of texels after another.

    `east` and `south` are the horizontal direction towards the sun. Every texel lies on exactly one line. `shadow` is
    given with the tops of what stands there and becomes the shadow; `height` is what is carried. Only the rows or
    columns `lines`, counted from the sun's side, are swept.
    """
    texels = shadow.shape[0]
    by_rows = abs(south) >= abs(east)
    major, minor = (south, east) if by_rows else (east, south)
    drop = slope * TEXEL / abs(major)
    drift = -minor / abs(major)
    spare = int(texels * abs(drift)) + 2
    for k in range(lines[0], lines[1]):
        line = k if major < 0.0 else texels - 1 - k
        shift = spare - math.floor(k * drift + 0.5)
        for c in range(texels):
            row, col = (line, c) if by_rows else (c, line)
            held, top = height[c + shift], shadow[row, col]
            shadow[row, col] = max(0.0, held - ground[row, col])
            height[c + shift] = max(held, top) - drop
