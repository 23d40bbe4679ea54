"""The world some years earlier: what has been planted, painted, built and pulled down since a map was flown."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.difficulty import Difficulty
from tiercel.sim.paint import paint_parts
from tiercel.sim.plan import Marking
from tiercel.sim.rasters import new_raster
from tiercel.sim.world import TEXEL, Floats, Ints, Plant, Surface, World

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_FENCE = 8
_TOUCH = 0.3
"""Parts of a lot whose boxes come as near as this, metres, are of one building."""
_FREE = (Surface.GRASS, Surface.PARK, Surface.YARD, Surface.PARKING, Surface.SOIL, Surface.GRAVEL)
"""Where something may have stood that has been pulled down since."""
_LAID = Marking.MEDIAN | Marking.TRAM
"""What a street keeps when it is painted anew: it is no paint."""
_PAINTS = tuple(
    Marking(bits)
    for bits in (
        Marking.CENTRE_DASHED, Marking.CENTRE_SOLID, Marking.EDGE_LINES, Marking.ZEBRA, Marking.STOP_LINES,
        Marking.CYCLE_LANE, Marking.PARKING_BAYS,
    )
)  # fmt: skip


def older(world: World, seed: int | np.random.Generator, difficulty: Difficulty) -> World:
    """The world as it was when its map was flown.

    Args:
        world: The world as it is.
        seed: Of what has changed since, or the source of randomness itself.
        difficulty: How much has.

    Returns:
        Another world on the same ground; the same world where nothing has changed.
    """
    ageing = difficulty.ageing
    if not (ageing.trees or ageing.streets or ageing.buildings):
        return world
    rng = np.random.default_rng(seed)
    features = _older_streets(world.features, rng, ageing.streets)
    plants = _older_plants(world, rng, ageing.trees)
    stock = _older_buildings(world, rng, ageing.buildings)
    building = new_raster(world.texels, np.int32, None)
    paint_parts(stock.corners, stock.parts, world.size, building)
    row, col = _texel(world, np.stack([plants["x"], plants["y"]], axis=1))
    gained = (building[row, col] > 0) & (world.building[row, col] == 0)
    return replace(
        world, features=features, plants=plants[~gained], parts=stock.parts, corners=stock.corners, building=building
    )


def group_parts(parts: NDArray[np.void], corners: Floats | Array, lots: Array | Ints) -> Rows:
    """Which parts make up one building: neighbours in the table, on one lot, that touch; a fence is its own.

    Args:
        parts: Table of `tiercel.sim.world.PART`; only the numbers of corners are read, which follow one another.
        corners: (M, 2) corners of all parts, metres.
        lots: (parts,) or (parts, n), alike for parts of one lot.

    Returns:
        (parts,) numbers of buildings, from 0, increasing.
    """
    if not len(parts):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(parts["count"])])[: len(parts)].astype(np.int64)
    low, high = (reduce.reduceat(corners, starts) for reduce in (np.minimum, np.maximum))
    flat = lots.reshape(len(parts), -1)
    group = np.zeros(len(parts), np.int64)
    box = (low[0].copy(), high[0].copy())
    for i in range(1, len(parts)):
        alone = parts["facade"][i] == _FENCE or parts["facade"][i - 1] == _FENCE
        near = (low[i] < box[1] + _TOUCH).all() and (high[i] > box[0] - _TOUCH).all()
        if alone or not near or (flat[i] != flat[i - 1]).any():
            group[i], box = group[i - 1] + 1, (low[i].copy(), high[i].copy())
        else:
            group[i], box = group[i - 1], (np.minimum(box[0], low[i]), np.maximum(box[1], high[i]))
    return group


def _texel(world: World, places: Floats | Array) -> tuple[Rows, Rows]:
    """Row and column of places (n, 2), clipped to the city."""
    last = world.texels - 1
    row, col = (world.size - places[:, 1]) / TEXEL, places[:, 0] / TEXEL
    return np.clip(row.astype(np.int64), 0, last), np.clip(col.astype(np.int64), 0, last)


def _older_streets(features: NDArray[np.void], rng: np.random.Generator, share: float) -> NDArray[np.void]:
    """Other paint, no paint, or an older carriageway on a share of all streets."""
    features = features.copy()
    for row in np.flatnonzero((features["kind"] == 0) & (features["lanes"] > 0)):
        if rng.random() >= share:
            continue
        change = rng.random()
        marking = int(features["marking"][row])
        if change < 0.4:
            marking &= int(_LAID)
        elif change < 0.8:
            for paint in rng.choice(len(_PAINTS), 2, replace=False):
                marking ^= int(_PAINTS[paint])
        if change >= 0.6 or rng.random() < 0.5:
            features["colour"][row] *= np.float32(rng.uniform(0.7, 1.3))
        features["marking"][row] = marking
    return features


def _older_plants(world: World, rng: np.random.Generator, share: float) -> NDArray[np.void]:
    """Of a share of all trees, a third is not planted yet, a third another one, a third stands elsewhere."""
    plants = world.plants.copy()
    changed = rng.random(len(plants)) < share
    change = rng.integers(0, 3, len(plants))
    other = np.flatnonzero(changed & (change == 1))
    scale = rng.uniform(0.5, 1.5, len(other)).astype(np.float32)
    for name in ("height", "crown", "clear"):
        plants[name][other] *= scale
    plants["hue"][other] = rng.random(len(other))
    swapped = other[(rng.random(len(other)) < 0.3) & (plants["kind"][other] <= Plant.CONIFER)]
    plants["kind"][swapped] = Plant.CONIFER - plants["kind"][swapped]
    moved = np.flatnonzero(changed & (change == 2))
    places = np.stack([plants["x"][moved], plants["y"][moved]], axis=1) + rng.normal(0.0, 4.0, (len(moved), 2))
    row, col = _texel(world, places)
    good = (
        ((places > 0.0) & (places < world.size)).all(axis=1)
        & (world.building[row, col] == 0)
        & ~np.isin(world.surface[row, col], (Surface.ROAD, Surface.WATER, Surface.PARKING))
    )
    plants["x"][moved[good]], plants["y"][moved[good]] = places[good, 0], places[good, 1]
    plants["ground"][moved[good]] = world.ground[row[good], col[good]]
    kept: NDArray[np.void] = plants[~(changed & (change == 0))]
    return kept


class _Stock(NamedTuple):
    """All building parts and their corners."""

    parts: NDArray[np.void]
    corners: Floats


def _older_buildings(world: World, rng: np.random.Generator, share: float) -> _Stock:
    """A share of all buildings is not there yet, lower, higher or under another roof; some stand that are gone now."""
    parts = world.parts.copy()
    row, col = _texel(world, parts["centre"])
    group = group_parts(parts, world.corners, world.feature[row, col])
    houses = np.unique(group[parts["facade"] != _FENCE])
    chosen = houses[rng.random(len(houses)) < share]
    change = rng.integers(0, 3, len(chosen))
    kept = np.ones(len(parts), bool)
    for building, kind in zip(chosen, change, strict=True):
        first, last = np.searchsorted(group, [building, building + 1])
        own = parts[first:last]
        if kind == 0:
            kept[first:last] = False
        elif kind == 1:
            storeys = float(rng.choice([-2, -1, 1, 2, 3])) * float(own["floor_height"][0])
            own["eave"] = np.maximum(own["eave"] + np.float32(storeys), own["base"] + np.float32(2.6))
        else:
            own["roof_colour"] = np.clip(255.0 * rng.uniform(0.25, 0.85) * rng.uniform(0.85, 1.15, 3), 20.0, 235.0)
    gone = _pulled_down(world, rng, rng.binomial(len(houses), share) if len(houses) else 0)
    return _Stock(
        np.concatenate([parts[kept], gone.parts]), np.concatenate([world.corners, gone.corners]).astype(np.float32)
    )


def _pulled_down(world: World, rng: np.random.Generator, count: int) -> _Stock:
    """Buildings on ground that is free now: each the twin of one part nearby, where there is room for it."""
    parts: list[NDArray[np.void]] = []
    corners: list[Floats] = []
    start = len(world.corners)
    templates = np.flatnonzero((world.parts["facade"] != _FENCE) & (world.parts["half_width"] > 3.0))
    for _ in range(8 * count if len(templates) else 0):
        if len(parts) == count:
            break
        twin = world.parts[rng.choice(templates)][None].copy()
        turn, far = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(15.0, 70.0)
        shift = np.array([np.cos(turn), np.sin(turn)]) * far
        first = int(twin["start"][0])
        footprint = world.corners[first : first + int(twin["count"][0])] + shift
        low, high = footprint.min(axis=0) - 1.5, footprint.max(axis=0) + 1.5
        if low.min() < 2.0 or high.max() > world.size - 2.0:
            continue
        rows, cols = _texel(world, np.array([[low[0], high[1]], [high[0], low[1]]]))
        box = np.s_[rows[0] : rows[1] + 1, cols[0] : cols[1] + 1]
        if world.building[box].any() or not np.isin(world.surface[box], _FREE).all():
            continue
        ground = world.ground[box]
        twin["eave"] += float(ground.mean()) - (twin["base"] + 0.3)
        twin["base"] = float(ground.min()) - 0.3
        twin["eave"] = np.maximum(twin["eave"], float(ground.max()) + 2.0)
        twin["centre"] += shift.astype(np.float32)
        twin["start"] = start
        start += len(footprint)
        parts.append(twin)
        corners.append(footprint.astype(np.float32))
    if not parts:
        return _Stock(world.parts[:0], world.corners[:0])
    return _Stock(np.concatenate(parts), np.concatenate(corners))
