"""From a seed to a city."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.ageing import group_parts
from tiercel.sim.buildings import build_lot
from tiercel.sim.character import Character, draw_character, vary
from tiercel.sim.difficulty import PLAIN, Difficulty
from tiercel.sim.difficulty import difficulty as named
from tiercel.sim.lots import Lot, make_lots
from tiercel.sim.paint import (
    Lines,
    blocked_parts,
    draw_lines,
    heights_at,
    lay_ground,
    paint_parts,
    paint_patches,
    paint_streets,
)
from tiercel.sim.plan import Marking, Plan, Rank, draw_plan
from tiercel.sim.plants import furnish, plant_trees
from tiercel.sim.rasters import bands, new_raster, release
from tiercel.sim.shapes import area
from tiercel.sim.site import Patch, Site
from tiercel.sim.world import FEATURE, PART, TEXEL, Floats, Surface, World

Array = NDArray[np.float64]
STEP = 10.0
"""Spacing in metres of the terrain's grid."""

EDGE = 320.0
"""How far the terrain reaches beyond the city, metres."""


class Terrain:
    """Heights on a coarse grid, flat along the river.

    Attributes:
        grid: (n, n) heights in metres, row 0 in the south.
        origin: Coordinate of the first grid point.
        water: Level of the river's surface.
        bank: Level of its banks and of its bridges.
    """

    def __init__(self, rng: random.Random, plan: Plan, lines: Lines, level: Difficulty = PLAIN, seed: int = 0) -> None:
        """Draw a terrain for a plan; the seed is that of how steep a hilly one is."""
        self.origin = -EDGE
        axis = np.arange(-EDGE, plan.size + EDGE + STEP, STEP)
        x, y = np.meshgrid(axis, axis)
        height = np.zeros_like(x)
        relief = rng.choice([0.6, 1.5, 3.0, 4.5])
        for _ in range(6):
            length, angle, phase = rng.uniform(500.0, 2400.0), rng.uniform(0, math.tau), rng.uniform(0, math.tau)
            height += (
                relief
                * (length / 1800.0)
                * np.sin(math.tau / length * (x * math.cos(angle) + y * math.sin(angle)) + phase)
            )
        height += 20.0 - height.min()
        self.water, self.bank = 14.0, 17.0
        distance = _river_distance(plan, lines, x, y)
        if distance is not None:
            share = np.clip((distance - 18.0) / level.valley, 0.0, 1.0)
            share = share * share * (3.0 - 2.0 * share)
            height = self.bank * (1.0 - share) + height * share
        if level.slope is not None:
            height = self._steepened(height, plan.size, np.random.default_rng([seed, 101]).uniform(*level.slope))
        self.grid: Floats = height.astype(np.float32)

    def _steepened(self, height: Array, size: float, slope: float) -> Array:
        """The same hills over the same river, so high that a hundredth of the city's ground is steeper than `slope`."""
        inside = slice(round(EDGE / STEP), round((EDGE + size) / STEP) + 1)
        steepness = np.hypot(*np.gradient(height[inside, inside], STEP))
        return np.asarray(self.bank + (height - self.bank) * (slope / max(1e-6, float(np.quantile(steepness, 0.99)))))

    def flatten(self, patches: Sequence[Patch]) -> None:
        """Level the ground under ponds and sports grounds, and let it run out around them."""
        axis = self.origin + STEP * np.arange(len(self.grid))
        x, y = np.meshgrid(axis, axis)
        for patch in patches:
            corners = np.array(patch.polygon)
            middle = 0.5 * (corners.min(axis=0) + corners.max(axis=0))
            reach = float(np.hypot(*(corners - middle).T).max()) + STEP
            share = np.clip((np.hypot(x - middle[0], y - middle[1]) - reach) / reach, 0.0, 1.0)
            share = (share * share * (3.0 - 2.0 * share)).astype(np.float32)
            self.grid = self.at(middle[None])[0] * (1.0 - share) + self.grid * share

    def at(self, places: Array) -> Floats:
        """Heights at (n, 2) places."""
        return heights_at(self.grid, STEP, self.origin, np.ascontiguousarray(places, np.float64))


def _river_distance(plan: Plan, lines: Lines, x: Array, y: Array) -> Array | None:
    """Metres from the river's edge, (n, n), or None where there is no river."""
    nearest: Array | None = None
    for index, street in enumerate(plan.streets):
        if street.rank == Rank.RIVER:
            points = lines.points[lines.first[index] : lines.first[index + 1] : 6]
            for px, py in points:
                gap = np.hypot(x - px, y - py) - street.half_width
                nearest = gap if nearest is None else np.minimum(nearest, gap)
    return nearest


def _street_features(site: Site, plan: Plan, lines: Lines) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Add a feature for each street and each roundabout. Returns their rows."""
    rng, city = site.rng, site.character
    rows: list[int] = []
    for street in plan.streets:
        site.style = street.style
        if street.rank == Rank.RIVER:
            rows.append(site.feature(3, city.water, vary(rng, city.plaza, 0.08), street.half_width, 9.0))
            continue
        painted = city.bus_colour if street.marking & Marking.BUS_LANE else city.cycle_colour
        colour = vary(rng, city.asphalt, 0.16, 0.015)
        if street.rank == Rank.RAIL:
            colour = vary(rng, (128.0, 116.0, 104.0), 0.1)
        elif street.lanes == 0:
            colour = vary(rng, city.plaza, 0.1)
        paving = vary(rng, city.paving if rng.random() < 0.75 else city.plaza, 0.1)
        rows.append(
            site.feature(
                0, colour, painted, street.half_width, street.pavement + street.verge, street.lanes,
                int(street.marking),                paving=paving, line=city.line,
            )
        )  # fmt: skip
    ring = lines.roundabouts
    rings = [
        site.feature(2, vary(rng, city.asphalt, 0.1), city.line, 0.5 * (o - i), 3.0, 1, paving=city.paving)
        for _, _, i, o in ring
    ]
    return np.array(rows, np.int32), np.array(rings, np.int32)


def _build(site: Site, lots: list[Lot], plan: Plan) -> None:
    """Build every lot, and a landmark on about one large lot in a district."""
    rng = site.rng
    share = rng.uniform(0.15, 0.5) / max(1.0, len(lots) / 400.0)
    seen: dict[int, int] = {}
    stadiums = rng.choice([0, 1, 1, 2])
    for lot in lots:
        space = area(lot.polygon)
        if space > 11000.0 and stadiums == 0:
            build_lot(site, lot, plan, False)
            continue
        chance = share * 6.0 if space > 1500.0 else share if space > 800.0 else 0.0
        landmark = seen.get(int(lot.style), 0) < 4 and rng.random() < chance
        if landmark:
            seen[int(lot.style)] = seen.get(int(lot.style), 0) + 1
            stadiums -= space > 11000.0
        build_lot(site, lot, plan, landmark)


def _finish_parts(
    site: Site, terrain: Terrain, plan: Plan, surface: NDArray[np.uint8], level: Difficulty
) -> tuple[NDArray[np.void], Floats]:
    """Tables of parts and corners: those in the way of streets or water, or outside the city, are left out.

    On gentle ground all that stands on a lot is as high as if it stood in the lot's middle; on a slope every building
    stands in the middle of its own ground.
    """
    parts = np.array(site.parts, PART) if site.parts else np.zeros(0, PART)
    corners = np.array([point for footprint in site.corners for point in footprint], np.float64).reshape(-1, 2)
    counts = parts["count"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])[: len(parts)].astype(np.int64)
    if not len(parts):
        return parts, corners.astype(np.float32)
    inside = np.minimum.reduceat(((corners > 2.0) & (corners < plan.size - 2.0)).all(axis=1), starts)
    kept = inside & (blocked_parts(corners, starts, counts, plan.size, surface) < 0.02)
    release(surface)
    heights = terrain.at(corners)
    parts["base"] = np.minimum.reduceat(heights, starts) - 0.3
    if level.slope is None:
        anchors = terrain.at(np.array(site.anchors))
    else:
        group = group_parts(parts, corners, np.array(site.anchors))
        sums = [np.bincount(np.repeat(group, counts), weights) for weights in (heights, None)]
        anchors = (sums[0] / sums[1])[group].astype(np.float32)
    parts["eave"] += np.maximum(anchors, parts["base"] + 0.3)
    corners = corners[np.repeat(kept, counts)]
    parts = parts[kept]
    parts["start"] = np.concatenate([[0], np.cumsum(parts["count"])])[: len(parts)]
    return parts, corners.astype(np.float32)


def make_world(
    seed: int, size: float = 2000.0, folder: Path | None = None, difficulty: str | Difficulty = "plain"
) -> World:
    """Make a city.

    Args:
        seed: Any integer; the same seed and size give the same city.
        size: Side of the square city in metres.
        folder: Where to keep its rasters, about 110 bytes a square metre, instead of in memory; they vanish with the
            world. A city of 10 km is then made within 4 GB of memory.
        difficulty: A difficulty or its name; the streets and houses of a seed are the same in all.

    Returns:
        The world as arrays.

    Raises:
        OSError: The disk has no room for the rasters.
        TiercelError: There is no such difficulty.
    """
    level = named(difficulty)
    rng = random.Random(seed)
    character: Character = draw_character(rng)
    plan = draw_plan(rng, character, size)
    lines = draw_lines(plan)
    terrain = Terrain(rng, plan, lines, level, seed)
    site = Site(rng, replace(character, trees=character.trees * level.trees))
    street_rows, ring_rows = _street_features(site, plan, lines)
    _build(site, make_lots(rng, plan), plan)
    if level.slope is not None:
        terrain.flatten([patch for patch in site.patches if patch.surface in (Surface.WATER, Surface.SPORT)])
    texels = round(size / TEXEL)
    surface, deck = new_raster(texels, np.uint8, folder), new_raster(texels, np.uint8, folder)
    feature, building = new_raster(texels, np.int32, folder), new_raster(texels, np.int32, folder)
    u, v, junction, ground = (new_raster(texels, np.float32, folder) for _ in range(4))
    for first, last in bands(surface):
        surface[first:last], feature[first:last], junction[first:last] = int(Surface.GRASS), -1, 1e3
        release(surface, feature, junction)
    paint_patches(site.patches, size, surface, feature, u, v)
    paint_streets(lines, street_rows, ring_rows, size, surface, feature, u, v, junction, deck)
    features = np.array(site.features, FEATURE)
    parts, corners = _finish_parts(site, terrain, plan, surface, level)
    site.parts, site.corners, site.anchors = [], [], []  # half a gigabyte in a city of 10 km
    paint_parts(corners, parts, size, building)
    lay_ground(
        ground,
        surface,
        feature,
        deck,
        terrain.grid,
        STEP,
        terrain.origin,
        _water_levels(site, terrain),
        terrain.bank,
        size,
    )
    plants = plant_trees(rng, site, plan, lines, size, surface, feature, building, ground, deck)
    slots, furniture, walkers = furnish(
        rng, site, plan, lines, street_rows, size, surface, feature, building, ground, level
    )
    return World(
        seed, size, ground, surface, feature, u, v, junction, building, features, parts, corners, plants, slots,
        furniture, walkers, rng.getrandbits(31),
    )  # fmt: skip


def _water_levels(site: Site, terrain: Terrain) -> Floats:
    """Level of the water of each feature: the river's, or a little below the ground around a pond."""
    levels = np.full(len(site.features), terrain.water, np.float32)
    ponds = [(patch.feature, patch.frame[:2]) for patch in site.patches if patch.surface == Surface.WATER]
    if ponds:
        rows = np.array([row for row, _ in ponds])
        levels[rows] = terrain.at(np.array([place for _, place in ponds])) - 0.5
    return levels
