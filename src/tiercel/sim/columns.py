"""The column caster: ground, walls, roofs and sky of a world as seen from one point, one azimuth a column.

A column marches from the eye outwards over the ground raster. In open ground it leaps as far as a distance field
allows; cells that cannot rise above what is already drawn are skipped whole; walls are met exactly, by intersecting the
ray with the edges of the building part it runs into. A pointer climbs the column from the lowest row: whatever is met
first stays.

Frames are stored by column, (W, H, 3), because that is the order in which they are filled.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.facades import BASE, EAVE, KIND, facade_colour, wall_table
from tiercel.sim.inlined import inlined
from tiercel.sim.materials import ground_colour, roof_colour, roof_height
from tiercel.sim.noise import value_noise
from tiercel.sim.rasters import Band, bands, release
from tiercel.sim.sky import Colour, Light
from tiercel.sim.world import TEXEL, Bytes, Floats, Ints, Surface, World

REACH = 700.0
"""How far a column looks, metres."""
CELL = 8
"""Side of a cell of `Scene.tops`, metres."""
BLOCK = 64
"""Side of a block of `Scene.peaks`, metres."""
NOTHING = 1.0e9
"""Depth of the sky."""

_ROAD, _WATER = int(Surface.ROAD), int(Surface.WATER)
_STREET, _ROUNDABOUT = 0, 2


class Scene(NamedTuple):
    """The arrays of a `World` that the caster reads, and what is derived from them once.

    Attributes:
        size: Side of the city, metres.
        ground: As in `World`.
        surface: As in `World`.
        feature: As in `World`.
        u: As in `World`.
        v: As in `World`.
        junction: As in `World`.
        building: As in `World`.
        features: As in `World`.
        parts: As in `World`.
        corners: As in `World`.
        walls: Table of walls, see `facades`.
        clearance: (size, size) uint8 in cells of one metre: that many metres around the cell are free of walls and
            of steps in the ground.
        tops: (n, n) float32 in cells of `CELL` metres: greatest absolute height of ground and roofs.
        peaks: The same in blocks of `BLOCK` metres.
    """

    size: float
    ground: Floats
    surface: Bytes
    feature: Ints
    u: Floats
    v: Floats
    junction: Floats
    building: Ints
    features: NDArray[np.void]
    parts: NDArray[np.void]
    corners: Floats
    walls: Floats
    clearance: Bytes
    tops: Floats
    peaks: Floats


def make_scene(world: World) -> Scene:
    """Prepare a world for the caster."""
    walls = wall_table(world.parts)
    roof_tops = (world.parts["eave"] + np.maximum(0.0, world.parts["rise"])).astype(np.float32)
    clearance, tops = _survey(world.ground, world.building, roof_tops, math.ceil(world.size))
    many = BLOCK // CELL
    padded = np.pad(tops, (0, -len(tops) % many), constant_values=-1.0e9)
    peaks = padded.reshape(len(padded) // many, many, -1, many).max(axis=(1, 3))
    return Scene(
        float(world.size), world.ground, world.surface, world.feature, world.u, world.v, world.junction,
        world.building, world.features, world.parts, world.corners, walls, clearance, tops,
        np.ascontiguousarray(peaks),
    )  # fmt: skip


def _survey(ground: Floats, building: Ints, roof_tops: Floats, metres: int) -> tuple[Bytes, Floats]:
    """`Scene.clearance` (a chessboard distance transform) and `Scene.tops`."""
    clearance = np.full((metres, metres), 255, np.uint8)
    cells = (metres + CELL - 1) // CELL
    tops = np.full((cells, cells), -1.0e9, np.float32)
    for band in bands(ground):
        _survey_rows(ground, building, roof_tops, band, clearance, tops)
        release(ground, building)
    _spread(clearance)
    return clearance, tops


@compiled
def _survey_rows(ground: Floats, building: Ints, roof_tops: Floats, band: Band, clearance: Bytes, tops: Floats) -> None:
    """Marks where something stands in some rows, and how high it reaches."""
    texels = ground.shape[0]
    per_metre = round(1.0 / TEXEL)
    for j in range(band[0], band[1]):
        for i in range(texels):
            height = ground[j, i]
            row, column = j // per_metre, i // per_metre
            part = building[j, i]
            step = 0.0
            if i + 1 < texels:
                step = abs(ground[j, i + 1] - height)
            if j + 1 < texels:
                step = max(step, abs(ground[j + 1, i] - height))
            if part > 0 or step > 0.3:
                clearance[row, column] = 0
            if part > 0:
                height = max(height, roof_tops[part - 1])
            if height > tops[row // CELL, column // CELL]:
                tops[row // CELL, column // CELL] = height


@compiled
def _spread(clearance: Bytes) -> None:
    """From marks to distances."""
    metres = clearance.shape[0]
    for j in range(metres):
        for i in range(metres):
            best = int(clearance[j, i])
            if j > 0:
                best = min(best, 1 + clearance[j - 1, i])
                if i > 0:
                    best = min(best, 1 + clearance[j - 1, i - 1])
                if i + 1 < metres:
                    best = min(best, 1 + clearance[j - 1, i + 1])
            if i > 0:
                best = min(best, 1 + clearance[j, i - 1])
            clearance[j, i] = best
    for j in range(metres - 1, -1, -1):
        for i in range(metres - 1, -1, -1):
            best = int(clearance[j, i])
            if j + 1 < metres:
                best = min(best, 1 + clearance[j + 1, i])
                if i > 0:
                    best = min(best, 1 + clearance[j + 1, i - 1])
                if i + 1 < metres:
                    best = min(best, 1 + clearance[j + 1, i + 1])
            if i + 1 < metres:
                best = min(best, 1 + clearance[j, i + 1])
            clearance[j, i] = best
    for j in range(metres):  # the cell itself is taken only where something stands in it
        for i in range(metres):
            if clearance[j, i] > 0:
                clearance[j, i] -= 1


@inlined
def ground_height(ground: Floats, size: float, x: float, y: float) -> float:
    """Height of the ground at a continuous point, bilinear, metres."""
    last = ground.shape[0] - 1
    column = min(max(x / TEXEL - 0.5, 0.0), last - 0.001)
    row = min(max((size - y) / TEXEL - 0.5, 0.0), last - 0.001)
    i, j = int(column), int(row)
    across, down = column - i, row - j
    top = ground[j, i] * (1.0 - across) + ground[j, i + 1] * across
    bottom = ground[j + 1, i] * (1.0 - across) + ground[j + 1, i + 1] * across
    return float(top * (1.0 - down) + bottom * down)


@inlined
def shadow_height(shadow: Floats, size: float, x: float, y: float) -> float:
    """Height above the ground below which the point is in shadow, bilinear; 0 where no sun is cast."""
    last = shadow.shape[0] - 1
    if last < 1:
        return 0.0
    column = min(max(x / TEXEL - 0.5, 0.0), last - 0.001)
    row = min(max((size - y) / TEXEL - 0.5, 0.0), last - 0.001)
    i, j = int(column), int(row)
    across, down = column - i, row - j
    top = shadow[j, i] * (1.0 - across) + shadow[j, i + 1] * across
    bottom = shadow[j + 1, i] * (1.0 - across) + shadow[j + 1, i + 1] * across
    return float(top * (1.0 - down) + bottom * down)


@inlined
def _ground_owner(scene: Scene, x: float, y: float, coarse: bool) -> tuple[int, int]:
    """Feature and surface of a continuous point: the texels around it vote."""
    last = scene.surface.shape[0] - 1
    column = min(max(x / TEXEL - 0.5, 0.0), last - 0.001)
    row_at = min(max((scene.size - y) / TEXEL - 0.5, 0.0), last - 0.001)
    i, j = int(column), int(row_at)
    across, down = column - i, row_at - j
    if coarse:
        i, j = i + (across > 0.5), j + (down > 0.5)
        return scene.feature[j, i], scene.surface[j, i]
    k00 = scene.feature[j, i] * 16 + scene.surface[j, i]
    k01 = scene.feature[j, i + 1] * 16 + scene.surface[j, i + 1]
    k10 = scene.feature[j + 1, i] * 16 + scene.surface[j + 1, i]
    k11 = scene.feature[j + 1, i + 1] * 16 + scene.surface[j + 1, i + 1]
    if k00 == k01 and k00 == k10 and k00 == k11:
        return k00 >> 4, k00 & 15
    w00, w01 = (1.0 - across) * (1.0 - down), across * (1.0 - down)
    w10, w11 = (1.0 - across) * down, across * down
    row = k00 >> 4
    whole = row == k01 >> 4 and row == k10 >> 4 and row == k11 >> 4
    if whole and (scene.features[row].kind == _STREET or scene.features[row].kind == _ROUNDABOUT):
        # The kerb of a street is where its own coordinate says, as sharp as the markings are.
        other = k00
        other = k01 if other & 15 == _ROAD else other
        other = k10 if other & 15 == _ROAD else other
        other = k11 if other & 15 == _ROAD else other
        paved = (k00 & 15 == _ROAD) or (k01 & 15 == _ROAD) or (k10 & 15 == _ROAD) or (k11 & 15 == _ROAD)
        corner = min(scene.junction[j, i], scene.junction[j + 1, i + 1])
        if paved and min(corner, scene.junction[j, i + 1], scene.junction[j + 1, i]) > 0.5:
            u = scene.u[j, i] * w00 + scene.u[j, i + 1] * w01 + scene.u[j + 1, i] * w10 + scene.u[j + 1, i + 1] * w11
            if abs(u) < scene.features[row].half_width:
                return row, _ROAD
            return row, other & 15
    # Nine texels vote, by the weights of a quadratic spline, for one of the inner four: edges that are straight in the
    # city come out straight, not as stairs.
    i, j = int(column + 0.5), int(row_at + 0.5)
    across, down = column - i, row_at - j
    best, winner = -1.0, k00
    for candidate in (k00, k01, k10, k11):
        votes = 0.0
        for m in range(-1, 2):
            tall = 0.75 - down * down if m == 0 else 0.5 * (0.5 + m * down) ** 2
            for n in range(-1, 2):
                p, q = min(max(j + m, 0), last), min(max(i + n, 0), last)
                if scene.feature[p, q] * 16 + scene.surface[p, q] == candidate:
                    votes += tall * (0.75 - across * across if n == 0 else 0.5 * (0.5 + n * across) ** 2)
        if votes > best:
            best, winner = votes, candidate
    return winner >> 4, winner & 15


@inlined
def _ground_albedo(
    scene: Scene, owner: int, kind: int, season: float, x: float, y: float, detail: float
) -> tuple[float, float, float]:
    """Colour of the ground at a continuous point of a feature.

    ``u``, ``v`` and ``junction`` are interpolated among the texels of that feature, so that markings are smooth lines.
    """
    last = scene.surface.shape[0] - 1
    column = min(max(x / TEXEL - 0.5, 0.0), last - 0.001)
    row = min(max((scene.size - y) / TEXEL - 0.5, 0.0), last - 0.001)
    i, j = int(column), int(row)
    across, down = column - i, row - j
    w00 = (1.0 - across) * (1.0 - down) * (scene.feature[j, i] == owner)
    w01 = across * (1.0 - down) * (scene.feature[j, i + 1] == owner)
    w10 = (1.0 - across) * down * (scene.feature[j + 1, i] == owner)
    w11 = across * down * (scene.feature[j + 1, i + 1] == owner)
    scale = 1.0 / max(1e-6, w00 + w01 + w10 + w11)
    w00, w01, w10, w11 = w00 * scale, w01 * scale, w10 * scale, w11 * scale
    u = scene.u[j, i] * w00 + scene.u[j, i + 1] * w01 + scene.u[j + 1, i] * w10 + scene.u[j + 1, i + 1] * w11
    v = scene.v[j, i] * w00 + scene.v[j, i + 1] * w01 + scene.v[j + 1, i] * w10 + scene.v[j + 1, i + 1] * w11
    junction = (
        scene.junction[j, i] * w00
        + scene.junction[j, i + 1] * w01
        + scene.junction[j + 1, i] * w10
        + scene.junction[j + 1, i + 1] * w11
    )
    r, g, b = ground_colour(
        kind, owner, scene.features, x, y, u, v, junction,
        season, detail,
    )  # fmt: skip
    return r, g, b


@inlined
def store(frame: Bytes, column: int, row: int, r: float, g: float, b: float) -> None:
    """Write a colour, clipped to a byte."""
    frame[column, row, 0] = int(min(255.0, max(0.0, r)))
    frame[column, row, 1] = int(min(255.0, max(0.0, g)))
    frame[column, row, 2] = int(min(255.0, max(0.0, b)))


@inlined
def sun_share(height: float, shadow: float, soft: float) -> float:
    """How much of the sun reaches a point ``height`` above the ground where shadow reaches up to ``shadow``."""
    return min(1.0, max(0.0, 0.5 + (height - shadow + 0.25 * soft) / soft))


@inlined
def _lit_ground(
    scene: Scene, shadow: Floats, light: Light, owner: int, kind: int, x: float, y: float, z: float, tangent: float,
    distance: float, detail: float,
) -> Colour:  # fmt: skip
    """The ground as it looks from the eye; an owner of -2 stands for the face of a quay or a bridge."""
    lit = 1.0
    if light.sun_r > 0.0:
        lit = light.sun_z * sun_share(0.0, shadow_height(shadow, scene.size, x, y), 0.5)
    if owner == -2:
        course = 0.9 + 0.1 * value_noise(x * 1.7 + y * 1.7, z * 3.0, 5)
        r, g, b = 142.0 * course, 136.0 * course, 126.0 * course
        lit *= 0.6
    else:
        r, g, b = _ground_albedo(scene, owner, kind, light.season, x, y, detail)
    r *= light.sky_r + light.sun_r * lit
    g *= light.sky_g + light.sun_g * lit
    b *= light.sky_b + light.sun_b * lit
    if kind == _WATER and owner != -2:
        grazing = 1.0 - abs(tangent) / math.sqrt(1.0 + tangent * tangent)
        mirror = 0.06 + 0.70 * grazing * grazing * grazing
        if detail < 2.0:
            mirror *= 0.75 + 0.5 * value_noise(x * 1.1 + 0.6 * y, y * 2.3, 3)
        up = min(1.0, 1.4 * abs(tangent) + 0.1)
        r += (light.horizon_r + (light.zenith_r - light.horizon_r) * up - r) * mirror
        g += (light.horizon_g + (light.zenith_g - light.horizon_g) * up - g) * mirror
        b += (light.horizon_b + (light.zenith_b - light.horizon_b) * up - b) * mirror
    veil = 1.0 - math.exp(-distance * light.haze)
    r += (light.horizon_r - r) * veil
    g += (light.horizon_g - g) * veil
    b += (light.horizon_b - b) * veil
    return r, g, b


@inlined
def _draw_ground(
    scene: Scene, shadow: Floats, light: Light, x0: float, y0: float, eye: float, dx: float, dy: float,
    tangents: Floats, turn: float, d0: float, z0: float, d1: float, z1: float, column: int, row: int,
    samples: int, shared: Floats, frame: Bytes, depth: Floats,
) -> int:  # fmt: skip
    """Draw the stretch of ground between two distances; returns the next row to fill.

    Rays of one pixel that meet the same surface share one colour, ``shared``: feature, surface, red, green, blue by
    block of rows. Markings are averaged over the pixel already, so nothing is lost.
    """
    if d1 <= d0 + 1e-6:
        return row
    top = (z1 - eye) / d1
    slope = (z1 - z0) / (d1 - d0)
    steep = slope > 0.7 and z1 - z0 > 0.25
    shift = samples - 1
    while row >= 0 and tangents[row] <= top:
        tangent = tangents[row]
        fall = slope - tangent
        distance = d1 if fall < 1e-6 else (eye + slope * d0 - z0) / fall
        distance = min(d1, max(d0, distance))
        x, y = x0 + dx * distance, y0 + dy * distance
        across = distance * turn
        owner, kind = _ground_owner(scene, x, y, across > 0.4)
        block = row >> shift
        if steep:
            owner = -2
        if shared[block, 0] == owner and shared[block, 1] == kind:
            r, g, b = shared[block, 2], shared[block, 3], shared[block, 4]
        else:
            rise = tangents[row - 1] - tangent if row > 0 else tangents[0] - tangents[1]
            deep = distance * rise / max(0.004, fall)
            detail = math.sqrt(across * min(deep, 12.0 * across + 0.02))
            r, g, b = _lit_ground(
                scene, shadow, light, owner, kind, x, y, eye + tangent * distance, tangent, distance, detail
            )
            shared[block, 0], shared[block, 1] = owner, kind
            shared[block, 2], shared[block, 3], shared[block, 4] = r, g, b
        store(frame, column, row, r, g, b)
        depth[column, row] = distance
        row -= 1
    return row


@inlined
def _draw_roof(
    scene: Scene, shadow: Floats, light: Light, part: int, x0: float, y0: float, eye: float, dx: float, dy: float,
    tangents: Floats, turn: float, d0: float, z0: float, d1: float, z1: float, column: int, row: int,
    frame: Bytes, depth: Floats,
) -> int:  # fmt: skip
    """Draw the stretch of a roof between two distances; returns the next row to fill."""
    if d1 <= d0 + 1e-6:
        return row
    top = (z1 - eye) / d1
    if row < 0 or tangents[row] > top:
        return row
    middle = 0.5 * (d0 + d1)
    x, y = x0 + dx * middle, y0 + dy * middle
    here = roof_height(scene.parts, part, x, y)
    east = roof_height(scene.parts, part, x + 0.1, y) - here
    north = roof_height(scene.parts, part, x, y + 0.1) - here
    length = math.sqrt(east * east + north * north + 0.01)
    lit = max(0.0, (-east * light.sun_x - north * light.sun_y + 0.1 * light.sun_z) / length)
    if light.sun_r > 0.0:
        above = here - scene.walls[part, BASE]
        lit *= sun_share(above, shadow_height(shadow, scene.size, x, y) - 1.2, 0.6)
    ambient = 0.75 + 0.25 * 0.1 / length
    light_r = light.sky_r * ambient + light.sun_r * lit
    light_g = light.sky_g * ambient + light.sun_g * lit
    light_b = light.sky_b * ambient + light.sun_b * lit
    slope = (z1 - z0) / (d1 - d0)
    while row >= 0 and tangents[row] <= top:
        fall = slope - tangents[row]
        distance = d1 if fall < 1e-6 else (eye + slope * d0 - z0) / fall
        distance = min(d1, max(d0, distance))
        x, y = x0 + dx * distance, y0 + dy * distance
        r, g, b = roof_colour(scene.parts, part, x, y, distance * turn)
        veil = 1.0 - math.exp(-distance * light.haze)
        r *= light_r
        g *= light_g
        b *= light_b
        r += (light.horizon_r - r) * veil
        g += (light.horizon_g - g) * veil
        b += (light.horizon_b - b) * veil
        store(frame, column, row, r, g, b)
        depth[column, row] = distance
        row -= 1
    return row


@inlined
def _draw_wall(
    scene: Scene, shadow: Floats, light: Light, part: int, x0: float, y0: float, eye: float, dx: float, dy: float,
    tangents: Floats, turn: float, distance: float, top: float, along: float, length: float, nx: float, ny: float,
    column: int, row: int, samples: int, frame: Bytes, depth: Floats,
) -> int:  # fmt: skip
    """Draw a wall met at one distance, up to the absolute height ``top``; returns the next row to fill."""
    reach = (top - eye) / max(0.05, distance)
    if row < 0 or tangents[row] > reach:
        return row
    wall = scene.walls[part]
    base = wall[BASE]
    facing = -(nx * dx + ny * dy)
    detail = distance * turn * (0.5 + 0.5 / max(0.15, facing))
    x, y = x0 + dx * distance, y0 + dy * distance
    towards = nx * light.sun_x + ny * light.sun_y
    dark = 0.0
    foot = ground_height(scene.ground, scene.size, x + 0.7 * nx, y + 0.7 * ny)
    if light.sun_r > 0.0 and towards > 0.0:
        dark = shadow_height(shadow, scene.size, x + 0.9 * nx, y + 0.9 * ny)
    # Skylight differs a little with the direction of a wall, so that corners show under an overcast sky too.
    ambient = 0.80 + 0.07 * nx + 0.05 * ny
    veil = math.exp(-distance * light.haze)
    mist_r, mist_g, mist_b = (
        light.horizon_r * (1.0 - veil), light.horizon_g * (1.0 - veil), light.horizon_b * (1.0 - veil),
    )  # fmt: skip
    barrier = int(wall[KIND]) == 8
    # Of the rays of one pixel those in the same column share a colour, taken in turn at its lower and its upper ray.
    block, shift = -1, samples - 1
    odd = column & shift
    r, g, b = 0.0, 0.0, 0.0
    while row >= 0 and tangents[row] <= reach:
        if row >> shift != block:
            block = row >> shift
            tangent = tangents[max(0, row - odd)]
            z = min(top, eye + tangent * distance)
            r, g, b, gloss, glow = facade_colour(wall, along, length, max(0.0, z - base), detail)
            up = max(0.0, z - foot)
            open_sky = (
                ambient * (0.72 + 0.28 * min(1.0, up / 1.6)) if not barrier else ambient * (0.8 + 0.2 * min(1.0, up))
            )
            lit = 0.0
            if towards > 0.0:
                lit = towards * sun_share(up, dark, 0.7)
            r *= light.sky_r * open_sky + light.sun_r * lit
            g *= light.sky_g * open_sky + light.sun_g * lit
            b *= light.sky_b * open_sky + light.sun_b * lit
            if gloss > 0.0:
                gloss = min(0.8, gloss * (1.0 + 1.6 * (1.0 - facing) * (1.0 - facing)))
                clear = min(1.0, max(0.0, (tangent - 0.05) * 2.2))
                r += ((light.horizon_r * 0.75 + light.zenith_r * 0.25) * clear + 84.0 * (1.0 - clear) - r) * gloss
                g += ((light.horizon_g * 0.75 + light.zenith_g * 0.25) * clear + 86.0 * (1.0 - clear) - g) * gloss
                b += ((light.horizon_b * 0.75 + light.zenith_b * 0.25) * clear + 88.0 * (1.0 - clear) - b) * gloss
            if glow > 0.0 and light.evening > 0.0:
                shine = glow * light.evening * 0.9
                r += (250.0 - r) * shine
                g += (208.0 - g) * shine
                b += (138.0 - b) * shine
        store(frame, column, row, r * veil + mist_r, g * veil + mist_g, b * veil + mist_b)
        depth[column, row] = distance
        row -= 1
    return row


@inlined
def _enter(
    scene: Scene, part: int, x0: float, y0: float, dx: float, dy: float, limit: float
) -> tuple[float, float, float, float, float, float]:
    """The last place up to ``limit`` where a ray enters a footprint.

    Returns:
        Distance of entry (-1: none), distance where it leaves again, metres along the edge, length of the edge,
        outward normal of the edge.
    """
    start, count = scene.parts[part]["start"], scene.parts[part]["count"]
    entry, along, length, nx, ny = -1.0, 0.0, 1.0, 0.0, 0.0
    for k in range(count):
        ax, ay = scene.corners[start + k, 0], scene.corners[start + k, 1]
        following = start + k + 1 if k + 1 < count else start
        ex, ey = scene.corners[following, 0] - ax, scene.corners[following, 1] - ay
        towards = dx * ey - dy * ex
        if towards < -1e-9:
            distance = ((ax - x0) * ey - (ay - y0) * ex) / towards
            if entry < distance <= limit:
                squared = ex * ex + ey * ey
                share = ((x0 + dx * distance - ax) * ex + (y0 + dy * distance - ay) * ey) / squared
                if -1e-4 <= share <= 1.0001:
                    edge = math.sqrt(squared)
                    entry, along, length, nx, ny = distance, share * edge, edge, ey / edge, -ex / edge
    if entry < 0.0:
        return -1.0, 0.0, 0.0, 1.0, 0.0, 0.0
    leave = NOTHING
    for k in range(count):
        ax, ay = scene.corners[start + k, 0], scene.corners[start + k, 1]
        following = start + k + 1 if k + 1 < count else start
        ex, ey = scene.corners[following, 0] - ax, scene.corners[following, 1] - ay
        towards = dx * ey - dy * ex
        if towards > 1e-9:
            distance = ((ax - x0) * ey - (ay - y0) * ex) / towards
            if entry <= distance < leave:
                share = ((x0 + dx * distance - ax) * ex + (y0 + dy * distance - ay) * ey) / (ex * ex + ey * ey)
                if -1e-4 <= share <= 1.0001:
                    leave = distance
    return entry, leave, along, length, nx, ny


@inlined
def _border(origin: float, direction: float, low: float, high: float) -> float:
    """Distance at which a coordinate leaves the interval it is in."""
    if direction > 1e-9:
        return (high - origin) / direction
    if direction < -1e-9:
        return (low - origin) / direction
    return NOTHING


@inlined
def _cast_column(
    scene: Scene, shadow: Floats, light: Light, x0: float, y0: float, eye: float, dx: float, dy: float,
    tangents: Floats, turn: float, column: int, samples: int, shared: Floats, frame: Bytes, depth: Floats,
) -> int:  # fmt: skip
    """Draw one column from its lowest row up; returns the lowest row left to the sky, -1 where none is."""
    size = scene.size
    last = scene.building.shape[0] - 1
    metres = scene.clearance.shape[0] - 1
    row = tangents.shape[0] - 1
    limit = min(REACH, _border(x0, dx, 0.0, size), _border(y0, dy, 0.0, size)) - 0.6
    distance, cell_end = 0.0, -1.0
    before, height = 0.0, ground_height(scene.ground, size, x0, y0)
    current, leave, top = -1, 0.0, 0.0
    while distance < limit and row >= 0:
        x, y = x0 + dx * distance, y0 + dy * distance
        if distance >= cell_end:
            i, j = int(x / CELL), int((size - y) / CELL)
            i, j = min(max(i, 0), scene.tops.shape[0] - 1), min(max(j, 0), scene.tops.shape[0] - 1)
            top = scene.tops[j, i] - eye
            cell_end = distance + 0.01 + max(
                0.0,
                min(
                    _border(x, dx, float(i * CELL), float(i * CELL + CELL)),
                    _border(y, dy, size - (j + 1) * CELL, size - j * CELL),
                ),
            )  # fmt: skip
        if top < tangents[row] * (distance if top > 0.0 else cell_end):
            i, j = int(x / BLOCK), int((size - y) / BLOCK)
            i, j = min(max(i, 0), scene.peaks.shape[0] - 1), min(max(j, 0), scene.peaks.shape[0] - 1)
            peak = scene.peaks[j, i] - eye
            if 0.0 < peak < tangents[row] * distance:
                cell_end = max(
                    cell_end,
                    distance + 0.01 + min(
                        _border(x, dx, float(i * BLOCK), float(i * BLOCK + BLOCK)),
                        _border(y, dy, size - (j + 1) * BLOCK, size - j * BLOCK),
                    ),
                )  # fmt: skip
            distance = cell_end
            if distance >= limit:
                break
            x, y = x0 + dx * distance, y0 + dy * distance
            part = int(scene.building[min(last, int((size - y) / TEXEL)), min(last, int(x / TEXEL))]) - 1
            before, current = distance, -1
            height = ground_height(scene.ground, size, x, y)
            if part >= 0:
                entry, out, _, _, _, _ = _enter(scene, part, x0, y0, dx, dy, distance)
                if entry >= 0.0 and distance < out:
                    current, leave = part, out
                    height = roof_height(scene.parts, part, x, y)
            continue
        free = float(scene.clearance[min(metres, int(size - y)), min(metres, int(x))])
        distance += max(0.35 + 0.004 * distance, min(free, 1.5 + 0.08 * distance))
        if distance > limit:
            distance = limit
        x, y = x0 + dx * distance, y0 + dy * distance
        part = int(scene.building[min(last, int((size - y) / TEXEL)), min(last, int(x / TEXEL))]) - 1
        if part >= 0 and (part != current or distance > leave):
            entry, out, along, length, nx, ny = _enter(scene, part, x0, y0, dx, dy, distance + 0.75)
            if entry >= 0.0 and out > before + 1e-3 and not (part == current and entry < leave):
                meet = max(entry, before)
                mx, my = x0 + dx * meet, y0 + dy * meet
                if current >= 0:
                    end = min(leave, meet)
                    if end > before:
                        peak = roof_height(scene.parts, current, x0 + dx * end, y0 + dy * end)
                        row = _draw_roof(
                            scene, shadow, light, current, x0, y0, eye, dx, dy, tangents, turn, before, height, end,
                            peak, column, row, frame, depth,
                        )  # fmt: skip
                        before = end
                    height = ground_height(scene.ground, size, x0 + dx * before, y0 + dy * before)
                    if meet - before > 0.02 and leave < meet:
                        row = _draw_ground(
                            scene, shadow, light, x0, y0, eye, dx, dy, tangents, turn, before, height, meet,
                            ground_height(scene.ground, size, mx, my), column, row, samples, shared, frame, depth,
                        )  # fmt: skip
                elif meet > before:
                    row = _draw_ground(
                        scene, shadow, light, x0, y0, eye, dx, dy, tangents, turn, before, height, meet,
                        ground_height(scene.ground, size, mx, my), column, row, samples, shared, frame, depth,
                    )  # fmt: skip
                height = roof_height(scene.parts, part, mx, my)
                if entry >= before - 0.3:
                    height = max(height, float(scene.walls[part, EAVE]))
                    row = _draw_wall(
                        scene, shadow, light, part, x0, y0, eye, dx, dy, tangents, turn, entry, height, along, length,
                        nx, ny, column, row, samples, frame, depth,
                    )  # fmt: skip
                before, current, leave = meet, part, out
                distance = max(distance, meet)
                x, y = x0 + dx * distance, y0 + dy * distance
        if current >= 0:
            end = min(leave, distance)
            if end > before:
                peak = roof_height(scene.parts, current, x0 + dx * end, y0 + dy * end)
                row = _draw_roof(
                    scene, shadow, light, current, x0, y0, eye, dx, dy, tangents, turn, before, height, end, peak,
                    column, row, frame, depth,
                )  # fmt: skip
                before, height = end, peak
            if distance > leave:
                current = -1
                height = ground_height(scene.ground, size, x0 + dx * before, y0 + dy * before)
        if current < 0 and distance > before:
            level = ground_height(scene.ground, size, x, y)
            row = _draw_ground(
                scene, shadow, light, x0, y0, eye, dx, dy, tangents, turn, before, height, distance, level, column,
                row, samples, shared, frame, depth,
            )  # fmt: skip
            before, height = distance, level
    return int(row)


@inlined
def _draw_sky(
    sky: Floats, step: int, light: Light, eye: float, tangents: Floats, column: int, row: int, frame: Bytes,
    depth: Floats,
) -> None:  # fmt: skip
    """Fill what a column left open: hazy land below the horizon, sky above it."""
    i = column // step
    across = column / step - i
    while row >= 0:
        tangent = tangents[row]
        depth[column, row] = NOTHING
        if tangent <= 0.0:
            veil = math.exp(-light.haze * min(6000.0, REACH + 2.0 / (1e-4 - tangent)))
            r = light.horizon_r + (104.0 * light.sky_r * 1.5 - light.horizon_r) * veil
            g = light.horizon_g + (116.0 * light.sky_g * 1.5 - light.horizon_g) * veil
            b = light.horizon_b + (92.0 * light.sky_b * 1.5 - light.horizon_b) * veil
        else:
            j = row // step
            down = row / step - j
            w00, w10 = (1.0 - across) * (1.0 - down), across * (1.0 - down)
            w01, w11 = (1.0 - across) * down, across * down
            r = w00 * sky[i, j, 0] + w10 * sky[i + 1, j, 0] + w01 * sky[i, j + 1, 0] + w11 * sky[i + 1, j + 1, 0]
            g = w00 * sky[i, j, 1] + w10 * sky[i + 1, j, 1] + w01 * sky[i, j + 1, 1] + w11 * sky[i + 1, j + 1, 1]
            b = w00 * sky[i, j, 2] + w10 * sky[i + 1, j, 2] + w01 * sky[i, j + 1, 2] + w11 * sky[i + 1, j + 1, 2]
        store(frame, column, row, r, g, b)
        row -= 1


@compiled
def cast_columns(
    scene: Scene, shadow: Floats, light: Light, x: float, y: float, eye: float, directions: Floats, turns: Floats,
    tangents: Floats, sky: Floats, step: int, samples: int, frame: Bytes, depth: Floats,
) -> None:  # fmt: skip
    """Draw the fixed world.

    Args:
        scene: The world.
        shadow: (N, N) float32 from `cast_shadows`, or (1, 1) where no sun shines.
        light: The light of the day.
        x: East, metres.
        y: North, metres.
        eye: Absolute height of the eye, metres.
        directions: (W, 2) float32, unit vectors (east, north) of the columns.
        turns: (W,) float32, angle that a column covers, radians.
        tangents: (H,) float32, tangents of elevation, strictly decreasing.
        sky: Grid from `sky_grid`.
        step: Its step.
        samples: Columns and rows to a pixel of the final picture, 1 or 2.
        frame: (W, H, 3) uint8, filled.
        depth: (W, H) float32, filled with horizontal distances, `NOTHING` for the sky.
    """
    shared = np.empty((tangents.shape[0] // samples + 1, 5), np.float32)
    for column in range(directions.shape[0]):
        if column % samples == 0:
            shared[:, 0] = -1.0
        row = _cast_column(
            scene, shadow, light, x, y, eye, directions[column, 0], directions[column, 1], tangents, turns[column],
            column, samples, shared, frame, depth,
        )  # fmt: skip
        _draw_sky(sky, step, light, eye, tangents, column, row, frame, depth)
