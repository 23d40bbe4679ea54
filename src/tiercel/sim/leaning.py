"""The city from above as one camera saw it: what stands high leans away from the point below the camera.

Every pixel lies where the ground is that it would show. The ray that comes down to it from the camera may meet a roof,
a wall or a crown first: ``h`` metres above the ground it passes over the point ``p - lean * h``, where ``lean`` points
away from the nadir and grows with the distance from it. All rays are followed by that formula, so what hides what, and
which walls show, comes out by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.daylight import ground_from_above, inside, lit, roof_from_above, sunlight_above
from tiercel.sim.facades import BASE, facade_colour
from tiercel.sim.inlined import inlined
from tiercel.sim.materials import Table, hash01, leaf_cover, plant_colour, roof_height, value_noise
from tiercel.sim.rasters import bands, release
from tiercel.sim.world import TEXEL, Bytes, Floats, Ints, World

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
Order = NDArray[np.int64]

CELL = 8
"""Side in metres of the cells in which `survey` says how high a ray may meet something."""
_STRIDE = 0.45
"""Metres over the ground between two looks at the raster of buildings: no texel is leapt over."""
_BISECTIONS = 6

_Hit = tuple[int, int, float]
"""Part (-1: the ground), its wall (-1: its roof), metres above the ground of the pixel."""


def survey(world: World, lean: float) -> Floats:
    """How high above the ground a ray that comes down in a cell may meet a building.

    Args:
        world: The city.
        lean: Greatest displacement, metres per metre of height.

    Returns:
        (n, n) float32, metres, in cells of `CELL` metres, row 0 in the north.
    """
    tops = world.parts["eave"] + np.maximum(0.0, world.parts["rise"])
    cells = math.ceil(world.size / CELL)
    high = np.full((cells, cells), -1e9, np.float32)
    low = np.full((cells, cells), 1e9, np.float32)
    for first, last in bands(world.building):
        _survey_rows(world.building, world.ground, tops.astype(np.float32), first, last, high, low)
        release(world.building, world.ground)
    return _spread(high, low, lean)


@compiled
def _survey_rows(
    building: Ints, ground: Floats, tops: Floats, first: int, last: int, high: Floats, low: Floats
) -> None:
    """The highest roof and the lowest ground of each cell."""
    texels = round(CELL / TEXEL)
    for row in range(first, last):
        for col in range(building.shape[1]):
            r, c = row // texels, col // texels
            low[r, c] = min(low[r, c], ground[row, col])
            if building[row, col] > 0:
                high[r, c] = max(high[r, c], tops[building[row, col] - 1])


@compiled
def _spread(high: Floats, low: Floats, lean: float) -> Floats:
    """Take in the roofs of all cells that may lean over one."""
    cells = high.shape[0]
    reach = np.zeros((cells, cells), np.float32)
    tallest = 0.0
    for r in range(cells):
        for c in range(cells):
            tallest = max(tallest, high[r, c] - low[r, c])
    far = int(tallest * lean / CELL) + 1
    for r in range(cells):
        for c in range(cells):
            for i in range(max(0, r - far), min(cells, r + far + 1)):
                for j in range(max(0, c - far), min(cells, c + far + 1)):
                    height = high[i, j] - low[r, c]
                    gap = CELL * max(0, max(abs(i - r), abs(j - c)) - 1)
                    if height > reach[r, c] and height * lean >= gap:
                        reach[r, c] = height
    return reach


@compiled
def _meet(
    parts: Table, corners: Floats, i: int, x: float, y: float, level: float, lean_x: float, lean_y: float, high: float
) -> tuple[int, float]:
    """Where the ray down to a point of the ground at `level` meets a part.

    Returns:
        Its wall (-1: its roof), and metres above the ground (-1 where it is missed).
    """
    leave, enter, wall = 0.0, high, -1
    first, last = parts[i].start, parts[i].start + parts[i].count
    for k in range(first, last):
        j = k + 1 if k + 1 < last else first
        ex, ey = corners[j, 0] - corners[k, 0], corners[j, 1] - corners[k, 1]
        # How far inside this wall the ray is, times the wall's length: at the ground, and more per metre of height.
        at, rate = ex * (y - corners[k, 1]) - ey * (x - corners[k, 0]), ey * lean_x - ex * lean_y
        if rate > 1e-9:
            leave = max(leave, -at / rate)
        elif rate < -1e-9:
            height = -at / rate
            if height < enter:
                enter, wall = height, k
        elif at < 0.0:
            return -1, -1.0
        if leave >= enter:
            return -1, -1.0
    if level + enter <= roof_height(parts, i, x - lean_x * enter, y - lean_y * enter):
        return wall, enter
    if parts[i].rise <= 0.0:
        height = parts[i].eave - level
        return -1, height if height >= leave else -1.0
    above, below = enter, -1.0
    for k in range(1, _BISECTIONS):
        height = enter + (leave - enter) * k / (_BISECTIONS - 1.0)
        if level + height <= roof_height(parts, i, x - lean_x * height, y - lean_y * height):
            below = height
            break
        above = height
    if below < 0.0:
        return -1, -1.0
    for _turn in range(_BISECTIONS):
        height = 0.5 * (above + below)
        if level + height <= roof_height(parts, i, x - lean_x * height, y - lean_y * height):
            below = height
        else:
            above = height
    return -1, 0.5 * (above + below)


@compiled
def _trace(
    building: Ints, parts: Table, corners: Floats, size: float, x: float, y: float, level: float, lean_x: float,
    lean_y: float, high: float,
) -> _Hit:  # fmt: skip
    """The highest building that the ray down to a point of the ground meets."""
    last_texel = building.shape[0] - 1
    speed = math.sqrt(lean_x * lean_x + lean_y * lean_y)
    steps = int(high * speed / _STRIDE) + 1
    # A part that is met in a texel may have been entered this much higher, where the ray was still in the texel before.
    slack = 1.5 * _STRIDE / max(speed, 1e-3)
    part, wall, best, seen = -1, -1, 0.0, 0
    for step in range(steps + 1):
        height = high * (1.0 - step / steps)
        if part >= 0 and height + slack < best:
            break
        col = min(max(int((x - lean_x * height) / TEXEL), 0), last_texel)
        row = min(max(int((size - y + lean_y * height) / TEXEL), 0), last_texel)
        held = building[row, col]
        if held == 0 or held == seen:
            continue
        seen = held
        side, at = _meet(parts, corners, held - 1, x, y, level, lean_x, lean_y, high)
        if at > best:
            part, wall, best = held - 1, side, at
        # The raster holds one part a texel; where that one is missed, a lower one beside it may be met.
        for k in range(4 if at < 0.0 else 0):
            r = min(max(row + (k == 0) - (k == 1), 0), last_texel)
            c = min(max(col + (k == 2) - (k == 3), 0), last_texel)
            other = building[r, c]
            if other > 0 and other != held:
                side, at = _meet(parts, corners, other - 1, x, y, level, lean_x, lean_y, high)
                if at > best:
                    part, wall, best = other - 1, side, at
    return part, wall, best


@inlined
def _wall_from_above(
    parts: Table, corners: Floats, walls: Floats, part: int, wall: int, x: float, y: float, z: float, step: float,
    size: float, ground: Floats, shadow: Floats, sun: Array, light: Array,
) -> tuple[float, float, float]:  # fmt: skip
    """A wall at a point of it."""
    first, last = parts[part].start, parts[part].start + parts[part].count
    j = wall + 1 if wall + 1 < last else first
    ex, ey = corners[j, 0] - corners[wall, 0], corners[j, 1] - corners[wall, 1]
    length = max(0.1, math.sqrt(ex * ex + ey * ey))
    nx, ny = ey / length, -ex / length
    along = math.sqrt((x - corners[wall, 0]) ** 2 + (y - corners[wall, 1]) ** 2)
    r, g, b, _, _ = facade_colour(walls[part], along, length, max(0.0, z - walls[part, BASE]), 1.5 * step)
    ox, oy = x + 0.9 * nx, y + 0.9 * ny
    sunlit = sunlight_above(shadow, ground, 2.0 * ox - 0.5, 2.0 * (size - oy) - 0.5, z)
    facing = min(1.6, max(0.0, nx * sun[0] + ny * sun[1]) / sun[2])
    r, g, b = 0.9 * r, 0.9 * g, 0.9 * b  # a wall sees half the sky
    return lit(r, g, b, sunlit, facing, light)


@compiled
def _mark_edges(hits: Ints, surface: Bytes, corner: tuple[int, int], step: float, edges: Bytes) -> None:
    """Which pixels show two things: 1 where a kind of ground ends, 2 where a part or its walls do."""
    texels = surface.shape[0]
    scale = 2.0 * step
    rows, cols = hits.shape
    for i in range(rows):
        tr = min(texels - 1, int((i + corner[0] + 0.5) * scale))
        r0, r1 = max(tr - 1, 0), min(tr + 1, texels - 1)
        for j in range(cols):
            own = hits[i, j]
            edge = False
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    m, n = min(max(i + di, 0), rows - 1), min(max(j + dj, 0), cols - 1)
                    edge = edge or hits[m, n] != own
            edges[i, j] = 2 if edge else 0
            if own == 0 and not edge:
                tc = min(texels - 1, int((j + corner[1] + 0.5) * scale))
                c0, c1 = max(tc - 1, 0), min(tc + 1, texels - 1)
                kind = surface[tr, tc]
                for r, c in ((r0, c0), (r0, c1), (r1, c0), (r1, c1), (tr, c0), (tr, c1), (r0, tc), (r1, tc)):
                    edge = edge or surface[r, c] != kind
                edges[i, j] = 1 if edge else 0


@compiled
def draw_leaning_surfaces(
    image: Image, tall: Floats, corner: tuple[int, int], pixels: int, step: float, size: float, surface: Bytes,
    feature: Ints, features: Table, u: Floats, v: Floats, junction: Floats, building: Ints, parts: Table,
    corners: Floats, walls: Floats, reach: Floats, ground: Floats, shadow: Floats, sun: Array, light: Array,
    lean: Array,
) -> None:  # fmt: skip
    """Ground, roofs and the walls that show; pixels at edges are the mean of four points, all others one.

    `corner` is the row and column of the image's first pixel in the picture of the whole city of `pixels` a side.
    `lean` is displacement per metre of height and per metre from the nadir, then the nadir. `tall` becomes the height
    above the ground of what every pixel shows.
    """
    texels = surface.shape[0]
    # A pixel more on every side, as far as there are any: a pixel is an edge by its neighbours.
    top, left = max(0, corner[0] - 1), max(0, corner[1] - 1)
    bottom, right = min(pixels, corner[0] + image.shape[0] + 1), min(pixels, corner[1] + image.shape[1] + 1)
    hits = np.zeros((bottom - top, right - left), np.int32)
    sides = np.full(hits.shape, -1, np.int32)
    heights = np.zeros(hits.shape, np.float32)
    edges = np.zeros(hits.shape, np.uint8)
    for row in range(top, bottom):
        y = size - (row + 0.5) * step
        for col in range(left, right):
            x = (col + 0.5) * step
            high = float(reach[int((size - y) / CELL), int(x / CELL)])
            if high <= 0.0:
                continue
            level = ground[min(texels - 1, int((size - y) / TEXEL)), min(texels - 1, int(x / TEXEL))]
            part, wall, height = _trace(
                building, parts, corners, size, x, y, level, lean[0] * (x - lean[1]), lean[0] * (y - lean[2]), high
            )
            if part >= 0:
                i, j = row - top, col - left
                hits[i, j], sides[i, j], heights[i, j] = 2 * (part + 1) + (1 if wall >= 0 else 0), wall, height
    _mark_edges(hits, surface, (top, left), step, edges)
    for row in range(corner[0], corner[0] + image.shape[0]):
        for col in range(corner[1], corner[1] + image.shape[1]):
            m, n = row - top, col - left
            many = 2 if edges[m, n] > 0 else 1
            total_r, total_g, total_b, total_h = 0.0, 0.0, 0.0, 0.0
            for i in range(many):
                for j in range(many):
                    x, y = (col + (j + 0.5) / many) * step, size - (row + (i + 0.5) / many) * step
                    part, wall, height = (hits[m, n] >> 1) - 1, sides[m, n], float(heights[m, n])
                    lean_x, lean_y = lean[0] * (x - lean[1]), lean[0] * (y - lean[2])
                    level = ground[min(texels - 1, int((size - y) / TEXEL)), min(texels - 1, int(x / TEXEL))]
                    if edges[m, n] == 2:
                        high = float(reach[int((size - y) / CELL), int(x / CELL)])
                        part, wall, height = _trace(building, parts, corners, size, x, y, level, lean_x, lean_y, high)
                    qx, qy = x - lean_x * height, y - lean_y * height
                    if part < 0:
                        r, g, b = ground_from_above(
                            surface, feature, features, u, v, junction, size, x, y, step, shadow, light
                        )
                    elif wall < 0:
                        rim = inside(parts, corners, part, qx, qy)
                        r, g, b = roof_from_above(
                            parts, part, qx, qy, level + height, rim, step, size, ground, shadow, sun, light
                        )
                    else:
                        r, g, b = _wall_from_above(
                            parts, corners, walls, part, wall, qx, qy, level + height, step, size, ground, shadow,
                            sun, light,
                        )  # fmt: skip
                    total_r, total_g, total_b, total_h = total_r + r, total_g + g, total_b + b, total_h + height
            share = 1.0 / (many * many)
            i, j = row - corner[0], col - corner[1]
            image[i, j, 0] = np.uint8(min(255.0, total_r * share))
            image[i, j, 1] = np.uint8(min(255.0, total_g * share))
            image[i, j, 2] = np.uint8(min(255.0, total_b * share))
            tall[i, j] = total_h * share


@inlined
def _crown(
    kind: int, seed: int, radius: float, clear: float, height: float, dx: float, dy: float, lean_x: float, lean_y: float
) -> tuple[float, float, float, float, float, float]:
    """Where the ray down to a point ``(dx, dy)`` from the foot of a tree meets its crown.

    Returns:
        How far out in the crown (0 middle, 1 edge, 2 missed), the share of that at which the leaves end, metres above
        the foot, and the normal there: east, north, up.
    """
    if kind == 1:  # a cone over the foot of the crown: |low - slant * t| = 1 - t, t from foot to tip
        low_x, low_y = (dx - lean_x * clear) / radius, (dy - lean_y * clear) / radius
        slant_x, slant_y = lean_x * (height - clear) / radius, lean_y * (height - clear) / radius
        a = slant_x * slant_x + slant_y * slant_y - 1.0
        half = 1.0 - low_x * slant_x - low_y * slant_y
        c = low_x * low_x + low_y * low_y - 1.0
        rest = half * half - a * c
        if rest < 0.0:
            return 2.0, 1.0, 0.0, 0.0, 0.0, 1.0
        # The root without a difference of near numbers; of two, the higher one on the crown.
        q = -(half + math.copysign(math.sqrt(rest), half))
        first = c / q if abs(q) > 1e-9 else 2.0
        second = q / a if abs(a) > 1e-9 else 2.0
        t = -1.0
        for root in (first, second):
            if 0.0 <= root <= 1.0:
                t = max(t, root)
        if t < 0.0:
            return 2.0, 1.0, 0.0, 0.0, 0.0, 1.0
        ux, uy = low_x - slant_x * t, low_y - slant_y * t
        out = 1.0 - t
        limit = 0.8 + 0.2 * math.cos(math.atan2(uy, ux) * (7 + seed % 4) + seed)
        return out, limit, clear + (height - clear) * t, ux / (out + 0.05) * 0.85, uy / (out + 0.05) * 0.85, 0.5
    if kind == 3:
        ux, uy = (dx - lean_x * height) / radius, (dy - lean_y * height) / radius
        out = math.sqrt(ux * ux + uy * uy)
        limit = 0.35 + 0.65 * max(0.0, math.cos(math.atan2(uy, ux) * (7 + seed % 3) + seed))
        return out, limit, height - out, 0.2 * ux, 0.2 * uy, 0.95
    # An ellipsoid: |middle - slant * w| ** 2 + w ** 2 = 1, w from -1 below to 1 above.
    half, centre = 0.5 * (height - clear), 0.5 * (height + clear)
    mx, my = (dx - lean_x * centre) / radius, (dy - lean_y * centre) / radius
    slant_x, slant_y = lean_x * half / radius, lean_y * half / radius
    a = 1.0 + slant_x * slant_x + slant_y * slant_y
    b = mx * slant_x + my * slant_y
    rest = b * b - a * (mx * mx + my * my - 1.0)
    if rest <= 0.0:
        return 2.0, 1.0, 0.0, 0.0, 0.0, 1.0
    w = (b + math.sqrt(rest)) / a
    ux, uy = mx - slant_x * w, my - slant_y * w
    out = math.sqrt(max(0.0, 1.0 - rest / a))
    limit = 0.72 + 0.28 * value_noise(mx * 2.2 + 9.0, my * 2.2 + 9.0, seed)
    return out, limit, centre + half * w, ux, uy, max(0.14, w)


@compiled
def draw_leaning_plants(
    image: Image, tall: Floats, corner: tuple[int, int], step: float, size: float, plants: Table, order: Order,
    ground: Floats, shadow: Floats, sun: Array, light: Array, lean: Array,
) -> None:  # fmt: skip
    """Crowns from the lowest to the highest, where nothing taller is drawn: as seen from straight above, but aslant."""
    texels = shadow.shape[0]
    top, bottom, left, right = corner[0], corner[0] + image.shape[0], corner[1], corner[1] + image.shape[1]
    season, snow = light[2], light[3]
    for n in range(len(order)):
        p = plants[order[n]]
        cover = leaf_cover(p.kind, season)
        red, green, blue = plant_colour(p.kind, p.hue, season)
        radius, seed = p.crown, int(p.seed % 65521)
        lean_x, lean_y = lean[0] * (p.x - lean[1]), lean[0] * (p.y - lean[2])
        tip_x, tip_y = p.x + lean_x * p.height, p.y + lean_y * p.height
        low, high = (size - max(p.y, tip_y) - radius) / step, (size - min(p.y, tip_y) + radius) / step
        west, east = (min(p.x, tip_x) - radius) / step, (max(p.x, tip_x) + radius) / step
        for row in range(max(top, int(low)), min(bottom, int(high) + 1)):
            for col in range(max(left, int(west)), min(right, int(east) + 1)):
                x, y = (col + 0.5) * step, size - (row + 0.5) * step
                out, limit, height, nx, ny, nz = _crown(
                    p.kind, seed, radius, p.clear, p.height, x - p.x, y - p.y, lean_x, lean_y
                )
                alpha = min(1.0, max(0.0, (limit - out) * radius / step + 0.5))
                if out >= 1.0 or alpha <= 0.0 or tall[row - top, col - left] > height:
                    continue
                # The leaves are where the ray meets them, and so are the noise they are made of and the shadow on them.
                x, y = x - lean_x * height, y - lean_y * height
                clump = value_noise(x * 1.1, y * 1.1, seed)
                if cover < 1.0:
                    fine = hash01(int(x * 3.0), int(y * 3.0) + seed)
                    alpha *= cover + (1.0 - cover) * (0.3 if fine < 0.6 else 0.65)
                tr = min(texels - 1, max(0, int((size - y) * 2.0)))
                tc = min(texels - 1, max(0, int(x * 2.0)))
                sunlit = 1.0 if shadow[tr, tc] + ground[tr, tc] < p.ground + height + 1.0 else 0.0
                facing = max(0.12, (nx * sun[0] + ny * sun[1] + nz * sun[2]) * 1.05)
                tone = (0.68 + 0.55 * clump) * (0.8 + 0.2 * nz)
                r, g, b = lit(
                    red * tone, green * tone, blue * tone, sunlit, min(1.3, facing / (0.35 + 0.65 * sun[2])), light
                )
                if snow > 0.0:
                    frost = snow * 0.4 * clump
                    r, g, b = r + (225.0 - r) * frost, g + (228.0 - g) * frost, b + (232.0 - b) * frost
                i, j = row - top, col - left
                image[i, j, 0] = np.uint8(min(255.0, image[i, j, 0] * (1.0 - alpha) + r * alpha))
                image[i, j, 1] = np.uint8(min(255.0, image[i, j, 1] * (1.0 - alpha) + g * alpha))
                image[i, j, 2] = np.uint8(min(255.0, image[i, j, 2] * (1.0 - alpha) + b * alpha))
