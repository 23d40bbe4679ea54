"""From blocks to building plots: rows of lots along the streets, warped to the ground."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from tiercel.sim.character import District
from tiercel.sim.plan import Plan, Rank
from tiercel.sim.shapes import Point, Polygon, area, extent, longest_edge, split

FRONTAGE: dict[District, tuple[float, float]] = {
    District.DOWNTOWN: (34.0, 58.0),
    District.OLD_TOWN: (9.0, 16.0),
    District.INNER: (15.0, 27.0),
    District.SUBURB: (17.0, 25.0),
    District.INDUSTRIAL: (70.0, 120.0),
    District.TERRACES: (7.0, 9.5),
    District.VILLAS: (27.0, 38.0),
}
"""Width of a lot along its street, lowest and highest; districts not named here build on whole blocks."""


@dataclass(slots=True)
class Lot:
    """A building plot on the ground.

    Attributes:
        polygon: Corners in metres, counter-clockwise, near enough convex.
        outline: The same with points along curved edges, for painting.
        edges: Street along each edge, -1 for a neighbour.
        bulge: How far the middle of each edge bends inwards, metres.
        clear: Distance each edge's street takes from the lot, metres; 0 towards a neighbour.
        front: Index of the edge of the main street, or of the longest edge.
        style: District.
        block: Index of its block.
    """

    polygon: Polygon
    outline: Polygon
    edges: list[int]
    bulge: list[float]
    clear: list[float]
    front: int
    style: District
    block: int

    def margins(self, street: float, neighbour: float) -> list[float]:
        """Distance of each edge to the building line: set back from streets, and from neighbours."""
        return [
            clear + street + max(0.0, bulge) if label >= 0 else neighbour
            for label, clear, bulge in zip(self.edges, self.clear, self.bulge, strict=True)
        ]


def _slice(polygon: Polygon, edges: list[int], frontage: float) -> list[tuple[Polygon, list[int]]]:
    """Cut a block into two rows of lots, back to back, along its longest edge."""
    i = longest_edge(polygon)
    (x0, y0), (x1, y1) = polygon[i], polygon[(i + 1) % len(polygon)]
    length = math.dist((x0, y0), (x1, y1))
    ax, ay = (x1 - x0) / length, (y1 - y0) / length
    _a0, _a1, w0, w1 = extent(polygon, ax, ay)
    rows = [(polygon, edges)]
    if w1 - w0 > 38.0:
        halves = split(polygon, edges, -ay, ax, 0.5 * (w0 + w1), -1)
        if halves is not None:
            rows = [(halves[0], halves[1]), (halves[2], halves[3])]
    lots: list[tuple[Polygon, list[int]]] = []
    for rest, rest_edges in rows:
        low, high, _, _ = extent(rest, ax, ay)
        count = max(1, round((high - low) / frontage))
        for k in range(1, count):
            pieces = split(rest, rest_edges, ax, ay, low + (high - low) * k / count, -1)
            if pieces is None:
                continue
            lots.append((pieces[0], pieces[1]))
            rest, rest_edges = pieces[2], pieces[3]
        lots.append((rest, rest_edges))
    return lots


def _along(a: Point, b: Point) -> list[Point]:
    """Points from a (included) to b (left out), at most 24 m apart, at least two so that the middle is one."""
    count = 2 * max(1, math.ceil(math.dist(a, b) / 48.0))
    return [(a[0] + (b[0] - a[0]) * k / count, a[1] + (b[1] - a[1]) * k / count) for k in range(count)]


def make_lots(rng: random.Random, plan: Plan) -> list[Lot]:
    """Cut all blocks into lots and carry them to the ground; lots wholly outside the city are left out."""
    flat: list[tuple[list[list[Point]], list[int], District, int]] = []
    for index, block in enumerate(plan.blocks):
        if block.style in FRONTAGE and area(block.polygon) > 500.0:
            pieces = _slice(block.polygon, block.edges, rng.uniform(*FRONTAGE[block.style]))
        else:
            pieces = [(block.polygon, block.edges)]
        for polygon, edges in pieces:
            sides = [_along(polygon[k], polygon[(k + 1) % len(polygon)]) for k in range(len(polygon))]
            flat.append((sides, edges, block.style, index))
    points = np.array([point for sides, *_ in flat for side in sides for point in side])
    ground = [(float(x), float(y)) for x, y in plan.warp(points)]
    lots: list[Lot] = []
    position = 0
    for sides, edges, style, index in flat:
        outline: Polygon = []
        corners: list[int] = []
        for side in sides:
            corners.append(len(outline))
            outline += ground[position : position + len(side)]
            position += len(side)
        if all(x < 0.0 for x, _ in outline) or all(x > plan.size for x, _ in outline):
            continue
        if all(y < 0.0 for _, y in outline) or all(y > plan.size for _, y in outline):
            continue
        lots.append(_lot(plan, outline, corners, edges, style, index))
    return lots


def _lot(plan: Plan, outline: Polygon, corners: list[int], edges: list[int], style: District, block: int) -> Lot:
    """Measure a lot once it lies on the ground."""
    polygon = [outline[k] for k in corners]
    bulge: list[float] = []
    front, best = longest_edge(polygon), 0.0
    for k, label in enumerate(edges):
        (x0, y0), (x1, y1) = polygon[k], polygon[(k + 1) % len(polygon)]
        length = math.dist((x0, y0), (x1, y1))
        last = corners[k + 1] if k + 1 < len(corners) else len(outline)
        inner = outline[corners[k] + 1 : last]
        offsets = [((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / max(length, 1e-6) for x, y in inner]
        bulge.append(max(0.0, *offsets) if len(offsets) > 1 else max(0.0, offsets[0]))
        if label >= 0 and plan.streets[label].rank < Rank.RAIL and length > best:
            front, best = k, length
    clear = [plan.streets[label].clear if label >= 0 else 0.0 for label in edges]
    return Lot(polygon, outline, edges, bulge, clear, front, style, block)
