"""Everything that stands on the ground and is not a building, drawn into a finished frame by its depth.

Trees, vehicles, furniture and pedestrians near the viewpoint are gathered from a grid of buckets, sorted by distance
and drawn from near to far, each inside the box of columns and rows it can cover, ray by ray.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.columns import NOTHING, Scene, ground_height, shadow_height, store, sun_share
from tiercel.sim.compiled import compiled
from tiercel.sim.furniture import HEIGHT, LENGTH, WIDTH, hit_furniture
from tiercel.sim.inlined import inlined
from tiercel.sim.materials import leaf_cover, plant_colour
from tiercel.sim.noise import value_noise
from tiercel.sim.people import person_colour, walker_at
from tiercel.sim.sky import Light
from tiercel.sim.trees import hit_crown, trunk_radius
from tiercel.sim.vehicles import hit_vehicle, vehicle_at
from tiercel.sim.world import Bytes, Floats, Ints, Plant, World

BUCKET = 32.0
"""Side of a bucket, metres."""
_PLANTS, _VEHICLES, _FURNITURE, _WALKERS = range(4)
_SIGHT = np.array([320.0, 200.0, 90.0, 90.0])
"""How far each table is drawn, metres."""
_GAPS = np.array([1.1, 2.4, 2.4, 1.1, 2.4, 2.4])
"""Metres that a vehicle stays away from the eye, by kind of slot: the camera takes the place of one that drives."""
_BUSH = int(Plant.BUSH)

Doubles = NDArray[np.float64]


class Objects(NamedTuple):
    """All objects of a world, and the buckets they are in.

    Attributes:
        plants: (n, 8) float32: x, y, foot, height, crown, clear, kind, hue.
        seeds: (n,) int32, seeds of the plants.
        slots: (n, 5) float32: x, y, ground, azimuth, kind.
        furniture: (n, 6) float32: x, y, ground, azimuth, kind, seed modulo 65536.
        walkers: (n, 2) float32: x, y.
        starts: (buckets + 1,) int32, first entry of every bucket in ``entries``, row by row from the south-west.
        entries: (all, 2) int32: which table, which row of it.
        buckets: Buckets along one side.
    """

    plants: Floats
    seeds: Ints
    slots: Floats
    furniture: Floats
    walkers: Floats
    starts: Ints
    entries: Ints
    buckets: int


def _columns_of(table: NDArray[np.void], names: tuple[str, ...]) -> Floats:
    return np.stack([table[name].astype(np.float32) for name in names], axis=1) if len(table) else np.zeros(
        (0, len(names)), np.float32
    )  # fmt: skip


def make_objects(world: World) -> Objects:
    """Put a world's objects into buckets."""
    plants = _columns_of(world.plants, ("x", "y", "ground", "height", "crown", "clear", "kind", "hue"))
    slots = _columns_of(world.slots, ("x", "y", "ground", "azimuth", "kind"))
    furniture = _columns_of(world.furniture, ("x", "y", "ground", "azimuth", "kind"))
    seeds = (world.furniture["seed"] & np.uint32(0xFFFF)).astype(np.float32)
    furniture = np.concatenate([furniture, seeds[:, None]], axis=1)
    walkers = np.ascontiguousarray(world.walkers, np.float32).reshape(-1, 2)
    buckets = max(1, math.ceil(world.size / BUCKET))
    places = np.concatenate([plants[:, :2], slots[:, :2], furniture[:, :2], walkers])
    cells = np.clip((places / BUCKET).astype(np.int64), 0, buckets - 1)
    bucket = cells[:, 1] * buckets + cells[:, 0]
    order = np.argsort(bucket, kind="stable")
    starts = np.searchsorted(bucket[order], np.arange(buckets * buckets + 1)).astype(np.int32)
    tables = (plants, slots, furniture, walkers)
    which = np.concatenate([np.full(len(table), k) for k, table in enumerate(tables)])
    rows = np.concatenate([np.arange(len(table)) for table in tables])
    entries = np.stack([which, rows], axis=1)[order].astype(np.int32)
    plant_seeds = (world.plants["seed"] & np.uint32(0xFFFFF)).astype(np.int32)
    return Objects(plants, plant_seeds, slots, furniture, walkers, starts, entries, buckets)


@compiled
def _gather(objects: Objects, x: float, y: float) -> tuple[Doubles, Ints]:
    """Distances and entries of all objects in sight, from near to far."""
    reach = 320.0
    low_i, high_i = max(0, int((x - reach) / BUCKET)), min(objects.buckets - 1, int((x + reach) / BUCKET))
    low_j, high_j = max(0, int((y - reach) / BUCKET)), min(objects.buckets - 1, int((y + reach) / BUCKET))
    most = 0
    for j in range(low_j, high_j + 1):
        row = j * objects.buckets
        most += objects.starts[row + high_i + 1] - objects.starts[row + low_i]
    distances = np.empty(most, np.float64)
    found = np.empty((most, 2), np.int32)
    count = 0
    for j in range(low_j, high_j + 1):
        row = j * objects.buckets
        for k in range(objects.starts[row + low_i], objects.starts[row + high_i + 1]):
            table, index = objects.entries[k, 0], objects.entries[k, 1]
            if table == _PLANTS:
                east, north = objects.plants[index, 0], objects.plants[index, 1]
            elif table == _VEHICLES:
                east, north = objects.slots[index, 0], objects.slots[index, 1]
            elif table == _FURNITURE:
                east, north = objects.furniture[index, 0], objects.furniture[index, 1]
            else:
                east, north = objects.walkers[index, 0], objects.walkers[index, 1]
            squared = (east - x) * (east - x) + (north - y) * (north - y)
            if squared < _SIGHT[table] * _SIGHT[table]:
                distances[count] = math.sqrt(squared)
                found[count, 0], found[count, 1] = table, index
                count += 1
    order = np.argsort(distances[:count])
    return distances[:count][order], found[:count][order]


@inlined
def _columns(azimuths: Doubles, centre: float, half: float) -> tuple[int, int]:
    """First column and one past the last whose azimuths lie within ``half`` of ``centre`` (radians, no wrapping)."""
    return int(np.searchsorted(azimuths, centre - half)), int(np.searchsorted(azimuths, centre + half))


@compiled
def _row_below(tangents: Floats, tangent: float) -> int:
    """First row whose tangent is at most the given one."""
    low, high = 0, tangents.shape[0]
    while low < high:
        middle = (low + high) // 2
        if tangents[middle] > tangent:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _rows(tangents: Floats, distance: float, radius: float, bottom: float, top: float, eye: float) -> tuple[int, int]:
    """First row and one past the last that something between two absolute heights can cover."""
    near, far = max(0.15, distance - radius), distance + radius
    highest = (top - eye) / (near if top > eye else far)
    lowest = (bottom - eye) / (near if bottom < eye else far)
    return _row_below(tangents, highest), _row_below(tangents, lowest)


@inlined
def _tint(
    light: Light, r: float, g: float, b: float, up: float, sun: float, distance: float
) -> tuple[float, float, float]:
    """Light and haze on a colour whose normal rises by ``up`` and faces the sun by ``sun``."""
    open_sky = 0.80 + 0.20 * up
    r *= light.sky_r * open_sky + light.sun_r * sun
    g *= light.sky_g * open_sky + light.sun_g * sun
    b *= light.sky_b * open_sky + light.sun_b * sun
    veil = 1.0 - math.exp(-distance * light.haze)
    return r + (light.horizon_r - r) * veil, g + (light.horizon_g - g) * veil, b + (light.horizon_b - b) * veil


@compiled
def _draw_plant(
    scene: Scene, objects: Objects, shadow: Floats, light: Light, index: int, distance: float, x: float, y: float,
    eye: float, directions: Floats, turns: Floats, tangents: Floats, first: int, last: int, samples: int,
    frame: Bytes, depth: Floats,
) -> None:  # fmt: skip
    """Draw a tree or a bush. As on walls, the rays of one pixel in the same column share what they meet."""
    plant = objects.plants[index]
    seed = objects.seeds[index]
    east, north = plant[0] - x, plant[1] - y
    foot, height, crown, clear, kind = plant[2], plant[3], plant[4], plant[5], int(plant[6])
    leaves = leaf_cover(kind, light.season)
    leaf_r, leaf_g, leaf_b = plant_colour(kind, plant[7], light.season)
    radius = trunk_radius(height, kind)
    trunk_top = foot + (height * 0.9 if kind != _BUSH else 0.0)
    if kind != 1 and kind != 3 and kind != _BUSH:
        trunk_top = foot + clear + 0.45 * (height - clear) * (1.0 if leaves < 0.5 else 0.5)
    top, bottom = _rows(tangents, distance, crown, foot - 0.2, foot + height + 0.1, eye)
    level = eye - foot
    dim = 1.0
    if light.sun_r > 0.0:  # a tree in the shadow of a house
        dark = shadow_height(
            shadow, scene.size, x + east + 1.3 * crown * light.sun_x, y + north + 1.3 * crown * light.sun_y
        )
        dim = sun_share(0.7 * height, dark, 3.0)
    for column in range(first, last):
        dx, dy = directions[column, 0], directions[column, 1]
        ahead = east * dx + north * dy
        if ahead < -crown:
            continue
        aside = east * dy - north * dx
        detail = max(0.5, ahead) * turns[column]
        trunk_at = -1.0
        if abs(aside) < radius and ahead > 0.4 and kind != _BUSH:
            trunk_at = ahead - math.sqrt(radius * radius - aside * aside)
        block, odd = -1, column & (samples - 1)
        hit, r, g, b = -1.0, 0.0, 0.0, 0.0
        for row in range(top, bottom):
            limit = depth[column, row]
            if limit < ahead - crown:
                continue
            if row >> (samples - 1) == block:
                if 0.0 < hit < limit:
                    store(frame, column, row, r, g, b)
                    depth[column, row] = hit
                continue
            block = row >> (samples - 1)
            tangent = tangents[min(bottom - 1, row + odd)]
            hit, tone, nx, ny, nz = hit_crown(
                kind, leaves, seed, height, crown, clear, aside, ahead, dx, dy, level, tangent, detail
            )
            if trunk_at > 0.0 and (hit < 0.0 or trunk_at < hit):
                z = eye + tangent * trunk_at
                if foot - 0.2 <= z <= trunk_top:
                    hit, tone = trunk_at, -1.0
                    nx, ny, nz = -dx - 0.9 * aside / radius * dy, -dy + 0.9 * aside / radius * dx, 0.0
            if hit <= 0.0:
                continue
            facing = nx * light.sun_x + ny * light.sun_y + nz * light.sun_z
            if tone < 0.0:
                r, g, b = 96.0, 82.0, 68.0
                if detail < 0.05:
                    streak = value_noise(26.0 * aside + seed, 2.5 * (eye + tangent * hit), 7)
                    r, g, b = r * (0.75 + 0.5 * streak), g * (0.75 + 0.5 * streak), b * (0.75 + 0.5 * streak)
                sun = 0.7 * max(0.0, facing) * dim
                up = -0.6
            else:
                # Leaves let light through: the side away from the sun is never black.
                sun = (0.30 + 0.62 * max(-0.3, facing)) * dim
                r, g, b = leaf_r * tone, leaf_g * tone, leaf_b * tone
                up = 1.1 * nz - 0.5
            r, g, b = _tint(light, r, g, b, up, sun, hit)
            if hit < limit:
                store(frame, column, row, r, g, b)
                depth[column, row] = hit


@inlined
def _ground_share(
    light: Light, sunny: float, length: float, width: float, height: float, along: float, across: float, sa: float,
    sc: float,
) -> float:  # fmt: skip
    """How much light a vehicle leaves on the ground at a point of its frame, as a factor."""
    gap = max(abs(along) - 0.5 * length, abs(across) - 0.5 * width)
    share = 1.0
    if gap < 0.35:
        share = 0.42 + 0.58 * min(1.0, max(0.0, (gap + 0.15) / 0.5))
    if sunny > 0.0:
        # Follow the sun's ray up from the ground point: does it pass over the footprint?
        for step in range(1, 5):
            rise = 0.22 * step * height / light.sun_z
            if abs(along + sa * rise) < 0.47 * length and abs(across + sc * rise) < 0.5 * width:
                sun = light.sun_g * light.sun_z
                return min(share, 1.0 - sunny * sun / (sun + light.sky_g))
    return share


@inlined
def _footprint(
    oa: float, oc: float, da: float, dc: float, half_length: float, half_width: float
) -> tuple[float, float]:
    """Where a ray enters and leaves a rectangle around the origin; the second is smaller where it misses."""
    entry, leave = 0.05, NOTHING
    for origin, direction, half in ((oa, da, half_length), (oc, dc, half_width)):
        if abs(direction) < 1e-7:
            if abs(origin) > half:
                leave = -1.0
        else:
            first, second = (-half - origin) / direction, (half - origin) / direction
            entry, leave = max(entry, min(first, second)), min(leave, max(first, second))
    return entry, leave


@compiled
def _draw_vehicle(
    scene: Scene, objects: Objects, shadow: Floats, light: Light, day: int, index: int, distance: float, x: float,
    y: float, eye: float, azimuths: Doubles, directions: Floats, tangents: Floats, bearing: float, frame: Bytes,
    depth: Floats,
) -> None:  # fmt: skip
    slot = objects.slots[index]
    present, model, red, green, blue, length, width, height = vehicle_at(index, day, int(slot[4]))
    if not present:
        return
    forward_x, forward_y = math.sin(slot[3]), math.cos(slot[3])
    east, north, foot = slot[0] - x, slot[1] - y, slot[2]
    oa, oc = -(east * forward_x + north * forward_y), -(east * forward_y - north * forward_x)
    if max(abs(oa) - 0.5 * length, abs(oc) - 0.5 * width) < _GAPS[int(slot[4])]:
        return
    oh = eye - foot
    sunny = 0.0
    if light.sun_r > 0.0:
        sunny = sun_share(0.8, shadow_height(shadow, scene.size, slot[0], slot[1]), 1.0)
    sa = light.sun_x * forward_x + light.sun_y * forward_y
    sc = light.sun_x * forward_y - light.sun_y * forward_x
    throw = 0.35
    if sunny > 0.0 and light.sun_z > 0.05:
        throw += min(4.0, 0.9 * height * math.sqrt(max(0.0, 1.0 - light.sun_z * light.sun_z)) / light.sun_z)
    else:
        sunny = 0.0
    grounded = distance < 70.0
    spread = throw if grounded else 0.1
    radius = 0.5 * math.sqrt(length * length + width * width) + spread
    half = math.asin(min(1.0, radius / distance))
    for turn in range(-1, 2):
        first, last = _columns(azimuths, bearing + turn * 2.0 * math.pi, half)
        for column in range(first, last):
            dx, dy = directions[column, 0], directions[column, 1]
            da, dc = dx * forward_x + dy * forward_y, dx * forward_y - dy * forward_x
            near, far = _footprint(oa, oc, da, dc, 0.5 * length + spread, 0.5 * width + spread)
            if near >= far:
                continue
            bottom = _row_below(tangents, -oh / near if oh > 0.0 else -oh / far)
            if grounded:
                for row in range(_row_below(tangents, -oh / far), bottom):
                    at = -oh / min(-1e-6, tangents[row])
                    limit = depth[column, row]
                    if abs(at - limit) < 0.06 * limit + 0.15:
                        share = _ground_share(light, sunny, length, width, height, oa + at * da, oc + at * dc, sa, sc)
                        for channel in range(3):
                            frame[column, row, channel] = int(frame[column, row, channel] * share)
            near, far = _footprint(oa, oc, da, dc, 0.5 * length + 0.05, 0.5 * width + 0.05)
            if near >= far:
                continue
            over = height - oh
            top = _row_below(tangents, over / near if over > 0.0 else over / far)
            bottom = _row_below(tangents, -oh / near if oh > 0.0 else -oh / far)
            for row in range(top, bottom):
                limit = depth[column, row]
                if limit < near:
                    continue
                tangent = tangents[row]
                hit, r, g, b, gloss, na, nc, nh = hit_vehicle(
                    model, red, green, blue, length, width, height, oa, oc, oh, da, dc, tangent
                )
                if hit <= 0.0 or hit >= limit:
                    continue
                sun = max(0.0, na * sa + nc * sc + nh * light.sun_z) * sunny
                r, g, b = _tint(light, r, g, b, nh, sun, hit)
                if gloss > 0.0:
                    clear = min(1.0, max(0.0, 0.35 + 0.6 * nh + tangent))
                    gloss *= 0.5 + 0.5 * clear
                    r += (light.horizon_r * clear + 70.0 * (1.0 - clear) - r) * gloss
                    g += (light.horizon_g * clear + 72.0 * (1.0 - clear) - g) * gloss
                    b += (light.horizon_b * clear + 74.0 * (1.0 - clear) - b) * gloss
                store(frame, column, row, r, g, b)
                depth[column, row] = hit


@compiled
def _draw_furniture(
    scene: Scene, objects: Objects, shadow: Floats, light: Light, day: int, index: int, distance: float, x: float,
    y: float, eye: float, azimuths: Doubles, directions: Floats, tangents: Floats, bearing: float, frame: Bytes,
    depth: Floats,
) -> None:  # fmt: skip
    item = objects.furniture[index]
    kind, seed = int(item[4]), int(item[5])
    radius = math.hypot(LENGTH[kind], WIDTH[kind])
    if distance < 0.8 + (1.2 if kind == 4 else 0.0):
        return
    forward_x, forward_y = math.sin(item[3]), math.cos(item[3])
    east, north, foot = item[0] - x, item[1] - y, item[2]
    oa, oc = -(east * forward_x + north * forward_y), -(east * forward_y - north * forward_x)
    sunny = 0.0
    if light.sun_r > 0.0:
        sunny = sun_share(0.5 * HEIGHT[kind], shadow_height(shadow, scene.size, item[0], item[1]), 1.0)
    sa = light.sun_x * forward_x + light.sun_y * forward_y
    sc = light.sun_x * forward_y - light.sun_y * forward_x
    oh, over = eye - foot, foot + HEIGHT[kind] - eye
    half = math.asin(min(1.0, radius / distance))
    for turn in range(-1, 2):
        first, last = _columns(azimuths, bearing + turn * 2.0 * math.pi, half)
        for column in range(first, last):
            dx, dy = directions[column, 0], directions[column, 1]
            da, dc = dx * forward_x + dy * forward_y, dx * forward_y - dy * forward_x
            near, far = _footprint(oa, oc, da, dc, LENGTH[kind], WIDTH[kind])
            if near >= far:
                continue
            top = _row_below(tangents, over / near if over > 0.0 else over / far)
            bottom = _row_below(tangents, -oh / near if oh > 0.0 else -oh / far)
            for row in range(top, bottom):
                limit = depth[column, row]
                if limit < near:
                    continue
                hit, r, g, b, glow, na, nc, nh = hit_furniture(kind, seed, day, oa, oc, oh, da, dc, tangents[row])
                if hit <= 0.0 or hit >= limit:
                    continue
                sun = max(0.0, na * sa + nc * sc + nh * light.sun_z) * sunny
                r, g, b = _tint(light, r, g, b, nh, sun, hit)
                shine = glow * light.evening
                r, g, b = r + (252.0 - r) * shine, g + (222.0 - g) * shine, b + (160.0 - b) * shine
                store(frame, column, row, r, g, b)
                depth[column, row] = hit


@compiled
def _draw_walker(
    scene: Scene, objects: Objects, shadow: Floats, light: Light, day: int, index: int, x: float, y: float,
    eye: float, azimuths: Doubles, directions: Floats, tangents: Floats, frame: Bytes, depth: Floats,
) -> None:  # fmt: skip
    present, shift_east, shift_north, height = walker_at(index, day)
    if not present:
        return
    at_x, at_y = objects.walkers[index, 0] + shift_east, objects.walkers[index, 1] + shift_north
    east, north = at_x - x, at_y - y
    distance = math.sqrt(east * east + north * north)
    if distance < 1.5:
        return
    foot = ground_height(scene.ground, scene.size, at_x, at_y)
    sunny = 0.0
    if light.sun_r > 0.0:
        sunny = sun_share(1.0, shadow_height(shadow, scene.size, at_x, at_y), 1.0)
    radius = 0.3 * height
    top, bottom = _rows(tangents, distance, 0.0, foot, foot + height, eye)
    bearing = math.atan2(east, north)
    half = math.asin(min(1.0, radius / distance))
    for turn in range(-1, 2):
        first, last = _columns(azimuths, bearing + turn * 2.0 * math.pi, half)
        for column in range(first, last):
            dx, dy = directions[column, 0], directions[column, 1]
            ahead = east * dx + north * dy
            aside = north * dx - east * dy
            for row in range(top, bottom):
                if ahead >= depth[column, row]:
                    continue
                up = eye + tangents[row] * ahead - foot
                r, g, b, turned = person_colour(index, day, height, aside, up)
                if r < 0.0:
                    continue
                front = -math.sqrt(max(0.0, 1.0 - turned * turned))
                facing = (front * dx + turned * dy) * light.sun_x + (front * dy - turned * dx) * light.sun_y
                facing += 0.3 * light.sun_z
                edge = 1.0 - 0.25 * turned * turned
                r, g, b = _tint(light, r * edge, g * edge, b * edge, 0.0, max(0.0, facing) * sunny, ahead)
                store(frame, column, row, r, g, b)
                depth[column, row] = ahead


@compiled
def draw_objects(
    scene: Scene, objects: Objects, shadow: Floats, light: Light, day: int, x: float, y: float, eye: float,
    azimuths: Doubles, directions: Floats, turns: Floats, tangents: Floats, samples: int, frame: Bytes, depth: Floats,
) -> None:  # fmt: skip
    """Draw all objects in sight.

    Args:
        scene: The world.
        objects: Its objects.
        shadow: As for `cast_columns`.
        light: The light of the day.
        day: Seed of vehicles and pedestrians.
        x: East, metres.
        y: North, metres.
        eye: Absolute height of the eye, metres.
        azimuths: (W,) float64, radians, increasing, their middle within half a turn of north.
        directions: (W, 2) float32, their unit vectors.
        turns: (W,) float32, angle that a column covers, radians.
        tangents: (H,) float32, strictly decreasing.
        samples: Columns and rows to a pixel of the final picture, 1 or 2.
        frame: (W, H, 3) uint8, drawn into.
        depth: (W, H) float32, of what is drawn; kept up to date.
    """
    distances, found = _gather(objects, x, y)
    fine = max(1e-6, turns[turns.shape[0] // 2])
    for k in range(distances.shape[0]):
        table, index, distance = found[k, 0], found[k, 1], distances[k]
        if table == _WALKERS:
            if distance * fine < 0.9:
                _draw_walker(
                    scene, objects, shadow, light, day, index, x, y, eye, azimuths, directions, tangents, frame, depth
                )
            continue
        if table == _PLANTS:
            east, north = objects.plants[index, 0] - x, objects.plants[index, 1] - y
        elif table == _VEHICLES:
            east, north = objects.slots[index, 0] - x, objects.slots[index, 1] - y
        else:
            east, north = objects.furniture[index, 0] - x, objects.furniture[index, 1] - y
        bearing = math.atan2(east, north)
        if table == _VEHICLES:
            _draw_vehicle(
                scene, objects, shadow, light, day, index, distance, x, y, eye, azimuths, directions, tangents,
                bearing, frame, depth,
            )  # fmt: skip
        elif table == _FURNITURE:
            _draw_furniture(
                scene, objects, shadow, light, day, index, distance, x, y, eye, azimuths, directions, tangents,
                bearing, frame, depth,
            )  # fmt: skip
        else:
            crown = float(objects.plants[index, 4])
            half = math.pi if distance <= crown else math.asin(crown / distance)
            for turn in range(-1, 2):
                first, last = _columns(azimuths, bearing + turn * 2.0 * math.pi, half)
                if last > first:
                    _draw_plant(
                        scene, objects, shadow, light, index, distance, x, y, eye, directions, turns, tangents, first,
                        last, samples, frame, depth,
                    )  # fmt: skip
