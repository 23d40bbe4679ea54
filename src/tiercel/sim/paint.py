"""From plan and lots to raster fields: which street or lot owns a texel, and where in it the texel lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.plan import Plan, Rank
from tiercel.sim.rasters import Band, bands, release
from tiercel.sim.site import Patch
from tiercel.sim.world import TEXEL, Bytes, Floats, Ints

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Table = NDArray[np.void]

ROAD, PAVEMENT, GRASS, PARK, PLAZA, PARKING, WATER, SPORT, PATH, GRAVEL, SOIL, YARD = range(12)
BRIDGE, RIVER_RANK, RAIL_RANK = 8, int(Rank.RIVER), int(Rank.RAIL)
CORNER = 5.0
"""Radius in metres of the kerb at street corners."""

MEDIAN_BIT = 512
MEDIAN_HALF = 1.6


@dataclass
class Lines:
    """All streets as curves on the ground, flattened for compiled code.

    Attributes:
        points: (P, 2) points of all streets one after another, metres.
        tangents: (P, 2) unit tangents there.
        along: (P,) metres from the start of its street.
        first: (S + 1,) first point of each street.
        shape: (S, 3) half carriageway, verge and pavement, metres.
        rank: (S,) `Rank`, plus 8 where the street crosses the river.
        marking: (S,) bit set.
        lanes: (S,) lanes a direction.
        node_first: (S + 1,) first junction of each street.
        node_along: metres along the street of each junction.
        node_reach: half length of each junction along the street.
        roundabouts: (K, 4) centre, inner and outer radius of each roundabout.
    """

    points: Array
    tangents: Array
    along: Array
    first: Ints
    shape: Array
    rank: Ints
    marking: Ints
    lanes: Ints
    node_first: Ints
    node_along: Array
    node_reach: Array
    roundabouts: Array

    def at(self, street: int | NDArray[np.int64], along: Array) -> tuple[Array, Array]:
        """Points (n, 2) and unit tangents (n, 2) at distances along streets."""
        offset = 1.0e5 * np.arange(len(self.first) - 1)
        keys = self.along + np.repeat(offset, np.diff(self.first))
        wanted = along + offset[street]
        x, y, tx, ty = (np.interp(wanted, keys, column) for column in (*self.points.T, *self.tangents.T))
        norm = np.hypot(tx, ty)
        return np.stack([x, y], axis=1), np.stack([tx / norm, ty / norm], axis=1)


def draw_lines(plan: Plan, spacing: float = 6.0) -> Lines:
    """Bend all streets of a plan to the ground and measure their junctions."""
    shares: list[Array] = []
    flat: list[Array] = []
    for street in plan.streets:
        count = max(2, math.ceil(math.dist(street.start, street.end) / spacing) + 1)
        share = np.linspace(0.0, 1.0, count)[:, None]
        shares.append(share[:, 0])
        flat.append(np.array(street.start) * (1.0 - share) + np.array(street.end) * share)
    first = np.concatenate([[0], np.cumsum([len(share) for share in shares])]).astype(np.int32)
    points = plan.warp(np.concatenate(flat))
    beyond = np.concatenate(flat)
    step = np.concatenate(
        [
            np.repeat((line[-1:] - line[:1]) / max(1e-9, float(np.hypot(*(line[-1] - line[0])))), len(line), axis=0)
            for line in flat
        ]
    )
    tangents = plan.warp(beyond + 0.5 * step) - plan.warp(beyond - 0.5 * step)
    tangents /= np.maximum(1e-9, np.hypot(tangents[:, 0], tangents[:, 1]))[:, None]
    pieces = np.hypot(*np.diff(points, axis=0, prepend=points[:1]).T)
    pieces[first[:-1]] = 0.0
    total = np.cumsum(pieces)
    along = total - np.repeat(total[first[:-1]], np.diff(first))
    shape = np.array([(s.half_width, s.verge, s.pavement) for s in plan.streets])
    rank = np.array([int(s.rank) + (BRIDGE if s.bridge else 0) for s in plan.streets], np.int32)
    lines = Lines(
        points, tangents, along, first, shape, rank,
        np.array([int(s.marking) for s in plan.streets], np.int32), np.array([s.lanes for s in plan.streets], np.int32),
        np.zeros(0, np.int32), np.zeros(0), np.zeros(0), _roundabouts(plan),
    )  # fmt: skip
    _measure_junctions(plan, lines, shares)
    return lines


def _roundabouts(plan: Plan) -> Array:
    nodes = [node for node in plan.nodes if node.radius > 0.0]
    if not nodes:
        return np.zeros((0, 4))
    centres = plan.warp(np.array([node.place for node in nodes]))
    rows = [(x, y, max(2.5, node.radius - 8.5), node.radius) for (x, y), node in zip(centres, nodes, strict=True)]
    return np.array(rows, np.float64)


def _measure_junctions(plan: Plan, lines: Lines, shares: list[Array]) -> None:
    """Fill in where along each street its junctions are, and how far each reaches."""
    node_first, node_along, node_reach = [0], [], []
    for index, street in enumerate(plan.streets):
        low, high = lines.first[index], lines.first[index + 1]
        for position, node_index in street.nodes:
            node = plan.nodes[node_index]
            place = float(np.interp(position, shares[index], lines.along[low:high]))
            tangent = _tangent(lines, shares, index, position)
            reach = node.radius
            for arm, at in node.arms:
                other = plan.streets[arm]
                if arm == index or other.rank == Rank.RIVER or node.radius > 0.0:
                    continue
                tx, ty = _tangent(lines, shares, arm, at)
                sine = abs(tangent[0] * ty - tangent[1] * tx)
                if sine > 0.35:
                    reach = max(reach, other.half_width / sine + 1.5)
            if reach > 0.0:
                node_along.append(place)
                node_reach.append(reach)
        node_first.append(len(node_along))
    lines.node_first = np.array(node_first, np.int32)
    lines.node_along, lines.node_reach = np.array(node_along, np.float64), np.array(node_reach, np.float64)


def _tangent(lines: Lines, shares: list[Array], street: int, position: float) -> tuple[float, float]:
    k = lines.first[street] + round(position * (len(shares[street]) - 1))
    return float(lines.tangents[k, 0]), float(lines.tangents[k, 1])


def paint_patches(patches: list[Patch], size: float, surface: Bytes, feature: Ints, u: Floats, v: Floats) -> None:
    """Paint polygons of ground, later ones over earlier ones."""
    corners = np.array([point for patch in patches for point in patch.polygon])
    first = np.concatenate([[0], np.cumsum([len(patch.polygon) for patch in patches])]).astype(np.int32)
    kinds = np.array([int(patch.surface) for patch in patches], np.uint8)
    rows = np.array([patch.feature for patch in patches], np.int32)
    frames = np.array([patch.frame for patch in patches])
    for band in bands(surface):
        _fill_polygons(corners, first, kinds, rows, frames, size, band, surface, feature, u, v)
        release(surface, feature, u, v)


@compiled
def _fill_polygons(
    corners: Array,
    first: Ints,
    kinds: Bytes,
    rows: Ints,
    frames: Array,
    size: float,
    band: Band,
    surface: Bytes,
    feature: Ints,
    u: Floats,
    v: Floats,
) -> None:
    """Scan-line fill of polygons, convex or not, by the even-odd rule at texel centres, in a band of rows."""
    texels = surface.shape[0]
    cuts = np.empty(256, np.float64)
    for p in range(len(first) - 1):
        low, high = first[p], first[p + 1]
        top, bottom = -1e9, 1e9
        for k in range(low, high):
            top = max(top, corners[k, 1])
            bottom = min(bottom, corners[k, 1])
        row0 = max(band[0], math.ceil((size - top) / TEXEL - 0.5))
        row1 = min(band[1] - 1, math.floor((size - bottom) / TEXEL - 0.5))
        ox, oy, ax, ay = frames[p, 0], frames[p, 1], frames[p, 2], frames[p, 3]
        for row in range(row0, row1 + 1):
            y = size - (row + 0.5) * TEXEL
            count = 0
            for k in range(low, high):
                j = k + 1 if k + 1 < high else low
                y0, y1 = corners[k, 1], corners[j, 1]
                if (y0 > y) != (y1 > y) and count < 256:
                    cuts[count] = corners[k, 0] + (y - y0) / (y1 - y0) * (corners[j, 0] - corners[k, 0])
                    count += 1
            for i in range(1, count):
                value = cuts[i]
                j = i
                while j > 0 and cuts[j - 1] > value:
                    cuts[j] = cuts[j - 1]
                    j -= 1
                cuts[j] = value
            for i in range(0, count - 1, 2):
                col0 = max(0, math.ceil(cuts[i] / TEXEL - 0.5))
                col1 = min(texels - 1, math.floor(cuts[i + 1] / TEXEL - 0.5))
                for col in range(col0, col1 + 1):
                    dx, dy = (col + 0.5) * TEXEL - ox, y - oy
                    surface[row, col] = kinds[p]
                    feature[row, col] = rows[p]
                    u[row, col] = ax * dx + ay * dy
                    v[row, col] = ax * dy - ay * dx


def paint_streets(
    lines: Lines,
    row_of_street: Ints,
    row_of_roundabout: Ints,
    size: float,
    surface: Bytes,
    feature: Ints,
    u: Floats,
    v: Floats,
    junction: Floats,
    deck: Bytes,
) -> None:
    """Paint streets, river and roundabouts over the lots; `deck` becomes 1 on bridge decks."""
    for band in bands(surface):
        shape = (band[1] - band[0], surface.shape[1])
        nearest, second = np.full(shape, 1e3, np.float32), np.full(shape, 1e3, np.float32)
        _lay_streets(
            lines.points, lines.tangents, lines.along, lines.first, lines.shape, lines.rank, lines.marking,
            lines.lanes, lines.node_first, lines.node_along, lines.node_reach, row_of_street, size, band,
            surface, feature, u, v, junction, nearest, second, deck,
        )  # fmt: skip
        _round_corners(band, surface, junction, nearest, second)
        _lay_roundabouts(lines.roundabouts, row_of_roundabout, size, band, surface, feature, u, v, junction)
        _fill_gaps(band, surface, feature, u, v)
        release(surface, feature, u, v, junction, deck)


@compiled
def _lay_streets(
    points: Array, tangents: Array, along: Array, first: Ints, shape: Array, rank: Ints, marking: Ints, lanes: Ints,
    node_first: Ints, node_along: Array, node_reach: Array, rows: Ints, size: float, band: Band,
    surface: Bytes, feature: Ints, u: Floats, v: Floats, junction: Floats, nearest: Floats, second: Floats, deck: Bytes,
) -> None:  # fmt: skip
    """Paint every street segment by segment: a texel goes to the carriageway of highest rank, else to the nearest.

    `nearest` and `second` have the rows of the band alone.
    """
    texels = surface.shape[0]
    top = band[0]
    owner = np.full(nearest.shape, -1, np.int32)
    for turn in range(2):
        for s in range(len(first) - 1):
            is_river = rank[s] % BRIDGE == RIVER_RANK
            if is_river != (turn == 1):
                continue
            priority = rank[s] % BRIDGE
            if priority == RAIL_RANK:
                priority = 0.5
            half, verge, pavement = shape[s, 0], shape[s, 1], shape[s, 2]
            wide = half + verge + pavement
            for k in range(first[s], first[s + 1] - 1):
                ax, ay, bx, by = points[k, 0], points[k, 1], points[k + 1, 0], points[k + 1, 1]
                length = math.hypot(bx - ax, by - ay)
                if length < 1e-6:
                    continue
                dx, dy = (bx - ax) / length, (by - ay) / length
                ta, tb, ua, ub = tangents[k, 0], tangents[k, 1], tangents[k + 1, 0], tangents[k + 1, 1]
                reach = wide + 2.0
                col0 = max(0, int((min(ax, bx) - reach) / TEXEL))
                col1 = min(texels - 1, int((max(ax, bx) + reach) / TEXEL))
                row0 = max(band[0], int((size - max(ay, by) - reach) / TEXEL))
                row1 = min(band[1] - 1, int((size - min(ay, by) + reach) / TEXEL))
                for row in range(row0, row1 + 1):
                    y = size - (row + 0.5) * TEXEL
                    for col in range(col0, col1 + 1):
                        x = (col + 0.5) * TEXEL
                        side = dx * (y - ay) - dy * (x - ax)
                        gap = abs(side) - half
                        if gap > verge + pavement:
                            continue
                        before = (x - ax) * ta + (y - ay) * tb
                        after = (bx - x) * ua + (by - y) * ub
                        if before < 0.0 or after < 0.0:
                            continue
                        place = along[k] + length * before / (before + after)
                        if is_river:
                            wave = half * (
                                1.0 + 0.1 * math.sin(place * 0.021 + side * 0.0) + 0.05 * math.sin(place * 0.053)
                            )
                            gap = abs(side) - wave
                            held = surface[row, col]
                            current = owner[row - top, col]
                            if current >= 0 and rank[current] >= BRIDGE and (held in (ROAD, PAVEMENT, GRASS, GRAVEL)):
                                if gap < 1.0:
                                    deck[row, col] = 1
                                continue
                            if gap >= 0.0 and current >= 0 and (nearest[row - top, col] < 0.0 and gap > 3.0):
                                continue
                            if gap > pavement * 0.75 and current < 0:
                                continue
                            surface[row, col] = WATER if gap < 0.0 else (PATH if gap > 1.2 else PLAZA)
                            feature[row, col] = rows[s]
                            u[row, col] = side
                            v[row, col] = place
                            junction[row, col] = 1e3
                            second[row - top, col] = 1e3
                            continue
                        best = nearest[row - top, col]
                        holder = owner[row - top, col]
                        if holder == s:
                            if gap >= best:
                                continue
                        elif gap < 0.0 and best < 0.0:
                            held_rank = rank[holder] % BRIDGE
                            held_priority = 0.5 if held_rank == RAIL_RANK else held_rank * 1.0
                            if priority <= held_priority:
                                continue
                        elif gap >= best:
                            if gap >= 0.0 and gap < second[row - top, col]:
                                second[row - top, col] = gap
                            continue
                        elif best < 1e3 and best >= 0.0 and gap >= 0.0:
                            second[row - top, col] = best
                        distance = 1e3
                        for n in range(node_first[s], node_first[s + 1]):
                            distance = min(distance, abs(place - node_along[n]) - node_reach[n])
                        nearest[row - top, col] = gap
                        owner[row - top, col] = s
                        feature[row, col] = rows[s]
                        u[row, col] = side
                        v[row, col] = place
                        junction[row, col] = distance
                        if gap < 0.0:
                            kind = ROAD
                            if rank[s] % BRIDGE == RAIL_RANK:
                                kind = GRAVEL
                            elif lanes[s] == 0:
                                kind = PLAZA
                            elif marking[s] & MEDIAN_BIT and abs(side) < MEDIAN_HALF - 0.2 and distance > 6.0:
                                kind = GRASS
                        elif (gap < verge and distance > 3.0) or rank[s] % BRIDGE == RAIL_RANK:
                            kind = GRASS
                        else:
                            kind = PAVEMENT
                        surface[row, col] = kind


@compiled
def _round_corners(band: Band, surface: Bytes, junction: Floats, nearest: Floats, second: Floats) -> None:
    """Round the kerb where two streets meet: the corner between two carriageways becomes road outside a circle."""
    for row in range(band[0], band[1]):
        for col in range(surface.shape[1]):
            a, b = nearest[row - band[0], col], second[row - band[0], col]
            corner = 0.0 <= a < CORNER and 0.0 <= b < CORNER and junction[row, col] < 5.0
            if corner and surface[row, col] == PAVEMENT and (CORNER - a) ** 2 + (CORNER - b) ** 2 > CORNER * CORNER:
                surface[row, col] = ROAD
                junction[row, col] = min(junction[row, col], -0.5)


@compiled
def _lay_roundabouts(
    roundabouts: Array, rows: Ints, size: float, band: Band, surface: Bytes, feature: Ints, u: Floats, v: Floats,
    junction: Floats,
) -> None:  # fmt: skip
    """Paint roundabouts: a ring of road about a green island, a pavement around it between the arms."""
    texels = surface.shape[0]
    for k in range(roundabouts.shape[0]):
        cx, cy, inner, outer = roundabouts[k, 0], roundabouts[k, 1], roundabouts[k, 2], roundabouts[k, 3]
        reach = outer + 3.0
        low, high = int((size - cy - reach) / TEXEL), int((size - cy + reach) / TEXEL) + 2
        for row in range(max(band[0], low), min(band[1], high)):
            for col in range(max(0, int((cx - reach) / TEXEL)), min(texels, int((cx + reach) / TEXEL) + 2)):
                dx, dy = (col + 0.5) * TEXEL - cx, size - (row + 0.5) * TEXEL - cy
                r = math.hypot(dx, dy)
                if r > reach or (r > outer and surface[row, col] == ROAD):
                    continue
                surface[row, col] = (
                    ROAD if r > inner and r < outer else (PAVEMENT if r >= outer or r > inner - 1.2 else GRASS)
                )
                feature[row, col] = rows[k]
                u[row, col] = r - 0.5 * (inner + outer)
                v[row, col] = math.atan2(dy, dx) * 0.5 * (inner + outer)
                junction[row, col] = 1e3


@compiled
def _fill_gaps(band: Band, surface: Bytes, feature: Ints, u: Floats, v: Floats) -> None:
    """Give texels that no polygon covered to the neighbour on their left, or above."""
    for row in range(band[0], band[1]):
        for col in range(surface.shape[1]):
            if feature[row, col] < 0:
                r, c = (row, col - 1) if col > 0 else (row - 1, col)
                if r >= 0 and feature[r, c] >= 0:
                    surface[row, col] = surface[r, c]
                    feature[row, col] = feature[r, c]
                    u[row, col] = u[r, c]
                    v[row, col] = v[r, c]


@compiled
def blocked_parts(corners: Array, starts: Indices, counts: Indices, size: float, surface: Bytes) -> Floats:
    """Share of each part's footprint that lies on carriageways, rails or water, (parts,) float32."""
    texels = surface.shape[0]
    share = np.zeros(len(starts), np.float32)
    for p in range(len(starts)):
        low, high = starts[p], starts[p] + counts[p]
        west, east, south, north = 1e9, -1e9, 1e9, -1e9
        for k in range(low, high):
            west, east = min(west, corners[k, 0]), max(east, corners[k, 0])
            south, north = min(south, corners[k, 1]), max(north, corners[k, 1])
        total = bad = 0
        for row in range(int((size - north) / TEXEL), int((size - south) / TEXEL) + 1):
            for col in range(int(west / TEXEL), int(east / TEXEL) + 1):
                x, y = (col + 0.5) * TEXEL, size - (row + 0.5) * TEXEL
                inside = True
                for k in range(low, high):
                    j = k + 1 if k + 1 < high else low
                    ex, ey = corners[j, 0] - corners[k, 0], corners[j, 1] - corners[k, 1]
                    if ex * (y - corners[k, 1]) - ey * (x - corners[k, 0]) < -0.3 * math.hypot(ex, ey):
                        inside = False
                        break
                if inside:
                    total += 1
                    if row >= 0 and col >= 0 and row < texels and col < texels:
                        kind = surface[row, col]
                        if kind in (ROAD, WATER):
                            bad += 1
        share[p] = bad / max(1, total) if total > 0 else 0.0
    return share


def paint_parts(corners: Floats, parts: Table, size: float, building: Ints) -> None:
    """Write 1 + row of the highest part that touches each texel into (N, N) int32 `building`."""
    for band in bands(building):
        _fill_parts(corners, parts, size, band, building)
        release(building)


@compiled
def _fill_parts(corners: Floats, parts: Table, size: float, band: Band, building: Ints) -> None:
    texels = building.shape[0]
    for p in range(len(parts)):
        low, high = parts[p].start, parts[p].start + parts[p].count
        top = parts[p].eave + parts[p].rise
        west, east, south, north = 1e9, -1e9, 1e9, -1e9
        for k in range(low, high):
            west, east = min(west, corners[k, 0]), max(east, corners[k, 0])
            south, north = min(south, corners[k, 1]), max(north, corners[k, 1])
        low_row, high_row = int((size - north) / TEXEL - 1), int((size - south) / TEXEL) + 2
        for row in range(max(band[0], low_row), min(band[1], high_row)):
            for col in range(max(0, int(west / TEXEL - 1)), min(texels, int(east / TEXEL) + 2)):
                held = building[row, col]
                if held > 0 and parts[held - 1].eave + parts[held - 1].rise >= top:
                    continue
                x, y = (col + 0.5) * TEXEL, size - (row + 0.5) * TEXEL
                inside = True
                for k in range(low, high):
                    j = k + 1 if k + 1 < high else low
                    ex, ey = corners[j, 0] - corners[k, 0], corners[j, 1] - corners[k, 1]
                    touch = 0.5 * TEXEL * (abs(ex) + abs(ey))
                    if ex * (y - corners[k, 1]) - ey * (x - corners[k, 0]) < -touch:
                        inside = False
                        break
                if inside:
                    building[row, col] = p + 1


def lay_ground(
    ground: Floats, surface: Bytes, feature: Ints, deck: Bytes, grid: Floats, step: float, origin: float, level: Floats,
    bridge_level: float, size: float,
) -> None:  # fmt: skip
    """Fill (N, N) `ground` from a coarse grid of heights; water lies flat at the level of its feature, bridges too."""
    for band in bands(ground):
        _fill_ground(ground, surface, feature, deck, grid, step, origin, level, bridge_level, size, band)
        release(ground, surface, feature, deck)


@compiled
def _fill_ground(
    ground: Floats, surface: Bytes, feature: Ints, deck: Bytes, grid: Floats, step: float, origin: float, level: Floats,
    bridge_level: float, size: float, band: Band,
) -> None:  # fmt: skip
    for row in range(band[0], band[1]):
        for col in range(ground.shape[1]):
            if deck[row, col]:
                ground[row, col] = bridge_level
            elif surface[row, col] == WATER:
                ground[row, col] = level[feature[row, col]]
            else:
                ground[row, col] = height_at(grid, step, origin, (col + 0.5) * TEXEL, size - (row + 0.5) * TEXEL)


@compiled
def height_at(grid: Floats, step: float, origin: float, x: float, y: float) -> float:
    """Height of the terrain by linear interpolation; the grid's first point, in the south-west, is (origin, origin)."""
    fx, fy = (x - origin) / step, (y - origin) / step
    col = min(max(int(fx), 0), grid.shape[1] - 2)
    row = min(max(int(fy), 0), grid.shape[0] - 2)
    fx, fy = fx - col, fy - row
    low = grid[row, col] * (1.0 - fx) + grid[row, col + 1] * fx
    high = grid[row + 1, col] * (1.0 - fx) + grid[row + 1, col + 1] * fx
    return float(low * (1.0 - fy) + high * fy)


@compiled
def heights_at(grid: Floats, step: float, origin: float, places: Array) -> Floats:
    """Heights of the terrain at (n, 2) places, (n,) float32."""
    heights = np.empty(len(places), np.float32)
    for i in range(len(places)):
        heights[i] = height_at(grid, step, origin, places[i, 0], places[i, 1])
    return heights
