"""The plan of a city: streets, junctions, a river and blocks.

A flat sheet is cut by straight lines, first into quarters by arterial streets, then into blocks; every cut that is
continued on the far side of a street makes a crossroads, every cut that is not makes a T-junction. One smooth,
invertible warp then bends the whole sheet, so that streets curve and the river winds while nothing can overlap.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.character import Character, District
from tiercel.sim.shapes import Point, Polygon, area, extent, split

Array = NDArray[np.float64]


class Rank(IntEnum):
    """Importance of a street; a street gives way to those of higher rank."""

    LOCAL = 0
    COLLECTOR = 1
    ARTERIAL = 2
    RAIL = 3
    RIVER = 4


class Marking(IntFlag):
    """Bits of the `marking` field of a street."""

    CENTRE_DASHED = 1
    CENTRE_SOLID = 2
    LANE_LINES = 4
    EDGE_LINES = 8
    ZEBRA = 16
    STOP_LINES = 32
    BUS_LANE = 64
    CYCLE_LANE = 128
    PARKING_BAYS = 256
    MEDIAN = 512
    TRAM = 1024


LANE, BUS, CYCLE, BAY, MEDIAN = 3.2, 3.4, 1.7, 2.1, 1.6
"""Widths in metres of a lane, a bus lane, a cycle lane, a parking bay and half a median."""


@dataclass
class Street:
    """A straight street on the flat sheet, curved once warped.

    Attributes:
        start: First end, on the sheet.
        end: Last end.
        rank: Importance.
        style: District.
        half_width: Half the carriageway in metres.
        verge: Width of the grass between kerb and pavement.
        pavement: Width of each pavement.
        lanes: Driving lanes a direction; 0 for a pedestrian street.
        marking: Which markings it bears.
        bridge: Whether it crosses the river.
        nodes: Position along the street (0 to 1) and index of each junction on it.
    """

    start: Point
    end: Point
    rank: Rank
    style: District
    half_width: float
    verge: float
    pavement: float
    lanes: int
    marking: Marking
    bridge: bool = False
    nodes: list[tuple[float, int]] = field(default_factory=list)

    @property
    def clear(self) -> float:
        """Distance in metres from the centre line to the building plots."""
        return self.half_width + self.verge + self.pavement


@dataclass
class Node:
    """A place where streets meet.

    Attributes:
        place: Position on the sheet.
        arms: (street, position along it 0 to 1) of every street that touches it.
        radius: Outer radius in metres of the roundabout, 0 where there is none.
    """

    place: Point
    arms: list[tuple[int, float]] = field(default_factory=list)
    radius: float = 0.0


@dataclass
class Block:
    """A piece of land enclosed by streets: a convex polygon on the sheet, the street along each edge (-1 for none)."""

    polygon: Polygon
    edges: list[int]
    style: District


class Warp:
    """A smooth invertible map from the sheet to the ground: waves, swirls, and the bends of the river."""

    def __init__(self, rng: random.Random, size: float, river: tuple[float, float, float] | None) -> None:
        """Draw a warp.

        Args:
            rng: Source of randomness.
            size: Side of the city in metres.
            river: Normal and offset of the river's line on the sheet, or None.
        """
        self.waves = []
        for _ in range(4):
            length = rng.uniform(420.0, 1300.0)
            amplitude = length * rng.uniform(0.008, 0.03)
            along, towards = rng.uniform(0, math.tau), rng.uniform(0, math.tau)
            self.waves.append((math.tau / length, along, rng.uniform(0, math.tau), amplitude, towards))
        self.swirls = []
        for _ in range(round(size * size / 1.0e6 * rng.uniform(0.6, 1.6))):
            reach = rng.uniform(110.0, 260.0)
            angle = rng.choice([-1, 1]) * rng.uniform(0.2, 0.6)
            self.swirls.append((rng.uniform(0, size), rng.uniform(0, size), reach, angle))
        self.river = river
        self.bend = (rng.uniform(450.0, 1100.0), rng.uniform(0, math.tau), rng.uniform(25.0, 85.0), 260.0)

    def __call__(self, points: Array) -> Array:
        """Map points (n, 2) of the sheet to the ground, both in metres."""
        x, y = points[:, 0].copy(), points[:, 1].copy()
        for cx, cy, reach, angle in self.swirls:
            dx, dy = x - cx, y - cy
            turn = angle * np.exp(-(dx * dx + dy * dy) / (2.0 * reach * reach))
            cosine, sine = np.cos(turn), np.sin(turn)
            x, y = cx + cosine * dx - sine * dy, cy + sine * dx + cosine * dy
        if self.river is not None:
            nx, ny, offset = self.river
            length, phase, amplitude, reach = self.bend
            across = nx * points[:, 0] + ny * points[:, 1] - offset
            along = nx * points[:, 1] - ny * points[:, 0]
            shift = amplitude * np.sin(math.tau / length * along + phase) * np.exp(-((across / reach) ** 2))
            x, y = x + nx * shift, y + ny * shift
        sx, sy = np.zeros_like(x), np.zeros_like(y)
        for frequency, along_angle, phase, amplitude, towards in self.waves:
            wave = amplitude * np.sin(frequency * (x * math.cos(along_angle) + y * math.sin(along_angle)) + phase)
            sx, sy = sx + wave * math.cos(towards), sy + wave * math.sin(towards)
        return np.stack([x + sx, y + sy], axis=1)


@dataclass
class Plan:
    """Streets, junctions and blocks of a city, on the sheet, and the warp that takes them to the ground.

    Attributes:
        size: Side of the city in metres.
        warp: From the sheet to the ground.
        streets: All streets, the river and the railway among them.
        nodes: All junctions.
        blocks: All land between the streets.
        bank: Width of the river's banks in metres.
    """

    size: float
    warp: Warp
    streets: list[Street]
    nodes: list[Node]
    blocks: list[Block]
    bank: float


@dataclass(frozen=True)
class Grain:
    """How a district is cut into blocks: typical length and depth of a block, disorder, width of its streets."""

    length: float
    depth: float
    disorder: float
    street: tuple[float, float]
    pavement: tuple[float, float]
    verge: float
    bays: float


GRAIN: dict[District, Grain] = {
    District.DOWNTOWN: Grain(115.0, 85.0, 0.02, (4.8, 7.0), (3.0, 4.5), 0.0, 0.6),
    District.OLD_TOWN: Grain(72.0, 55.0, 0.2, (2.6, 3.8), (1.2, 2.0), 0.0, 0.25),
    District.INNER: Grain(125.0, 78.0, 0.06, (4.6, 6.2), (2.2, 3.6), 0.0, 0.9),
    District.SUBURB: Grain(170.0, 72.0, 0.1, (3.0, 3.9), (1.5, 2.0), 1.2, 0.1),
    District.SLABS: Grain(190.0, 130.0, 0.05, (3.4, 4.6), (1.8, 2.6), 1.5, 0.5),
    District.INDUSTRIAL: Grain(230.0, 140.0, 0.03, (4.2, 5.2), (1.5, 2.2), 0.8, 0.1),
    District.PARK: Grain(400.0, 300.0, 0.1, (3.0, 3.6), (2.0, 2.5), 0.0, 0.2),
    District.CAMPUS: Grain(200.0, 150.0, 0.06, (3.2, 4.2), (2.2, 3.0), 1.5, 0.4),
    District.TERRACES: Grain(160.0, 58.0, 0.05, (3.8, 4.6), (1.6, 2.2), 0.0, 0.85),
    District.VILLAS: Grain(150.0, 95.0, 0.12, (2.9, 3.6), (1.6, 2.2), 1.8, 0.2),
    District.RETAIL: Grain(190.0, 130.0, 0.03, (4.0, 5.0), (1.8, 2.4), 1.0, 0.0),
    District.WOODS: Grain(450.0, 350.0, 0.12, (2.8, 3.2), (1.2, 1.6), 1.0, 0.0),
}


class _Planner:
    """Holds the streets and junctions while the sheet is being cut."""

    def __init__(self, rng: random.Random, character: Character, size: float) -> None:
        self.rng = rng
        self.character = character
        self.size = size
        self.streets: list[Street] = []
        self.nodes: list[Node] = []
        self.node_at: dict[tuple[int, int], int] = {}

    def node(self, place: Point) -> int:
        """Index of the junction at a place, made when new."""
        key = round(place[0] * 2.0), round(place[1] * 2.0)
        if key not in self.node_at:
            self.node_at[key] = len(self.nodes)
            self.nodes.append(Node(place))
        return self.node_at[key]

    def cut(
        self, blocks: list[Block], angle: float, through: Point, make: Callable[[Block], Street], least: float = 0.0
    ) -> list[Block]:
        """Cut every block that a line crosses, and lay a street along each cut.

        Args:
            blocks: Blocks to cut; those the line misses are passed on.
            angle: Direction of the line's normal, radians.
            through: A point of the line.
            make: Makes the street of a cut from the block it cuts.
            least: Pieces smaller than this area, in square metres, are not cut off.
        """
        nx, ny = math.cos(angle), math.sin(angle)
        limit = nx * through[0] + ny * through[1]
        result: list[Block] = []
        for block in blocks:
            pieces = split(block.polygon, block.edges, nx, ny, limit, len(self.streets))
            if pieces is None or min(area(pieces[0]), area(pieces[2])) < least:
                result.append(block)
                continue
            low, low_edges, high, high_edges, ends = pieces
            street = make(block)
            street.start, street.end = ends[0][0], ends[1][0]
            index = len(self.streets)
            self.streets.append(street)
            for (place, label), position in zip(ends, (0.0, 1.0), strict=True):
                self._join(index, position, place, label)
            result += [Block(low, low_edges, block.style), Block(high, high_edges, block.style)]
        return result

    def _join(self, index: int, position: float, place: Point, label: int) -> None:
        """Note that a street ends on the street that runs along an edge."""
        node = self.node(place)
        self.nodes[node].arms.append((index, position))
        self.streets[index].nodes.append((position, node))
        if label >= 0:
            other = self.streets[label]
            span = math.dist(other.start, other.end)
            along = math.dist(other.start, place) / span if span > 0.0 else 0.0
            if all(arm != label for arm, _ in self.nodes[node].arms):
                self.nodes[node].arms.append((label, along))
                other.nodes.append((along, node))

    def arterial(self) -> Callable[[Block], Street]:
        """A maker of one arterial street, alike along its whole length."""
        rng = self.rng
        lanes = rng.choice([1, 2, 2, 2, 3])
        marking = Marking.ZEBRA | Marking.STOP_LINES
        marking |= Marking.LANE_LINES if lanes > 1 else Marking.EDGE_LINES
        width = lanes * LANE
        if lanes > 1 and rng.random() < 0.5:
            marking |= Marking.MEDIAN
            width += MEDIAN
        else:
            marking |= Marking.CENTRE_SOLID
        if lanes > 1 and rng.random() < 0.4:
            marking |= Marking.BUS_LANE
            width += BUS - LANE
        if rng.random() < 0.4:
            marking |= Marking.CYCLE_LANE
            width += CYCLE
        if rng.random() < 0.45 and not marking & Marking.BUS_LANE:
            marking |= Marking.PARKING_BAYS
            width += BAY
        if rng.random() < 0.2 and not marking & Marking.MEDIAN:
            marking |= Marking.TRAM
        pavement, verge = rng.uniform(2.8, 5.0), rng.choice([0.0, 0.0, 1.6, 2.4])
        return self._maker(Rank.ARTERIAL, width, verge, pavement, lanes, marking, bridge=True)

    def collector(self) -> Callable[[Block], Street]:
        """A maker of one collector street."""
        rng = self.rng
        marking = Marking.STOP_LINES | (Marking.CENTRE_DASHED if rng.random() < 0.8 else Marking.CENTRE_SOLID)
        width = 1.08 * LANE
        if rng.random() < 0.7:
            marking |= Marking.ZEBRA
        if rng.random() < 0.5:
            marking |= Marking.PARKING_BAYS
            width += BAY
        if rng.random() < 0.3:
            marking |= Marking.CYCLE_LANE
            width += CYCLE
        elif rng.random() < 0.3:
            marking |= Marking.EDGE_LINES
        pavement, verge = rng.uniform(2.0, 3.6), rng.choice([0.0, 0.0, 1.5])
        return self._maker(Rank.COLLECTOR, width, verge, pavement, 1, marking, bridge=rng.random() < 0.4)

    def local(self, style: District) -> Callable[[Block], Street]:
        """A maker of one local street in the manner of a district."""
        rng, grain = self.rng, GRAIN[style]
        width = rng.uniform(*grain.street)
        marking = Marking(0)
        lanes = 1
        if rng.random() < grain.bays and width > 3.6:
            marking |= Marking.PARKING_BAYS
            width = max(width, BAY + 2.3)
        if style in (District.DOWNTOWN, District.INNER) and rng.random() < 0.5:
            marking |= Marking.ZEBRA
        if style in (District.DOWNTOWN, District.INDUSTRIAL, District.RETAIL) or rng.random() < 0.15:
            marking |= Marking.CENTRE_DASHED | Marking.STOP_LINES
        if style == District.OLD_TOWN and rng.random() < 0.35:
            lanes, marking = 0, Marking(0)
        verge = grain.verge if rng.random() < 0.6 else 0.0
        return self._maker(Rank.LOCAL, width, verge, rng.uniform(*grain.pavement), lanes, marking, bridge=False)

    def line(self, rank: Rank, half_width: float) -> Callable[[Block], Street]:
        """A maker of a river or a railway."""
        marking = Marking.TRAM if rank == Rank.RAIL else Marking(0)
        return self._maker(
            rank, half_width, 0.0, 4.0 if rank == Rank.RAIL else 9.0, 0, marking, bridge=rank == Rank.RAIL
        )

    def _maker(
        self, rank: Rank, half_width: float, verge: float, pavement: float, lanes: int, marking: Marking, bridge: bool
    ) -> Callable[[Block], Street]:
        zero = (0.0, 0.0)
        return lambda block: Street(zero, zero, rank, block.style, half_width, verge, pavement, lanes, marking, bridge)


def _weighted(rng: random.Random, weights: dict[District, float]) -> District:
    return rng.choices(list(weights), list(weights.values()))[0]


def _arterials(
    planner: _Planner, blocks: list[Block], angle: float, river: tuple[float, float, float] | None, river_width: float
) -> list[Block]:
    """Cut the sheet into quarters."""
    rng, size = planner.rng, planner.size
    middle = (size * rng.uniform(0.42, 0.58), size * rng.uniform(0.42, 0.58))
    if river is not None:
        nx, ny, offset = river
        place = (nx * offset, ny * offset)
        direction = math.atan2(ny, nx)
        blocks = planner.cut(blocks, direction, place, planner.line(Rank.RIVER, river_width))
        for side in (-1.0, 1.0):
            if rng.random() < 0.75:
                away = offset + side * (river_width + 9.0 + rng.choice([9.0, 12.0, 30.0, 60.0]))
                blocks = planner.cut(blocks, direction, (nx * away, ny * away), planner.collector())
    if size > 1000.0 and rng.random() < 0.5:
        side = angle + rng.choice([0.0, math.pi / 2]) + rng.uniform(-0.2, 0.2)
        reach = rng.uniform(0.22, 0.4) * size * rng.choice([-1, 1])
        place = (middle[0] + math.cos(side) * reach, middle[1] + math.sin(side) * reach)
        blocks = planner.cut(blocks, side, place, planner.line(Rank.RAIL, rng.uniform(5.0, 9.0)), least=4000.0)
    for turn in (0.0, math.pi / 2):
        spacing = rng.uniform(420.0, 660.0)
        count = int((size * 0.5 + 300.0) / spacing)
        for k in range(-count, count + 1):
            shift = k * spacing + (rng.uniform(-0.16, 0.16) * spacing if k else 0.0)
            direction = angle + turn + rng.gauss(0.0, 0.035)
            place = (middle[0] + math.cos(angle + turn) * shift, middle[1] + math.sin(angle + turn) * shift)
            if river is not None and abs(river[0] * math.cos(direction) + river[1] * math.sin(direction)) > 0.8:
                reach = abs(river[0] * place[0] + river[1] * place[1] - river[2])
                if reach < river_width + 130.0:
                    continue
            blocks = planner.cut(blocks, direction, place, planner.arterial(), least=2500.0)
    if size > 1000.0:
        for _ in range(rng.choice([0, 1, 1, 2])):
            direction = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.07)
            place = (middle[0] + rng.uniform(-0.25, 0.25) * size, middle[1] + rng.uniform(-0.25, 0.25) * size)
            blocks = planner.cut(blocks, direction, place, planner.arterial(), least=2500.0)
    return blocks


def _style_quarters(planner: _Planner, blocks: list[Block]) -> None:
    """Give every quarter the character of a district, by its distance from the centre."""
    rng, character, size = planner.rng, planner.character, planner.size
    centre = (rng.uniform(0.35, 0.65) * size, rng.uniform(0.35, 0.65) * size)
    span = max(size, 1500.0)
    for block in blocks:
        x = sum(p[0] for p in block.polygon) / len(block.polygon)
        y = sum(p[1] for p in block.polygon) / len(block.polygon)
        distance = math.hypot(x - centre[0], y - centre[1]) / span + rng.gauss(0.0, 0.04)
        mix = (
            character.centre_mix if distance < 0.22 else character.middle_mix if distance < 0.45 else character.edge_mix
        )
        block.style = _weighted(rng, mix)
        if area(block.polygon) < 6000.0 and block.style in (District.INDUSTRIAL, District.RETAIL, District.SLABS):
            block.style = District.INNER
        if _is_strip(planner, block):
            block.style = District.PARK


def _is_strip(planner: _Planner, block: Block) -> bool:
    """Whether a block is a narrow strip along the river, too shallow to build on."""
    for i, label in enumerate(block.edges):
        if label >= 0 and planner.streets[label].rank == Rank.RIVER:
            (x0, y0), (x1, y1) = block.polygon[i], block.polygon[(i + 1) % len(block.polygon)]
            length = math.dist((x0, y0), (x1, y1))
            depth = max(abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / length for x, y in block.polygon)
            return depth < planner.streets[label].half_width + 75.0
    return False


def _collectors(planner: _Planner, quarter: Block) -> list[Block]:
    """Cut a large quarter by one or two collector streets; each piece may take another character."""
    rng = planner.rng
    blocks = [quarter]
    if _is_strip(planner, quarter):
        return blocks
    limit = 120000.0 if quarter.style not in (District.PARK, District.WOODS, District.INDUSTRIAL) else 260000.0
    if area(quarter.polygon) > limit * rng.uniform(0.8, 1.4):
        angle = _main_direction(quarter.polygon)
        for turn in (0.0, math.pi / 2):
            place = _inner_point(rng, quarter.polygon, angle + turn, 0.38, 0.62)
            blocks = planner.cut(blocks, angle + turn + rng.gauss(0.0, 0.06), place, planner.collector(), least=8000.0)
        for block in blocks:
            if rng.random() < 0.22:
                block.style = _weighted(rng, planner.character.middle_mix)
    return blocks


def _main_direction(polygon: Polygon) -> float:
    """Direction of the longest edge, radians."""
    edges = [(math.dist(polygon[i - 1], polygon[i]), i) for i in range(len(polygon))]
    _, i = max(edges)
    return math.atan2(polygon[i][1] - polygon[i - 1][1], polygon[i][0] - polygon[i - 1][0])


def _inner_point(rng: random.Random, polygon: Polygon, angle: float, low: float, high: float) -> Point:
    """A point that divides a polygon's extent along a direction."""
    ax, ay = math.cos(angle), math.sin(angle)
    a0, a1, w0, w1 = extent(polygon, ax, ay)
    along, across = a0 + (a1 - a0) * rng.uniform(low, high), 0.5 * (w0 + w1)
    return ax * along - ay * across, ay * along + ax * across


def _grid(planner: _Planner, quarter: Block, grain: Grain) -> list[Block]:
    """Blocks in rows: every line crosses the whole quarter, so its junctions are crossroads."""
    rng = planner.rng
    angle = _main_direction(quarter.polygon) + rng.gauss(0.0, grain.disorder * 0.3)
    blocks = [quarter]
    scale = rng.uniform(0.85, 1.2)
    for turn, pitch in ((0.0, grain.length), (math.pi / 2, grain.depth)):
        ax, ay = math.cos(angle + turn), math.sin(angle + turn)
        a0, a1, w0, w1 = extent(quarter.polygon, ax, ay)
        count = max(1, round((a1 - a0) / (pitch * scale)))
        middle = 0.5 * (w0 + w1)
        for k in range(1, count):
            along = a0 + (a1 - a0) * (k + rng.uniform(-1.0, 1.0) * (0.1 + grain.disorder)) / count
            place = (ax * along - ay * middle, ay * along + ax * middle)
            tilt = rng.gauss(0.0, grain.disorder * 0.25)
            blocks = planner.cut(blocks, angle + turn + tilt, place, planner.local(quarter.style), least=900.0)
    return blocks


def _irregular(planner: _Planner, quarter: Block, grain: Grain) -> list[Block]:
    """Blocks by repeated halving; some halvings go on across both halves and make crossroads."""
    rng = planner.rng
    target = grain.length * grain.depth
    done: list[Block] = []
    open_blocks = [quarter]
    while open_blocks:
        block = open_blocks.pop()
        if area(block.polygon) < target * rng.uniform(0.9, 1.9):
            done.append(block)
            continue
        angle = _main_direction(block.polygon)
        ax, ay = math.cos(angle), math.sin(angle)
        a0, a1, w0, w1 = extent(block.polygon, ax, ay)
        if a1 - a0 < w1 - w0:
            angle += math.pi / 2
        pieces = [block]
        turns = (0.0, math.pi / 2) if rng.random() < 0.4 and area(block.polygon) > 3.0 * target else (0.0,)
        for turn in turns:
            place = _inner_point(rng, block.polygon, angle + turn, 0.36, 0.64)
            tilt = rng.gauss(0.0, grain.disorder)
            pieces = planner.cut(pieces, angle + turn + tilt, place, planner.local(block.style), least=700.0)
        if len(pieces) == 1:
            done.append(block)
        else:
            open_blocks += pieces
    return done


def _roundabouts(planner: _Planner) -> None:
    """Make some large junctions roundabouts."""
    rng = planner.rng
    share = rng.uniform(0.1, 0.5)
    for node in planner.nodes:
        streets = [planner.streets[arm] for arm, _ in node.arms]
        if any(street.rank >= Rank.RAIL for street in streets):
            continue
        large = sum(street.rank >= Rank.COLLECTOR for street in streets)
        crowded = any(
            other is not node and math.dist(other.place, node.place) < 45.0
            for arm, _ in node.arms
            for other in (planner.nodes[k] for _, k in planner.streets[arm].nodes)
        )
        if large >= 3 and not crowded and rng.random() < share:
            widest = max(street.half_width for street in streets)
            node.radius = widest + rng.uniform(6.0, 14.0)


def draw_plan(rng: random.Random, character: Character, size: float) -> Plan:
    """Draw the plan of a city.

    Args:
        rng: Source of randomness.
        character: The city's character.
        size: Side of the city in metres.
    """
    planner = _Planner(rng, character, size)
    angle = rng.uniform(0.0, math.pi)
    river: tuple[float, float, float] | None = None
    river_width = rng.uniform(14.0, 48.0) if size > 1000.0 else rng.uniform(8.0, 18.0)
    if rng.random() < 0.75:
        direction = angle + rng.choice([0.0, math.pi / 2]) + rng.uniform(-0.15, 0.15)
        nx, ny = math.cos(direction), math.sin(direction)
        offset = (nx + ny) * size * 0.5 + rng.choice([-1, 1]) * rng.uniform(0.12, 0.34) * size
        river = (nx, ny, offset)
    warp = Warp(rng, size, river)
    margin = 270.0
    low, high = -margin, size + margin
    sheet = Block([(low, low), (high, low), (high, high), (low, high)], [-1] * 4, District.INNER)
    quarters = _arterials(planner, [sheet], angle, river, river_width)
    _style_quarters(planner, quarters)
    blocks: list[Block] = []
    regular = rng.random()
    for quarter in quarters:
        for part in _collectors(planner, quarter):
            grain = GRAIN[part.style]
            orderly = grain.disorder < 0.08 or (grain.disorder < 0.15 and rng.random() < regular)
            blocks += _grid(planner, part, grain) if orderly else _irregular(planner, part, grain)
    _roundabouts(planner)
    return Plan(size, warp, planner.streets, planner.nodes, blocks, bank=9.0)
