"""Trees, street furniture, and the places where vehicles and people may be."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.difficulty import PLAIN, Difficulty
from tiercel.sim.materials import hash01, lane_bounds, value_noise
from tiercel.sim.paint import Lines
from tiercel.sim.plan import Marking, Plan, Rank, Street
from tiercel.sim.rasters import Band, bands, release
from tiercel.sim.site import Site
from tiercel.sim.vehicles import BUSY
from tiercel.sim.world import FURNITURE, PLANT, SLOT, TEXEL, Bytes, Floats, Furniture, Ints, Plant, Surface

Array = NDArray[np.float64]
ROAD, PAVEMENT, GRASS, PARK, PLAZA, PARKING, WATER, SPORT, PATH, GRAVEL, SOIL, YARD = range(12)


def _texel(places: Array, size: float, texels: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Row and column of places (clipped), and which of them lie in the city."""
    col = np.floor(places[:, 0] / TEXEL).astype(np.int64)
    row = np.floor((size - places[:, 1]) / TEXEL).astype(np.int64)
    inside = (col >= 0) & (row >= 0) & (col < texels) & (row < texels)
    return np.clip(row, 0, texels - 1), np.clip(col, 0, texels - 1), inside


def _stations(
    lines: Lines, chosen: list[int], spacing: list[float], draw: np.random.Generator
) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Evenly spaced stations along streets: street, metres along it, place (n, 2), tangent (n, 2)."""
    streets: list[NDArray[np.int64]] = []
    along: list[Array] = []
    for street, gap in zip(chosen, spacing, strict=True):
        length = lines.along[lines.first[street + 1] - 1]
        stations = np.arange(gap * draw.uniform(0.3, 0.7), length, gap)
        streets.append(np.full(len(stations), street))
        along.append(stations)
    if not streets:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2))
    street_index, distance = np.concatenate(streets), np.concatenate(along)
    places, tangents = lines.at(street_index, distance)
    return street_index, distance, places, tangents


def _beside(places: Array, tangents: Array, offset: Array) -> Array:
    """Places moved to the left of the tangent by an offset in metres."""
    return places + np.stack([-tangents[:, 1], tangents[:, 0]], axis=1) * offset[:, None]


def _scatter(
    surface: Bytes, feature: Ints, building: Ints, density: Floats, spacing: float, seed: int, size: float
) -> Floats:
    """Trees on a jittered grid, by the density of the ground's feature: (n, 3) x, y and a random number."""
    cells = int(size / spacing)
    share = max(1, len(list(bands(surface))))
    found = []
    for k in range(share):
        rows = (cells * k // share, cells * (k + 1) // share)
        found.append(_scatter_rows(surface, feature, building, density, spacing, seed, size, rows))
        release(surface, feature, building)
    return np.concatenate(found)


@compiled
def _scatter_rows(
    surface: Bytes, feature: Ints, building: Ints, density: Floats, spacing: float, seed: int, size: float, rows: Band
) -> Floats:
    """Trees in some rows of the grid, counted from the south."""
    texels = surface.shape[0]
    cells = int(size / spacing)
    found = np.empty(((rows[1] - rows[0]) * cells, 3), np.float32)
    count = 0
    for i in range(rows[0], rows[1]):
        for j in range(cells):
            key = i * cells + j
            x = (j + 0.15 + 0.7 * hash01(key, seed)) * spacing
            y = (i + 0.15 + 0.7 * hash01(key, seed + 1)) * spacing
            row, col = int((size - y) / TEXEL), int(x / TEXEL)
            if row < 4 or col < 4 or row >= texels - 4 or col >= texels - 4:
                continue
            kind = surface[row, col]
            if kind != GRASS and kind != PARK and kind != PLAZA and kind != YARD and kind != GRAVEL:
                continue
            f = feature[row, col]
            if f < 0:
                continue
            chance = density[f]
            if kind == PARK and chance < 0.5:
                grove = value_noise(x * 0.022, y * 0.022, seed)
                chance *= 3.2 * grove * grove
            if hash01(key, seed + 2) >= chance:
                continue
            clear = True
            for dr in range(-4, 5, 4):
                for dc in range(-4, 5, 4):
                    near = surface[row + dr, col + dc]
                    if building[row + dr, col + dc] > 0 or near in (ROAD, WATER, SPORT, PARKING):
                        clear = False
            if building[row, col] > 0 or surface[row - 1, col] == PATH or surface[row + 1, col] == PATH:
                clear = False
            if clear:
                found[count, 0], found[count, 1], found[count, 2] = x, y, hash01(key, seed + 3)
                count += 1
    return found[:count]


def plant_trees(
    rng: random.Random,
    site: Site,
    plan: Plan,
    lines: Lines,
    size: float,
    surface: Bytes,
    feature: Ints,
    building: Ints,
    ground: Floats,
    deck: Bytes,
) -> NDArray[np.void]:
    """Plant street trees, and trees in parks, gardens and yards; none on bridges.

    Returns:
        Table of `tiercel.sim.world.PLANT`.
    """
    draw = np.random.default_rng(rng.getrandbits(32))
    city = site.character
    density = np.array(site.density, np.float32)
    loose = _scatter(surface, feature, building, density, 4.6, rng.getrandbits(20), size).astype(np.float64)
    chosen = [
        k
        for k, s in enumerate(plan.streets)
        if s.rank < Rank.RAIL and s.verge + s.pavement > 2.3 and rng.random() < min(0.95, 0.55 * city.trees)
    ]
    spacing = [rng.uniform(7.5, 14.0) for _ in chosen]
    street, _, places, tangents = _stations(lines, chosen, spacing, draw)
    kind_of = {k: _street_kind(rng, site) for k in chosen}
    height_of = {k: rng.uniform(5.0, 13.0) for k in chosen}
    clear = np.array([(s.half_width, s.verge) for s in plan.streets]).reshape(-1, 2)
    rows: list[Array] = []
    for side in (-1.0, 1.0):
        offset = clear[street, 0] + np.where(clear[street, 1] > 1.0, 0.5 * clear[street, 1], 1.0)
        rows.append(_beside(places, tangents, side * offset))
    alley = np.concatenate(rows) if len(street) else np.zeros((0, 2))
    kinds = np.tile(np.array([kind_of[k] for k in street], np.int32), 2)
    heights = np.tile(np.array([height_of[k] for k in street]), 2)
    row, col, inside = _texel(alley, size, surface.shape[0])
    allowed = (
        np.isin(surface[row, col], (PAVEMENT, GRASS))
        & (building[row, col] == 0)
        & inside
        & (draw.random(len(alley)) < 0.88)
    )
    allowed &= deck[row, col] == 0
    release(surface, building, deck)
    alley, kinds, heights = alley[allowed], kinds[allowed], heights[allowed]
    return _tree_table(draw, site, np.concatenate([alley, loose[:, :2]]), kinds, heights, ground, size)


def _street_kind(rng: random.Random, site: Site) -> int:
    city = site.character
    u = rng.random()
    if u < city.palms:
        return int(Plant.PALM)
    return int(Plant.POPLAR) if u < city.palms + city.poplars * 0.5 else int(Plant.BROADLEAF)


def _tree_table(
    draw: np.random.Generator,
    site: Site,
    places: Array,
    kinds: NDArray[np.int32],
    heights: Array,
    ground: Floats,
    size: float,
) -> NDArray[np.void]:
    """Give every tree its kind, size and hue; those of alleys come first and keep theirs."""
    count, alleys = len(places), len(kinds)
    table = np.zeros(count, PLANT)
    table["x"], table["y"] = places[:, 0], places[:, 1]
    row, col, _ = _texel(places, size, ground.shape[0])
    table["ground"] = ground[row, col]
    release(ground)
    kind = np.zeros(count, np.int32)
    kind[:alleys] = kinds
    u = draw.random(count - alleys)
    conifers = (
        0.5 * site.character.conifers * (1.0 + np.sin(places[alleys:, 0] * 0.011) * np.sin(places[alleys:, 1] * 0.013))
    )
    kind[alleys:] = np.where(
        u < conifers,
        Plant.CONIFER,
        np.where(
            u > 0.86, Plant.BUSH, np.where(u > 0.86 - 0.2 * site.character.poplars, Plant.POPLAR, Plant.BROADLEAF)
        ),
    )
    height = np.empty(count)
    height[:alleys] = heights * draw.uniform(0.85, 1.15, alleys)
    height[alleys:] = 4.0 + 13.0 * draw.random(count - alleys) ** 1.3
    height = np.where(kind == Plant.BUSH, draw.uniform(1.0, 2.8, count), height)
    width = np.choose(kind, [0.36, 0.2, 0.13, 0.2, 0.55]) * draw.uniform(0.8, 1.2, count)
    table["height"] = height
    table["crown"] = np.clip(height * width, 0.5, 6.0)
    table["clear"] = height * np.choose(kind, [0.25, 0.1, 0.08, 0.75, 0.0])
    table["kind"] = kind
    table["hue"] = np.clip(draw.normal(0.5, 0.25, count), 0.0, 1.0)
    table["seed"] = draw.integers(0, 2**31, count)
    return table


def furnish(
    rng: random.Random,
    site: Site,
    plan: Plan,
    lines: Lines,
    rows: Ints,
    size: float,
    surface: Bytes,
    feature: Ints,
    building: Ints,
    ground: Floats,
    level: Difficulty = PLAIN,
) -> tuple[NDArray[np.void], NDArray[np.void], Floats]:
    """Places of vehicles, street furniture, places of people; how many of them is a matter of the difficulty.

    Returns:
        Tables of `tiercel.sim.world.SLOT` and `tiercel.sim.world.FURNITURE`, and (K, 2) float32 places of people.
    """
    draw = np.random.default_rng(rng.getrandbits(32))
    context = (size, surface, feature, building, ground)
    slots = _slots(rng, draw, site, plan, lines, rows, context, level)
    furniture = _furniture(rng, draw, plan, lines, rows, context)
    return slots, furniture, _walkers(draw, plan, lines, context, level)


Context = tuple[float, Bytes, Ints, Ints, Floats]


def _may_park(street: Street) -> bool:
    """Whether cars stand at the kerb: in marked bays, or along any local street wide enough."""
    return bool(street.marking & Marking.PARKING_BAYS) or (street.rank == Rank.LOCAL and street.half_width > 3.0)


def _slots(
    rng: random.Random, draw: np.random.Generator, site: Site, plan: Plan, lines: Lines, rows: Ints, context: Context,
    level: Difficulty,
) -> NDArray[np.void]:  # fmt: skip
    """Kerb parking, car parks and driving lanes."""
    size, surface, feature, building, ground = context
    found: list[Array] = [np.array(site.slots, np.float64).reshape(-1, 4)]
    left = -1.0 if site.character.left_hand else 1.0
    for parked in (True, False):
        chosen = [
            k for k, s in enumerate(plan.streets) if s.rank < Rank.RAIL and s.lanes > 0 and (not parked or _may_park(s))
        ]
        spacing = [
            5.6 if plan.streets[k].marking & Marking.PARKING_BAYS else level.parking * rng.uniform(9.0, 22.0)
            for k in chosen
        ]
        if not parked:
            spacing = [
                rng.uniform(11.0, 16.0) if plan.streets[k].rank > Rank.LOCAL else rng.uniform(40.0, 90.0)
                for k in chosen
            ]
        street, along, places, tangents = _stations(lines, chosen, spacing, draw)
        if parked:
            marked = np.array([bool(plan.streets[k].marking & Marking.PARKING_BAYS) for k in street], bool)
            along = np.where(marked, np.floor(along / 5.6) * 5.6 + 2.8, along)
            places, tangents = lines.at(street, along)
        for side in (-1.0, 1.0):
            for lane in range(1 if parked else 3):
                use = np.array([lane < plan.streets[k].lanes for k in street], bool)
                offset_of, kind_of = np.zeros(len(plan.streets)), np.zeros(len(plan.streets))
                for k in chosen:
                    s = plan.streets[k]
                    inner, outer, _edge = lane_bounds(int(s.marking), s.half_width)
                    width = (outer - inner) / max(1, s.lanes)
                    offset_of[k] = s.half_width - 1.05 if parked else inner + (lane + 0.5) * width
                    kind_of[k] = 0 if parked else 2 if s.marking & Marking.BUS_LANE and lane == s.lanes - 1 else 1
                offset, kind = offset_of[street], kind_of[street]
                spots = _beside(places, tangents, side * offset)
                row, col, inside = _texel(spots, size, surface.shape[0])
                own = (feature[row, col] == rows[street]) & (surface[row, col] == ROAD) & inside & use
                own &= (kind != 2) | (draw.random(len(street)) < 0.25)  # buses are rarer than cars
                heading = np.arctan2(tangents[:, 0], tangents[:, 1]) + (math.pi if side * left > 0.0 else 0.0)
                found.append(np.stack([spots[:, 0], spots[:, 1], heading, kind], axis=1)[own])
    release(feature, surface)
    places4 = np.concatenate(found)
    row, col, inside = _texel(places4[:, :2], size, surface.shape[0])
    free = inside & (building[row, col] == 0)
    release(building)
    places4, row, col = places4[free], row[free], col[free]
    table = np.zeros(len(places4), SLOT)
    table["x"], table["y"], table["azimuth"] = places4[:, 0], places4[:, 1], np.mod(places4[:, 2], math.tau)
    table["kind"], table["ground"] = places4[:, 3].astype(np.int32), ground[row, col]
    table["kind"] += BUSY if level.busy else 0
    release(ground)
    return table


def _furniture(
    rng: random.Random, draw: np.random.Generator, plan: Plan, lines: Lines, rows: Ints, context: Context
) -> NDArray[np.void]:
    """Lamps, signs, benches, shelters and bollards along streets, traffic lights and signs at junctions."""
    size, surface, _, building, ground = context
    found: list[Array] = []
    paved = [k for k, s in enumerate(plan.streets) if s.rank < Rank.RAIL]
    narrow = [k for k in paved if plan.streets[k].pavement > 2.2 and rng.random() < 0.12]
    recipes = [
        (Furniture.LAMP, paved, 28.0, 0.5, 1.0), (Furniture.SIGN, paved, 70.0, 0.6, 0.7),
        (Furniture.BENCH, [k for k in paved if plan.streets[k].pavement > 2.6], 55.0, 1.9, 0.6),
        (Furniture.BUS_SHELTER, [k for k in paved if plan.streets[k].rank == Rank.ARTERIAL], 260.0, 1.7, 0.9),
        (Furniture.BOLLARD, narrow, 2.4, 0.4, 0.9),
    ]  # fmt: skip
    half = np.array([s.half_width for s in plan.streets])
    for kind, chosen, gap, inset, share in recipes:
        street, _, places, tangents = _stations(lines, chosen, [gap * rng.uniform(0.8, 1.3) for _ in chosen], draw)
        for side in (-1.0, 1.0):
            spots = _beside(places, tangents, side * (half[street] + inset))
            azimuth = np.arctan2(tangents[:, 0], tangents[:, 1]) + side * 0.5 * math.pi
            chance = draw.random(len(street)) < share * (0.5 if kind == Furniture.LAMP else 0.7)
            found.append(np.stack([spots[:, 0], spots[:, 1], azimuth, np.full(len(street), int(kind))], axis=1)[chance])
    found.append(_junction_signs(rng, plan, lines))
    table4 = np.concatenate(found)
    row, col, inside = _texel(table4[:, :2], size, surface.shape[0])
    kept = inside & np.isin(surface[row, col], (PAVEMENT, GRASS)) & (building[row, col] == 0)
    release(surface, building)
    table4, row, col = table4[kept], row[kept], col[kept]
    table = np.zeros(len(table4), FURNITURE)
    table["x"], table["y"], table["azimuth"] = table4[:, 0], table4[:, 1], np.mod(table4[:, 2], math.tau)
    table["kind"], table["ground"] = table4[:, 3].astype(np.int32), ground[row, col]
    release(ground)
    table["seed"] = draw.integers(0, 2**31, len(table4))
    return table


def _junction_signs(rng: random.Random, plan: Plan, lines: Lines) -> Array:
    """A traffic light or a sign beside every arm of a junction where streets of rank meet."""
    streets: list[int] = []
    along: list[float] = []
    sides: list[float] = []
    kinds: list[int] = []
    for k, street in enumerate(plan.streets):
        if street.rank >= Rank.RAIL or street.rank == Rank.LOCAL:
            continue
        length = float(lines.along[lines.first[k + 1] - 1])
        for n in range(lines.node_first[k], lines.node_first[k + 1]):
            for way in (-1.0, 1.0):
                place = lines.node_along[n] + way * (lines.node_reach[n] + 4.6)
                if 0.0 < place < length:
                    streets.append(k)
                    along.append(place)
                    sides.append(way)
                    kinds.append(int(Furniture.TRAFFIC_LIGHT if street.rank == Rank.ARTERIAL else Furniture.SIGN))
    if not streets:
        return np.zeros((0, 4))
    index, way_of = np.array(streets), np.array(sides)
    places, tangents = lines.at(index, np.array(along))
    offset = way_of * (np.array([plan.streets[k].half_width for k in streets]) + 0.6)
    spots = _beside(places, tangents, offset)
    azimuth = np.arctan2(tangents[:, 0], tangents[:, 1]) + np.where(way_of > 0, 0.0, math.pi)
    return np.stack([spots[:, 0], spots[:, 1], azimuth, np.array(kinds)], axis=1)


def _walkers(draw: np.random.Generator, plan: Plan, lines: Lines, context: Context, level: Difficulty) -> Floats:
    """Places of people: on pavements, squares and paths."""
    size, surface, _, building, _ = context
    count = int(level.crowd * size * size / 90.0)
    row, col = draw.integers(0, surface.shape[0], count), draw.integers(0, surface.shape[0], count)
    share = np.zeros(12)
    share[[Surface.PAVEMENT, Surface.PLAZA, Surface.PATH, Surface.PARK, Surface.PARKING]] = (1.0, 0.8, 0.9, 0.06, 0.1)
    kept = (draw.random(count) < share[surface[row, col]]) & (building[row, col] == 0)
    release(surface, building)
    row, col = row[kept], col[kept]
    x = (col + draw.random(len(col))) * TEXEL
    y = size - (row + draw.random(len(row))) * TEXEL
    return np.stack([x, y], axis=1).astype(np.float32)
