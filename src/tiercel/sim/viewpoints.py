"""Where photographs are taken: in driving lanes, like a mapping car, and where people walk."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.sim.materials import lane_bounds
from tiercel.sim.rasters import release
from tiercel.sim.world import TEXEL, Furniture, Surface, World

VIEWPOINT = np.dtype([("x", np.float64), ("y", np.float64), ("heading", np.float64)])
"""East and north in metres, and the direction of the street there in degrees clockwise from north."""

EYE_HEIGHTS = {"foot": (1.45, 1.8), "car": (1.3, 2.4), "roof": (2.1, 2.8)}
"""Between which heights cameras are held, metres: by people, behind windscreens, on the roofs of mapping cars."""

_CLEAR_OF_WALLS = 1
"""Texels around a viewpoint that no building touches."""
_TRUNK = 1.0
"""Metres from the eye to the middle of the nearest trunk, at least."""
_ON_FOOT = (Surface.PAVEMENT, Surface.PATH, Surface.PLAZA)

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]


def sample_viewpoints(
    world: World,
    count: int,
    rng: np.random.Generator,
    kind: Literal["street", "pavement"] = "street",
    margin: float = 60.0,
) -> NDArray[np.void]:
    """Draw places to photograph from, evenly along streets or evenly over pavements, paths and plazas.

    Args:
        world: The city.
        count: How many.
        rng: Source of randomness.
        kind: "street" for the middle of a driving lane, heading with its traffic (which keeps right); "pavement" for
            places to walk, heading along the street where there is one and anywhere else.
        margin: Least distance from the city's edge, metres.

    Returns:
        (count,) array of `VIEWPOINT`: never in a building, a tree or water, never under a bus shelter's roof.

    Raises:
        TiercelError: The city has no such place.
    """
    candidates, weights = _candidates(world, kind, margin)
    blocked = _blocked(world)
    found: list[NDArray[np.void]] = []
    total = 0
    for _ in range(40):
        if len(candidates) == 0 or total >= count:
            break
        picks = rng.choice(len(candidates), size=2 * (count - total) + 16, p=weights)
        row, column = np.divmod(candidates[picks], world.texels)
        points = _on_street(world, row, column, rng) if kind == "street" else _on_foot(world, row, column, rng)
        points = points[_valid(world, points, blocked, kind, margin)]
        found.append(points[: count - total])
        total += len(found[-1])
    if total < count:
        raise TiercelError(
            f"The city of seed {world.seed} has too few places of kind '{kind}' {margin:g} m from its edge: "
            "make it larger or lower the margin."
        )
    return np.concatenate(found)


def sample_drives(
    world: World,
    count: int,
    rng: np.random.Generator,
    *,
    length: int = 20,
    spacing: tuple[float, float] = (10.0, 20.0),
    margin: float = 60.0,
) -> list[NDArray[np.void]]:
    """Draw drives of a mapping car: places one after another along streets, straight on at junctions.

    Args:
        world: The city.
        count: How many places in all.
        rng: Source of randomness.
        length: Places of a drive; one that runs into a dead end is shorter, but has four or more.
        spacing: Least and greatest distance between two places, metres.
        margin: Least distance from the city's edge, metres.

    Returns:
        The drives, each an array of `VIEWPOINT` heading with the traffic; the last may be short.

    Raises:
        TiercelError: The city has no streets long enough.
    """
    blocked = _blocked(world)
    drives: list[NDArray[np.void]] = []
    total = 0
    for _ in range(200 + 20 * count):
        if total >= count:
            return drives
        start = _start(world, rng, margin)
        if start is None or not _valid(world, start, blocked, "street", margin)[0]:
            continue
        drive = [start]
        while len(drive) < min(length, count - total):
            following = _go_on(world, drive[-1], rng, blocked, spacing, margin)
            if following is None:
                break
            drive.append(following)
        if len(drive) >= min(4, count - total):
            drives.append(np.concatenate(drive))
            total += len(drive)
        release(world.surface, world.feature, world.u, world.v, world.junction, world.building)
    if total >= count:
        return drives
    raise TiercelError(
        f"The city of seed {world.seed} has too few streets {margin:g} m from its edge for drives: make it larger."
    )


def _start(world: World, rng: np.random.Generator, margin: float) -> NDArray[np.void] | None:
    """A place in a driving lane, every metre of street alike; None where a draw hit none."""
    border = max(2, int(np.ceil(margin / TEXEL)))
    if 2 * border >= world.texels:
        return None
    row, column = rng.integers(border, world.texels - border, (2, 256))
    owner = world.features[world.feature[row, column]]
    road = (world.surface[row, column] == Surface.ROAD) & (owner["kind"] == 0) & (world.building[row, column] == 0)
    hits = np.flatnonzero(road & (rng.random(256) < 2.0 / np.maximum(2.0, owner["half_width"])))[:1]
    found = _on_street(world, row[hits], column[hits], rng)
    return found if len(found) else None


def _go_on(
    world: World, here: NDArray[np.void], rng: np.random.Generator, blocked: Doubles, spacing: tuple[float, float],
    margin: float,
) -> NDArray[np.void] | None:  # fmt: skip
    """The next place of a drive; None where the street ends or turns sharply."""
    heading = float(here["heading"][0])
    for _ in range(4):
        metres = rng.uniform(*spacing)
        ahead = here.copy()
        ahead["x"] += metres * np.sin(np.radians(heading))
        ahead["y"] += metres * np.cos(np.radians(heading))
        if not _valid(world, ahead, blocked, "street", margin)[0]:
            continue
        row = ((world.size - ahead["y"]) / TEXEL).astype(np.int64)
        column = (ahead["x"] / TEXEL).astype(np.int64)
        on_street = world.features["kind"][world.feature[row, column]] == 0
        if not on_street[0] or world.junction[row, column][0] < 0.0:
            return ahead  # crossing a junction
        found = _on_street(world, row, column, rng)
        if not len(found) or not _valid(world, found, blocked, "street", margin)[0]:
            continue
        turn = abs((float(found["heading"][0]) - heading + 180.0) % 360.0 - 180.0)
        if turn < 50.0:
            return found
    return None


def _candidates(world: World, kind: str, margin: float) -> tuple[Indices, Doubles]:
    """Flat texels to draw from and their probabilities."""
    if kind not in ("street", "pavement"):
        raise TiercelError(f"There is no kind of viewpoint '{kind}': use 'street' or 'pavement'.")
    surfaces = (Surface.ROAD,) if kind == "street" else _ON_FOOT
    mask = np.isin(world.surface, [int(surface) for surface in surfaces]) & (world.building == 0)
    border = max(2, int(np.ceil(margin / TEXEL)))
    mask[:border], mask[-border:], mask[:, :border], mask[:, -border:] = False, False, False, False
    flat = np.flatnonzero(mask)
    owners = world.features[world.feature.ravel()[flat]]
    streets = owners["kind"] == 0
    if kind == "street":
        flat, owners = flat[streets], owners[streets]
        # Every metre of street counts alike, however wide it is.
        weights = 1.0 / np.maximum(2.0, owners["half_width"].astype(np.float64))
    else:
        weights = np.where(world.surface.ravel()[flat] == Surface.PLAZA, 0.4, 1.0)
    return flat, weights / weights.sum() if len(flat) else weights


def _gradient(world: World, field: NDArray[np.float32], row: Indices, column: Indices) -> tuple[Doubles, Doubles]:
    """East and north slope of a field within its feature, 0 where the neighbours belong to others."""

    def slope(rows: tuple[Indices, Indices], columns: tuple[Indices, Indices]) -> Doubles:
        own = world.feature[row, column]
        high, low = field[rows[0], columns[0]].astype(np.float64), field[rows[1], columns[1]].astype(np.float64)
        here = field[row, column].astype(np.float64)
        has_high = world.feature[rows[0], columns[0]] == own
        has_low = world.feature[rows[1], columns[1]] == own
        span = np.maximum(1, has_high.astype(int) + has_low.astype(int)) * TEXEL
        return np.asarray((np.where(has_high, high, here) - np.where(has_low, low, here)) / span, np.float64)

    return slope((row, row), (column + 1, column - 1)), slope((row - 1, row + 1), (column, column))


def _on_street(world: World, row: Indices, column: Indices, rng: np.random.Generator) -> NDArray[np.void]:
    """Viewpoints moved sideways into the middle of their driving lane."""
    owner = world.features[world.feature[row, column]]
    u = world.u[row, column].astype(np.float64)
    inner, outer = np.empty(len(u)), np.empty(len(u))
    for index, feature in enumerate(owner):
        inner[index], outer[index], _ = lane_bounds(int(feature["marking"]), float(feature["half_width"]))
    width = (outer - inner) / np.maximum(1, owner["lanes"])
    lane = np.clip(np.floor((np.abs(u) - inner) / width), 0, np.maximum(1, owner["lanes"]) - 1)
    wanted = np.where(u < 0, -1.0, 1.0) * (inner + (lane + 0.5) * width + rng.normal(0.0, 0.15, len(u)))
    east, north = _gradient(world, world.u, row, column)
    along_east, along_north = _gradient(world, world.v, row, column)
    size = np.maximum(1e-6, east * east + north * north)
    inside = world.junction[row, column] < 0.0  # turning there, so anywhere will do
    move = np.where(inside | (np.abs(wanted - u) > 6.0), 0.0, (wanted - u) / size)
    points = np.empty(len(u), VIEWPOINT)
    points["x"] = (column + 0.5) * TEXEL + move * east
    points["y"] = world.size - (row + 0.5) * TEXEL + move * north
    # With traffic on the right, a lane heads along +v where u grows to the right of +v.
    right = np.sign(east * along_north - north * along_east) * np.sign(wanted)
    turn = np.where(right >= 0, 1.0, -1.0)
    points["heading"] = np.degrees(np.arctan2(turn * along_east, turn * along_north)) % 360.0
    sure = (np.hypot(east, north) > 0.6) & (np.hypot(along_east, along_north) > 0.3)
    return points[sure]


def _on_foot(world: World, row: Indices, column: Indices, rng: np.random.Generator) -> NDArray[np.void]:
    """Viewpoints where people walk."""
    points = np.empty(len(row), VIEWPOINT)
    points["x"] = (column + rng.random(len(row))) * TEXEL
    points["y"] = world.size - (row + rng.random(len(row))) * TEXEL
    east, north = _gradient(world, world.v, row, column)
    street = (world.features["kind"][world.feature[row, column]] == 0) & (np.hypot(east, north) > 0.3)
    along = np.degrees(np.arctan2(east, north)) + 180.0 * rng.integers(0, 2, len(row))
    points["heading"] = np.where(street, along, rng.uniform(0.0, 360.0, len(row))) % 360.0
    return points


def _blocked(world: World) -> Doubles:
    """(n, 3): east, north and radius of what a camera must not stand in."""
    trunks = np.stack([world.plants["x"], world.plants["y"], np.full(len(world.plants), _TRUNK)], axis=1)
    bushes = world.plants["clear"] < 1.5
    trunks[bushes, 2] = np.maximum(_TRUNK, world.plants["crown"][bushes] + 0.3)
    radii = np.where(world.furniture["kind"] == Furniture.BUS_SHELTER, 2.8, 0.9)
    items = np.stack([world.furniture["x"], world.furniture["y"], radii], axis=1)
    return np.concatenate([trunks, items]).astype(np.float64)


def _valid(world: World, points: NDArray[np.void], blocked: Doubles, kind: str, margin: float) -> NDArray[np.bool_]:
    """Which points stand on the right surface, free of walls, trunks and furniture."""
    x, y = points["x"], points["y"]
    inside = (x > margin) & (y > margin) & (x < world.size - margin) & (y < world.size - margin)
    last = world.texels - 1 - _CLEAR_OF_WALLS
    column = np.clip((x / TEXEL).astype(np.int64), _CLEAR_OF_WALLS, last)
    row = np.clip(((world.size - y) / TEXEL).astype(np.int64), _CLEAR_OF_WALLS, last)
    surfaces = [int(Surface.ROAD)] if kind == "street" else [int(surface) for surface in _ON_FOOT]
    good = np.asarray(inside & np.isin(world.surface[row, column], surfaces))
    for down in range(-_CLEAR_OF_WALLS, _CLEAR_OF_WALLS + 1):
        for across in range(-_CLEAR_OF_WALLS, _CLEAR_OF_WALLS + 1):
            good &= world.building[row + down, column + across] == 0
    for index in np.flatnonzero(good):
        near = np.abs(blocked[:, 0] - x[index]) < 4.0
        gap = np.hypot(blocked[near, 0] - x[index], blocked[near, 1] - y[index]) - blocked[near, 2]
        good[index] = not (gap < 0.0).any()
    return good
