"""Convex polygons as plain lists of points: the geometry of streets, lots and footprints.

Polygons have three to a few dozen corners, so plain Python on tuples is several times faster than numpy here.
All polygons are counter-clockwise; the edge ``i`` runs from corner ``i`` to corner ``i + 1``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
Polygon = list[Point]


def area(polygon: Sequence[Point]) -> float:
    """Area in square metres, positive for counter-clockwise corners."""
    total = 0.0
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        total += x0 * y1 - x1 * y0
        x0, y0 = x1, y1
    return 0.5 * total


def centroid(polygon: Sequence[Point]) -> Point:
    """Centre of gravity; the mean corner where the area vanishes."""
    total = cx = cy = 0.0
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        cross = x0 * y1 - x1 * y0
        total += cross
        cx += (x0 + x1) * cross
        cy += (y0 + y1) * cross
        x0, y0 = x1, y1
    if abs(total) < 1e-6:
        count = len(polygon)
        return sum(x for x, _ in polygon) / count, sum(y for _, y in polygon) / count
    return cx / (3.0 * total), cy / (3.0 * total)


def clip(polygon: Sequence[Point], nx: float, ny: float, limit: float) -> Polygon:
    """The part of a polygon where ``nx * x + ny * y <= limit``; empty when nothing is left."""
    kept: Polygon = []
    if not polygon:
        return kept
    previous = polygon[-1]
    before = nx * previous[0] + ny * previous[1] - limit
    for point in polygon:
        after = nx * point[0] + ny * point[1] - limit
        if (before < 0.0) != (after < 0.0):
            t = before / (before - after)
            kept.append((previous[0] + t * (point[0] - previous[0]), previous[1] + t * (point[1] - previous[1])))
        if after < 0.0:
            kept.append(point)
        previous, before = point, after
    return kept if len(kept) >= 3 else []


def split(
    polygon: Sequence[Point], labels: Sequence[int], nx: float, ny: float, limit: float, label: int
) -> tuple[Polygon, list[int], Polygon, list[int], list[tuple[Point, int]]] | None:
    """Cut a labelled convex polygon by the line ``nx * x + ny * y = limit``.

    Args:
        polygon: Corners, counter-clockwise.
        labels: One label an edge.
        nx: First component of the line's normal.
        ny: Second component.
        limit: Offset of the line.
        label: Label of the new edge on both sides.

    Returns:
        Low side, its labels, high side, its labels, and the two ends of the cut with the label of the edge each lies
        on; None where the line misses the polygon.
    """
    low: Polygon = []
    high: Polygon = []
    low_labels: list[int] = []
    high_labels: list[int] = []
    ends: list[tuple[Point, int]] = []
    count = len(polygon)
    sides = [nx * x + ny * y - limit for x, y in polygon]
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        a, b = sides[i], sides[j]
        if a < 0.0:
            low.append(polygon[i])
            low_labels.append(labels[i])
        else:
            high.append(polygon[i])
            high_labels.append(labels[i])
        if (a < 0.0) != (b < 0.0):
            t = a / (a - b)
            (x0, y0), (x1, y1) = polygon[i], polygon[j]
            point = (x0 + t * (x1 - x0), y0 + t * (y1 - y0))
            ends.append((point, labels[i]))
            low.append(point)
            high.append(point)
            low_labels.append(label if a < 0.0 else labels[i])
            high_labels.append(labels[i] if a < 0.0 else label)
    if len(low) < 3 or len(high) < 3 or len(ends) != 2:
        return None
    return low, low_labels, high, high_labels, ends


def inset(polygon: Sequence[Point], distances: Sequence[float]) -> Polygon:
    """Move every edge inwards by its own distance; empty when nothing is left."""
    result = list(polygon)
    x0, y0 = polygon[-1]
    ordered = [distances[-1], *distances[:-1]]
    for (x1, y1), distance in zip(polygon, ordered, strict=True):
        dx, dy = x1 - x0, y1 - y0
        length = math.hypot(dx, dy)
        if length > 1e-6:
            nx, ny = dy / length, -dx / length
            result = clip(result, nx, ny, nx * x0 + ny * y0 - distance)
            if not result:
                return result
        x0, y0 = x1, y1
    return result


def extent(polygon: Sequence[Point], ax: float, ay: float) -> tuple[float, float, float, float]:
    """Lowest and highest coordinate along the unit vector (ax, ay), then across it (to its left)."""
    along = [ax * x + ay * y for x, y in polygon]
    across = [ax * y - ay * x for x, y in polygon]
    return min(along), max(along), min(across), max(across)


def rectangle(cx: float, cy: float, ax: float, ay: float, half_length: float, half_width: float) -> Polygon:
    """Rectangle about a centre, its length along the unit vector (ax, ay)."""
    lx, ly, wx, wy = ax * half_length, ay * half_length, -ay * half_width, ax * half_width
    return [
        (cx - lx - wx, cy - ly - wy),
        (cx + lx - wx, cy + ly - wy),
        (cx + lx + wx, cy + ly + wy),
        (cx - lx + wx, cy - ly + wy),
    ]


def ellipse(cx: float, cy: float, ax: float, ay: float, half_length: float, half_width: float, corners: int) -> Polygon:
    """Regular polygon inscribed in an ellipse whose first axis is the unit vector (ax, ay)."""
    points: Polygon = []
    for k in range(corners):
        angle = 2.0 * math.pi * (k + 0.5) / corners
        along, across = math.cos(angle) * half_length, math.sin(angle) * half_width
        points.append((cx + ax * along - ay * across, cy + ay * along + ax * across))
    return points


def largest_scale(
    polygon: Sequence[Point], cx: float, cy: float, ax: float, ay: float, half_length: float, half_width: float
) -> float:
    """Factor by which a rectangle about a centre can grow and still lie in a convex polygon; negative outside."""
    best = math.inf
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        dx, dy = x1 - x0, y1 - y0
        length = math.hypot(dx, dy)
        if length > 1e-6:
            nx, ny = dy / length, -dx / length
            room = nx * (x0 - cx) + ny * (y0 - cy)
            need = abs(nx * ax + ny * ay) * half_length + abs(ny * ax - nx * ay) * half_width
            best = min(best, room / need)
        x0, y0 = x1, y1
    return best


def longest_edge(polygon: Sequence[Point]) -> int:
    """Index of the longest edge."""
    count = len(polygon)
    return max(range(count), key=lambda i: math.dist(polygon[i], polygon[(i + 1) % count]))
