"""The city from above: an orthophoto with light and shadow, of a day and a season, through an imperfect sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.daylight import ground_from_above, inside, lit, roof_from_above
from tiercel.sim.facades import wall_table
from tiercel.sim.leaning import draw_leaning_plants, draw_leaning_surfaces, survey
from tiercel.sim.materials import Table, hash01, leaf_cover, plant_colour, roof_height, value_noise
from tiercel.sim.rasters import release
from tiercel.sim.shadows import cast_shadows
from tiercel.sim.vehicles import vehicle_at, vehicle_from_above
from tiercel.sim.world import Bytes, Floats, Ints, World

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
Order = NDArray[np.int64]

_WIDEST = 16.0
"""No vehicle with its shadow reaches further from its middle, metres."""


@dataclass(frozen=True)
class OverheadLook:
    """Light, season and sensor of one flight.

    Attributes:
        sun_azimuth: Degrees clockwise from north.
        sun_elevation: Degrees above the horizon.
        season: In [0, 4): 0 spring, 1 summer, 2 autumn, 3 winter.
        snow: Share of open ground and roofs under snow.
        sky: Light in the shade as a share of that in the sun.
        shade_tint: How blue the shade is, 0..1.
        gains: Of red, green and blue: white balance and exposure.
        contrast: About the middle grey, 1 for none.
        saturation: 1 for none.
        gamma: 1 for none.
        haze: Share of whitish veil.
        blur: Standard deviation in pixels.
        noise: Standard deviation, grey levels.
        seed: Of the noise.
        lean: How far what stands high is displaced from the nadir, metres per metre of height, in that corner of the
            city that is furthest from it, and less in proportion nearer to it; the ground is in place. 0 is a picture
            from straight above everywhere. An orthophoto that is made without a model of the houses is like that.
        nadir: The point below the camera: east and north as shares of the city's side.
    """

    sun_azimuth: float = 200.0
    sun_elevation: float = 48.0
    season: float = 1.0
    snow: float = 0.0
    sky: float = 0.46
    shade_tint: float = 0.4
    gains: tuple[float, float, float] = (1.12, 1.1, 1.08)
    contrast: float = 1.05
    saturation: float = 1.0
    gamma: float = 1.0
    haze: float = 0.03
    blur: float = 0.35
    noise: float = 2.0
    seed: int = 0
    lean: float = 0.0
    nadir: tuple[float, float] = (0.5, 0.5)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> OverheadLook:
        """Draw a flight; sensors vary beyond what is common, so that what is learnt does not lean on them.

        Survey flights wait for a sun high enough that streets are not lost in shade, and so does this.
        """
        season = float(rng.choice([rng.uniform(0.3, 2.0), rng.uniform(0.0, 4.0)]))
        winter = abs(season - 3.0) < 0.6
        exposure = rng.uniform(0.95, 1.4)
        balance = rng.normal(1.0, 0.06, 3)
        return cls(
            sun_azimuth=float(rng.normal(185.0, 45.0)),
            sun_elevation=float(rng.uniform(30.0, 66.0)),
            season=season,
            snow=float(rng.uniform(0.2, 0.9)) if winter and rng.random() < 0.3 else 0.0,
            sky=float(rng.uniform(0.36, 0.68)),
            shade_tint=float(rng.uniform(0.0, 1.0)),
            gains=(float(exposure * balance[0]), float(exposure * balance[1]), float(exposure * balance[2])),
            contrast=float(rng.uniform(0.75, 1.25)),
            saturation=float(rng.uniform(0.45, 1.45)),
            gamma=float(rng.uniform(0.8, 1.25)),
            haze=float(rng.uniform(0.0, 0.22) ** 1.5),
            blur=float(rng.uniform(0.0, 0.9)),
            noise=float(rng.uniform(0.0, 6.0)),
            seed=int(rng.integers(0, 2**31)),
        )


def render_overhead(world: World, resolution: float = 0.5, *, day: int, look: OverheadLook) -> Image:
    """The whole city from straight above.

    Args:
        world: The city.
        resolution: Metres per pixel.
        day: Which vehicles are about; another day has others.
        look: Light, season and sensor.

    Returns:
        (pixels, pixels, 3) uint8, row 0 in the north, `pixels` the city's size over the resolution, rounded.
    """
    renderer = OverheadRenderer(world, resolution, day=day, look=look)
    return renderer.window(0, renderer.pixels, 0, renderer.pixels)


class OverheadRenderer:
    """The city from straight above, one window after another: the same pixels as of the whole picture.

    Attributes:
        pixels: Pixels along a side of the whole city.
    """

    def __init__(
        self, world: World, resolution: float = 0.5, *, day: int, look: OverheadLook, folder: Path | None = None
    ) -> None:
        """Cast the shadows.

        Args:
            world: The city.
            resolution: Metres per pixel.
            day: Which vehicles are about; another day has others.
            look: Light, season and sensor.
            folder: Where to keep the shadows, 16 bytes a square metre, instead of in memory.
        """
        self.pixels = max(1, round(world.size / resolution))
        self._world, self._day, self._look = world, day, look
        azimuth, elevation = math.radians(look.sun_azimuth), math.radians(look.sun_elevation)
        self._shadow = cast_shadows(world, azimuth, elevation, look.season, folder)
        self._sun = np.array(
            [math.sin(azimuth) * math.cos(elevation), math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
        )
        self._order = np.argsort(world.plants["ground"] + world.plants["height"])
        east, north = (share * world.size for share in look.nadir)
        furthest = math.hypot(max(east, world.size - east), max(north, world.size - north))
        self._lean = np.array([look.lean / furthest, east, north])
        self._walls = wall_table(world.parts) if look.lean else np.zeros((0, 0), np.float32)
        self._reach = survey(world, look.lean) if look.lean else np.zeros((0, 0), np.float32)

    def window(self, top: int, bottom: int, left: int, right: int) -> Image:
        """Rows from `top` to before `bottom` and columns from `left` to before `right`, (rows, columns, 3) uint8."""
        world, look, step = self._world, self._look, self._world.size / self.pixels
        # The sensor blurs over a pixel to each side.
        corner = (max(0, top - 1), max(0, left - 1))
        image = np.empty(
            (min(self.pixels, bottom + 1) - corner[0], min(self.pixels, right + 1) - corner[1], 3), np.uint8
        )
        light = np.array([look.sky, look.shade_tint, look.season, look.snow])
        tall = np.zeros(image.shape[:2] if look.lean else (0, 0), np.float32)
        if look.lean:
            draw_leaning_surfaces(
                image, tall, corner, self.pixels, step, world.size, world.surface, world.feature, world.features,
                world.u, world.v, world.junction, world.building, world.parts, world.corners, self._walls, self._reach,
                world.ground, self._shadow, self._sun, light, self._lean,
            )  # fmt: skip
        else:
            _draw_surfaces(
                image, corner, step, world.size, world.surface, world.feature, world.features, world.u, world.v,
                world.junction, world.building, world.parts, world.corners, world.ground, self._shadow, self._sun,
                light,
            )  # fmt: skip
        slots = np.flatnonzero(self._near(image, corner, world.slots, _WIDEST))
        _draw_vehicles(
            image, corner, step, world.size, world.slots, slots, self._day, self._shadow, self._sun, light, self._lean,
            tall,
        )  # fmt: skip
        margin = world.plants["crown"] + look.lean * world.plants["height"] + step
        plants = self._order[self._near(image, corner, world.plants, margin)[self._order]]
        if look.lean:
            draw_leaning_plants(
                image, tall, corner, step, world.size, world.plants, plants, world.ground, self._shadow, self._sun,
                light, self._lean,
            )  # fmt: skip
        else:
            _draw_plants(
                image, corner, step, world.size, world.plants, plants, world.building, world.parts, world.ground,
                self._shadow, self._sun, light,
            )  # fmt: skip
        release(
            self._shadow, world.surface, world.feature, world.u, world.v, world.junction, world.building, world.ground
        )
        tone = np.array([look.contrast, look.saturation, look.gamma, look.haze, look.blur, look.noise])
        return _expose(image, corner, (top, bottom, left, right), self.pixels, np.array(look.gains), tone, look.seed)

    def _near(self, image: Image, corner: tuple[int, int], table: Table, margin: float | Array) -> NDArray[np.bool_]:
        """Which rows of a table with places may show in an image."""
        step = self._world.size / self.pixels
        x, y = table["x"] / step - corner[1], (self._world.size - table["y"]) / step - corner[0]
        reach = np.asarray(margin) / step + 1.0
        near = (x > -reach) & (y > -reach) & (x < image.shape[1] + reach) & (y < image.shape[0] + reach)
        return np.asarray(near, np.bool_)


@compiled
def _draw_surfaces(
    image: Image, corner: tuple[int, int], step: float, size: float, surface: Bytes, feature: Ints, features: Table,
    u: Floats, v: Floats, junction: Floats, building: Ints, parts: Table, corners: Floats, ground: Floats,
    shadow: Floats, sun: Array, light: Array,
) -> None:  # fmt: skip
    """Ground and roofs; pixels at edges are the mean of four points, all others one.

    `corner` is the row and column of the image's first pixel in the picture of the whole city.
    """
    texels = surface.shape[0]
    scale = 2.0 * step
    candidates = np.zeros(9, np.int32)
    for row in range(corner[0], corner[0] + image.shape[0]):
        tr = min(texels - 1, int((row + 0.5) * scale))
        for col in range(corner[1], corner[1] + image.shape[1]):
            tc = min(texels - 1, int((col + 0.5) * scale))
            kind, held = surface[tr, tc], building[tr, tc]
            r0, r1, c0, c1 = max(tr - 1, 0), min(tr + 1, texels - 1), max(tc - 1, 0), min(tc + 1, texels - 1)
            edge = False
            for r, c in ((r0, c0), (r0, c1), (r1, c0), (r1, c1), (tr, c0), (tr, c1), (r0, tc), (r1, tc)):
                edge = edge or building[r, c] != held or (held == 0 and surface[r, c] != kind)
            count = 0
            if held > 0:
                candidates[0] = held
                count = 1
            if edge:
                for near_row in range(r0, r1 + 1):
                    for near_col in range(c0, c1 + 1):
                        other = building[near_row, near_col]
                        if other > 0:
                            known = False
                            for k in range(count):
                                known = known or candidates[k] == other
                            if not known:
                                candidates[count] = other
                                count += 1
            samples = 2 if edge else 1
            total_r, total_g, total_b = 0.0, 0.0, 0.0
            for i in range(samples):
                for j in range(samples):
                    x = (col + (j + 0.5) / samples) * step
                    y = size - (row + (i + 0.5) / samples) * step
                    part, top, rim = -1, -1e9, 1e9
                    for k in range(count):
                        wall = 1.0
                        if edge:
                            wall = inside(parts, corners, candidates[k] - 1, x, y)
                        if wall >= 0.0:
                            height = roof_height(parts, candidates[k] - 1, x, y)
                            if height > top:
                                top, part, rim = height, candidates[k] - 1, wall
                    if part >= 0:
                        r, g, b = roof_from_above(parts, part, x, y, top, rim, step, size, ground, shadow, sun, light)
                    else:
                        r, g, b = ground_from_above(
                            surface, feature, features, u, v, junction, size, x, y, step, shadow, light
                        )
                    total_r, total_g, total_b = total_r + r, total_g + g, total_b + b
            share = 1.0 / (samples * samples)
            i, j = row - corner[0], col - corner[1]
            image[i, j, 0] = np.uint8(min(255.0, total_r * share))
            image[i, j, 1] = np.uint8(min(255.0, total_g * share))
            image[i, j, 2] = np.uint8(min(255.0, total_b * share))


@compiled
def _draw_vehicles(
    image: Image, corner: tuple[int, int], step: float, size: float, slots: Table, chosen: Order, day: int,
    shadow: Floats, sun: Array, light: Array, lean: Array, tall: Floats,
) -> None:  # fmt: skip
    """Vehicles of the day, each with its own small shadow, where nothing taller is drawn that leans over them."""
    texels = shadow.shape[0]
    top, bottom, left, right = corner[0], corner[0] + image.shape[0], corner[1], corner[1] + image.shape[1]
    reach_x, reach_y = -sun[0] / sun[2], -sun[1] / sun[2]
    for s in chosen:
        present, model, red, green, blue, length, width, height = vehicle_at(s, day, slots[s].kind)
        if not present:
            continue
        x0, y0 = slots[s].x, slots[s].y
        ax, ay = math.sin(slots[s].azimuth), math.cos(slots[s].azimuth)
        tr, tc = min(texels - 1, max(0, int((size - y0) * 2.0))), min(texels - 1, max(0, int(x0 * 2.0)))
        sunlit = 1.0 if shadow[tr, tc] < 0.8 * height else 0.0
        away_x, away_y = lean[0] * (x0 - lean[1]) * 0.6 * height, lean[0] * (y0 - lean[2]) * 0.6 * height
        span = 0.5 * length + 1.2 * height
        low, high = int((size - y0 - span) / step), int((size - y0 + span) / step) + 1
        for row in range(max(top, low), min(bottom, high)):
            for col in range(max(left, int((x0 - span) / step)), min(right, int((x0 + span) / step) + 1)):
                if len(tall) and tall[row - top, col - left] > 0.6 * height:
                    continue
                body, shade = 0.0, 0.0
                r, g, b = 0.0, 0.0, 0.0
                for i in range(2):
                    for j in range(2):
                        dx, dy = (col + 0.25 + 0.5 * j) * step - x0, size - (row + 0.25 + 0.5 * i) * step - y0
                        bx, by = dx - away_x, dy - away_y
                        along, across = (bx * ax + by * ay) / (0.5 * length), (bx * ay - by * ax) / (0.5 * width)
                        if abs(along) <= 1.0 and abs(across) <= 1.0:
                            cr, cg, cb = vehicle_from_above(model, red, green, blue, along, across)
                            body += 0.25
                            r, g, b = r + 0.25 * cr, g + 0.25 * cg, b + 0.25 * cb
                        elif sunlit > 0.0:
                            ex, ey = dx - 0.4 * height * reach_x, dy - 0.4 * height * reach_y
                            if abs(ex * ax + ey * ay) < 0.5 * length and abs(ex * ay - ey * ax) < 0.5 * width:
                                shade += 0.25
                if body + shade <= 0.0:
                    continue
                r, g, b = lit(r, g, b, sunlit, 1.0, light)
                keep = (1.0 - body) * (1.0 - shade * 0.5)
                i, j = row - top, col - left
                image[i, j, 0] = np.uint8(min(255.0, image[i, j, 0] * keep + r))
                image[i, j, 1] = np.uint8(min(255.0, image[i, j, 1] * keep + g))
                image[i, j, 2] = np.uint8(min(255.0, image[i, j, 2] * keep + b))


@compiled
def _draw_plants(
    image: Image, corner: tuple[int, int], step: float, size: float, plants: Table, order: Order, building: Ints,
    parts: Table, ground: Floats, shadow: Floats, sun: Array, light: Array,
) -> None:  # fmt: skip
    """Crowns from the lowest to the highest: clumps of leaves, lit from the sun's side; bare ones are half clear."""
    texels = shadow.shape[0]
    top, bottom, left, right = corner[0], corner[0] + image.shape[0], corner[1], corner[1] + image.shape[1]
    season, snow = light[2], light[3]
    for n in range(len(order)):
        p = plants[order[n]]
        cover = leaf_cover(p.kind, season)
        red, green, blue = plant_colour(p.kind, p.hue, season)
        radius, seed = p.crown, int(p.seed % 65521)
        half = 0.5 * (p.height - p.clear)
        low, high = int((size - p.y - radius) / step), int((size - p.y + radius) / step) + 1
        for row in range(max(top, low), min(bottom, high)):
            for col in range(max(left, int((p.x - radius) / step)), min(right, int((p.x + radius) / step) + 1)):
                x, y = (col + 0.5) * step, size - (row + 0.5) * step
                dx, dy = (x - p.x) / radius, (y - p.y) / radius
                r2 = math.sqrt(dx * dx + dy * dy)
                if r2 >= 1.0:
                    continue
                clump = value_noise(x * 1.1, y * 1.1, seed)
                if p.kind == 1:
                    limit = 0.8 + 0.2 * math.cos(math.atan2(dy, dx) * (7 + seed % 4) + seed)
                    height = p.ground + p.clear + (p.height - p.clear) * (1.0 - r2)
                    nx, ny, nz = dx / (r2 + 0.05) * 0.85, dy / (r2 + 0.05) * 0.85, 0.5
                elif p.kind == 3:
                    limit = 0.35 + 0.65 * max(0.0, math.cos(math.atan2(dy, dx) * (7 + seed % 3) + seed))
                    height = p.ground + p.height - r2
                    nx, ny, nz = 0.2 * dx, 0.2 * dy, 0.95
                else:
                    limit = 0.72 + 0.28 * value_noise(dx * 2.2 + 9.0, dy * 2.2 + 9.0, seed)
                    nz = math.sqrt(max(0.02, 1.0 - r2 * r2))
                    height = p.ground + p.clear + half * (1.0 + nz)
                    nx, ny = dx, dy
                alpha = min(1.0, max(0.0, (limit - r2) * radius / step + 0.5))
                if alpha <= 0.0:
                    continue
                if cover < 1.0:
                    fine = hash01(int(x * 3.0), int(y * 3.0) + seed)
                    alpha *= cover + (1.0 - cover) * (0.3 if fine < 0.6 else 0.65)
                tr, tc = min(texels - 1, int((size - y) * 2.0)), min(texels - 1, int(x * 2.0))
                if building[tr, tc] > 0 and roof_height(parts, building[tr, tc] - 1, x, y) > height:
                    continue
                sunlit = 1.0 if shadow[tr, tc] + ground[tr, tc] < height + 1.0 else 0.0
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


@compiled
def _expose(
    image: Image, corner: tuple[int, int], window: tuple[int, int, int, int], pixels: int, gains: Array, tone: Array,
    seed: int,
) -> Image:  # fmt: skip
    """Through the sensor: blur, haze, gains, saturation, contrast, gamma, noise.

    The image reaches a pixel beyond the window (top, bottom, left, right), but not beyond the city's own pixels.
    """
    low, high, left, right = window
    contrast, saturation, gamma, haze, blur, noise = tone[0], tone[1], tone[2], tone[3], tone[4], tone[5]
    out = np.empty((high - low, right - left, 3), np.uint8)
    curve = np.empty(1024, np.float32)
    for i in range(1024):
        curve[i] = 255.0 * (i / 1023.0) ** gamma
    side = math.exp(-0.5 / max(0.01, blur * blur)) if blur > 0.05 else 0.0
    middle = 1.0 / (1.0 + 2.0 * side)
    side *= middle
    value = np.empty(3, np.float32)
    across = np.empty((3, right - left, 3), np.float32)
    for row in range(max(-1, low - 2), high):
        # Blur along the row below, kept for three rows.
        source = min(row + 1, pixels - 1) - corner[0]
        slot = (row + 1) % 3
        for col in range(left, right):
            a, b = max(0, col - 1) - corner[1], min(pixels - 1, col + 1) - corner[1]
            for c in range(3):
                across[slot, col - left, c] = middle * image[source, col - corner[1], c] + side * (
                    float(image[source, a, c]) + float(image[source, b, c])
                )
        if row < low:
            continue
        above = (row + 2) % 3 if row > 0 else row % 3
        here = row % 3
        for col in range(left, right):
            j = col - left
            grey = 0.0
            for c in range(3):
                level = middle * across[here, j, c] + side * (across[above, j, c] + across[slot, j, c])
                level = (level * (1.0 - haze) + 225.0 * haze) * gains[c]
                value[c] = level
                grey += level / 3.0
            grain = noise * (hash01(row * 4099 + col, seed) + hash01(row * 4099 + col, seed + 1) - 1.0) * 2.45
            for c in range(3):
                level = grey + (value[c] - grey) * saturation
                level = 118.0 + (level - 118.0) * contrast
                level = curve[int(min(1023.0, max(0.0, level * 4.0117)))]
                level += grain + noise * 0.8 * (hash01(col * 3 + c, row * 7 + seed) - 0.5)
                out[row - low, j, c] = np.uint8(min(255.0, max(0.0, level + 0.5)))
    return out
