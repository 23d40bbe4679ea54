"""Colours of ground, roofs and leaves, computed from the world's fields at any resolution.

Both renderers call these functions, so that a zebra crossing seen from the street is the one seen from above. Every
stripe is averaged over a square of side `detail` metres around the point, exactly for a single stripe, so that markings
fade smoothly with distance instead of flickering.

`season` is cyclic in [0, 4): 0 spring, 1 summer, 2 autumn, 3 winter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.sim.compiled import compiled
from tiercel.sim.world import Bytes, Floats, Ints

Table = NDArray[np.void]
Row = Any
Colour = tuple[float, float, float]

# Markings, as in tiercel.sim.plan.Marking: constants for compiled code.
CENTRE_DASHED, CENTRE_SOLID, LANE_LINES, EDGE_LINES, ZEBRA, STOP_LINES = 1, 2, 4, 8, 16, 32
BUS_LANE, CYCLE_LANE, PARKING_BAYS, MEDIAN, TRAM = 64, 128, 256, 512, 1024
ROAD, PAVEMENT, GRASS, PARK, PLAZA, PARKING, WATER, SPORT, PATH, GRAVEL, SOIL, YARD = range(12)


@compiled
def hash01(a: int, b: int) -> float:
    """A pseudo-random float32 in [0, 1) from two integers."""
    x = np.uint32(np.int64(a) * np.int64(73856093) ^ np.int64(b) * np.int64(19349663) ^ np.int64(0x9E3779B9))
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x ^= x >> np.uint32(15)
    x = np.uint32(x * np.uint32(0x846CA68B))
    x ^= x >> np.uint32(16)
    return float(x >> np.uint32(8)) * 5.9604645e-08


@compiled
def value_noise(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1] with features of size 1."""
    column, line = math.floor(x), math.floor(y)
    fx, fy = x - column, y - line
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    i, j = int(column), int(line) + seed * 7919
    low = hash01(i, j) * (1.0 - fx) + hash01(i + 1, j) * fx
    high = hash01(i, j + 1) * (1.0 - fx) + hash01(i + 1, j + 1) * fx
    return low * (1.0 - fy) + high * fy


@compiled
def stripe(distance: float, half: float, detail: float) -> float:
    """Share of a window `detail` wide that a stripe 2 * `half` wide covers, its middle `distance` away."""
    window = 0.5 * max(detail, 0.02)
    d = abs(distance)
    return max(0.0, min(d + window, half) - max(d - window, -half)) / (2.0 * window)


@compiled
def dashes(place: float, period: float, length: float, detail: float) -> float:
    """The same for dashes of a length repeated with a period."""
    if detail > period:
        return length / period
    rest = place - period * math.floor(place / period)
    share = stripe(rest - 0.5 * length, 0.5 * length, detail)
    return min(1.0, share + stripe(rest - period - 0.5 * length, 0.5 * length, detail))


@compiled
def lane_bounds(marking: int, half_width: float) -> tuple[float, float, float]:
    """Inner and outer bound of the driving lanes, then of the cycle lane's outer edge, metres from the centre line.

    From the centre outwards: median, driving lanes (the bus lane is the last), cycle lane, parking bays.
    """
    inner = 1.6 if marking & MEDIAN else 0.0
    edge = half_width - (2.1 if marking & PARKING_BAYS else 0.0)
    outer = edge - (1.7 if marking & CYCLE_LANE else 0.0)
    return inner, outer, edge


@compiled
def _road(f: Row, x: float, y: float, u: float, v: float, junction: float, detail: float) -> Colour:
    """Asphalt and everything painted on it."""
    a = abs(u)
    marking = f.marking
    half = f.half_width
    seed = f.seed % 8191
    inner, outer, edge = lane_bounds(marking, half)
    lanes = max(1, f.lanes)
    width = (outer - inner) / lanes
    shade = 0.9 + 0.2 * value_noise(x * 0.11, y * 0.11, 3)
    repair = value_noise(v * 0.055 + 17.0, u * 0.12 + seed, 5)
    if repair > 0.8:
        shade *= 0.86
    if width > 1.0 and a < outer:
        q = (a - inner) / width
        q -= math.floor(q)
        shade *= 0.95 + 0.05 * min(1.0, abs(abs(q - 0.5) - 0.25) * 6.0)
    if detail < 0.3:
        shade *= 0.93 + 0.14 * hash01(int(x * 40.0), int(y * 40.0))
        crack = abs(value_noise(x * 0.7, y * 0.7, 9) - 0.5)
        if crack < 0.005:
            shade *= 0.82
    r, g, b = f.colour[0] * shade, f.colour[1] * shade, f.colour[2] * shade
    if f.kind == 2:
        line = stripe(half - a, 0.12, detail) * 0.6
        return r + (225.0 - r) * line, g + (225.0 - g) * line, b + (220.0 - b) * line
    white = 0.0
    wear = 0.72 + 0.28 * value_noise(x * 0.5, y * 0.5, 21)
    if junction > 0.6:
        if marking & BUS_LANE and junction > 8.0:
            t = stripe(a - (outer - 1.7), 1.7, detail) * 0.85
            r, g, b = r + (f.accent[0] - r) * t, g + (f.accent[1] - g) * t, b + (f.accent[2] - b) * t
            white += stripe(a - (outer - 3.4), 0.1, detail)
        if marking & CYCLE_LANE:
            t = stripe(a - 0.5 * (outer + edge), 0.5 * (edge - outer) - 0.1, detail) * 0.5
            if not marking & BUS_LANE:
                r, g, b = r + (f.accent[0] - r) * t, g + (f.accent[1] - g) * t, b + (f.accent[2] - b) * t
            white += stripe(a - outer, 0.08, detail)
        if junction > 6.0:
            if marking & CENTRE_DASHED:
                line = stripe(u, 0.08, detail) * dashes(v, 9.0, 4.0, detail) * wear
                r, g, b = r + (f.line[0] - r) * line, g + (f.line[1] - g) * line, b + (f.line[2] - b) * line
            if marking & MEDIAN:
                white += stripe(a - inner - 0.25, 0.07, detail)
        if marking & CENTRE_SOLID and junction > 5.5:
            line = (stripe(a - 0.14, 0.06, detail)) * wear
            r, g, b = r + (f.line[0] - r) * line, g + (f.line[1] - g) * line, b + (f.line[2] - b) * line
        if marking & LANE_LINES:
            last = lanes - 1 if marking & BUS_LANE else lanes
            for lane in range(1, last):
                far = junction > 18.0
                white += stripe(a - inner - lane * width, 0.07, detail) * (
                    dashes(v, 9.0, 3.0, detail) if far else (1.0 if junction > 6.0 else 0.0)
                )
        if marking & EDGE_LINES and junction > 2.0:
            white += stripe(a - (outer - 0.25), 0.06, detail)
        if marking & PARKING_BAYS and junction > 7.0:
            white += stripe(a - edge, 0.05, detail) * 0.8
            if a > edge:
                white += dashes(v, 5.6, 0.1, detail) * 0.9
        if marking & STOP_LINES and a < outer:
            line = stripe(junction - 5.6, 0.22, detail)
            white += line * 0.95 if a > inner + 0.2 else 0.0
        if marking & ZEBRA and junction < 6.0:
            band = stripe(junction - 2.9, 1.5, detail)
            white += band * dashes(u + 0.25, 1.0, 0.5, detail)
    white = min(1.0, white) * wear
    r, g, b = r + (228.0 - r) * white, g + (228.0 - g) * white, b + (222.0 - b) * white
    if marking & TRAM and f.kind == 0:
        rail = stripe(abs(a - 1.7) - 0.72, 0.04, detail)
        r, g, b = r + (88.0 - r) * rail, g + (86.0 - g) * rail, b + (84.0 - b) * rail
    gutter = stripe(half - a - 0.12, 0.12, detail) * 0.35
    if junction > 0.0:
        r, g, b = r * (1.0 - gutter), g * (1.0 - gutter), b * (1.0 - gutter)
    return r, g, b


@compiled
def _paving(r: float, g: float, b: float, x: float, y: float, u: float, v: float, size: float, detail: float) -> Colour:
    """Slabs of a size with joints, each a little different."""
    shade = 0.93 + 0.14 * value_noise(x * 0.13, y * 0.13, 31)
    if detail < 1.5 * size:
        weight = min(1.0, 1.5 - detail / size)
        iu = math.floor(u / size)
        row_shift = 0.5 * size * (int(iu) & 1)
        iv = math.floor((v + row_shift) / size)
        shade *= 1.0 + weight * 0.1 * (hash01(int(iu), int(iv)) - 0.5)
        joint = dashes(u, size, 0.03, detail) + dashes(v + row_shift, size, 0.03, detail)
        shade *= 1.0 - 0.3 * min(1.0, joint)
    if detail < 0.3:
        shade *= 0.96 + 0.08 * hash01(int(x * 45.0), int(y * 45.0))
    return r * shade, g * shade, b * shade


@compiled
def _grass(r: float, g: float, b: float, x: float, y: float, season: float, wild: float, detail: float) -> Colour:
    """Grass: patches, mowing, dry in late summer, dull in winter."""
    # Turned and mixed, so that the lattice of the noise does not show as squares.
    patch = 0.6 * value_noise(x * 0.031 + y * 0.017, y * 0.031 - x * 0.017, 41)
    patch += 0.4 * value_noise(x * 0.07 - y * 0.04, y * 0.07 + x * 0.04, 42)
    fine = value_noise(x * 0.37 + y * 0.5, y * 0.37 - x * 0.5, 43)
    dry = max(0.0, min(1.0, 1.0 - abs(season - 1.7) * 1.2)) * (0.25 + 0.75 * patch)
    dull = max(0.0, 1.0 - min(abs(season - 3.1), abs(season + 0.9))) * 0.5
    shade = 0.82 + 0.22 * patch + 0.12 * (fine - 0.5) * (1.0 + wild)
    if detail < 0.3:
        shade *= 0.84 + 0.32 * hash01(int(x * 30.0), int(y * 30.0))
    r, g, b = r * shade, g * shade, b * shade
    grey = 0.33 * (r + g + b)
    r, g, b = r + (g * 1.12 - r) * dry * 0.7, g * (1.0 - 0.02 * dry), b * (1.0 + 0.15 * dry)
    return r + (grey * 1.12 - r) * dull, g + (grey * 1.08 - g) * dull, b + (grey * 0.85 - b) * dull


@compiled
def _sport(f: Row, u: float, v: float, x: float, y: float, season: float, detail: float) -> Colour:
    """Sports grounds: `lanes` is the kind, `pavement` half the length along u, `half_width` half the width along v."""
    hl, hw = f.pavement, f.half_width
    kind = f.lanes
    a, c = abs(u), abs(v)
    line = 0.0
    if kind == 3:
        straight = hl - hw
        r0 = hw - math.hypot(max(0.0, a - straight), c)
        if r0 < 9.0:
            shade = 0.94 + 0.12 * value_noise(x * 0.2, y * 0.2, 51)
            t = dashes(r0, 1.22, 0.07, detail) * 0.8
            r, g, b = f.accent[0] * shade, f.accent[1] * shade, f.accent[2] * shade
            return r + (230.0 - r) * t, g + (230.0 - g) * t, b + (226.0 - b) * t
        hl, hw = straight, hw - 12.0
    if kind == 0 or kind == 3:
        r, g, b = _grass(f.colour[0], f.colour[1], f.colour[2], x, y, season, 0.0, detail)
        mow = 0.95 + 0.1 * (1.0 if dashes(u, 12.0, 6.0, detail) > 0.5 else 0.0)
        r, g, b = r * mow, g * mow, b * mow
        if a <= hl + 0.2 and c <= hw + 0.2:
            line += stripe(a - hl, 0.1, detail) + stripe(c - hw, 0.1, detail) + stripe(u, 0.1, detail)
            line += stripe(math.hypot(u, v) - 0.18 * hl, 0.1, detail)
            if c < 0.6 * hw:
                line += stripe(a - 0.69 * hl, 0.1, detail)
            if a > 0.69 * hl:
                line += stripe(c - 0.6 * hw, 0.1, detail)
            if c < 0.27 * hw:
                line += stripe(a - 0.895 * hl, 0.1, detail)
            if a > 0.895 * hl:
                line += stripe(c - 0.27 * hw, 0.1, detail)
    else:
        shade = 0.95 + 0.1 * value_noise(x * 0.3, y * 0.3, 53)
        play = a < hl - 5.0 and c < hw - 3.0 if kind == 1 else a < hl and c < hw
        tone = f.accent if play else f.colour
        r, g, b = tone[0] * shade, tone[1] * shade, tone[2] * shade
        if kind == 1:
            px, py = hl - 6.1, hw - 3.5
            if a <= px + 0.1 and c <= py + 0.1:
                line += (
                    stripe(a - px, 0.06, detail) + stripe(c - py, 0.06, detail) + stripe(c - 0.75 * py, 0.06, detail)
                )
                line += stripe(u, 0.08, detail)
                if c < 0.75 * py:
                    line += stripe(a - 0.54 * px, 0.06, detail)
                if a < 0.54 * px:
                    line += stripe(v, 0.06, detail)
        elif a <= hl and c <= hw:
            line += stripe(a - hl + 0.4, 0.06, detail) + stripe(c - hw + 0.4, 0.06, detail) + stripe(u, 0.06, detail)
            line += stripe(math.hypot(u, v) - 1.8, 0.06, detail) + stripe(
                math.hypot(a - hl + 1.6, v) - 6.2, 0.06, detail
            )
    line = min(1.0, line) * 0.9
    return r + (232.0 - r) * line, g + (232.0 - g) * line, b + (228.0 - b) * line


@compiled
def ground_colour(
    surface: int,
    row: int,
    features: Table,
    x: float,
    y: float,
    u: float,
    v: float,
    junction: float,
    season: float,
    detail: float,
) -> Colour:
    """Colour of the ground, unlit.

    Args:
        surface: A `tiercel.sim.world.Surface`.
        row: Row of `features` that owns the point.
        features: Table of `tiercel.sim.world.FEATURE`.
        x: Metres east.
        y: Metres north.
        u: The feature's first coordinate, metres.
        v: Its second coordinate.
        junction: Metres to the nearest junction along the street.
        season: In [0, 4), see the module.
        detail: Side in metres of the square the colour is averaged over.

    Returns:
        Red, green and blue, 0..255.
    """
    f = features[row]
    r, g, b = f.colour[0], f.colour[1], f.colour[2]
    if surface == ROAD:
        r, g, b = _road(f, x, y, u, v, junction, detail)
    elif surface == PAVEMENT:
        size = 0.4 + 0.15 * (f.seed % 5)
        r, g, b = _paving(f.paving[0], f.paving[1], f.paving[2], x, y, u, v, size, detail)
        if f.kind == 0 and junction > 0.0:
            kerb = stripe(abs(u) - f.half_width - 0.12, 0.14, detail) * 0.5
            r, g, b = r + (205.0 - r) * kerb, g + (203.0 - g) * kerb, b + (196.0 - b) * kerb
    elif surface in (GRASS, PARK):
        if f.kind == 0 or f.kind == 2:
            r, g, b = 92.0, 112.0, 62.0
        r, g, b = _grass(r, g, b, x, y, season, 0.8 if surface == PARK else 0.2, detail)
    elif surface == PLAZA:
        if f.kind == 3:
            r, g, b = f.accent[0], f.accent[1], f.accent[2]
        r, g, b = _paving(r, g, b, x, y, u, v, 0.8 + 0.3 * (f.seed % 4), detail)
    elif surface == PARKING:
        shade = 0.9 + 0.2 * value_noise(x * 0.09, y * 0.09, 61)
        if detail < 0.3:
            shade *= 0.94 + 0.12 * hash01(int(x * 40.0), int(y * 40.0))
        r, g, b = r * shade, g * shade, b * shade
        depth = v - 16.0 * math.floor(v / 16.0)
        line = 0.0
        if depth < 5.0 or depth > 11.0:
            line = dashes(u + 0.05, 2.6, 0.1, detail)
        line += stripe(depth - 16.0, 0.06, detail) + stripe(depth, 0.06, detail)
        stain = value_noise(u * 0.77, v * 0.4, 63)
        shade = 1.0 - 0.12 * stain
        line = min(1.0, line) * 0.85
        r, g, b = r * shade, g * shade, b * shade
        r, g, b = r + (f.accent[0] - r) * line, g + (f.accent[1] - g) * line, b + (f.accent[2] - b) * line
    elif surface == WATER:
        shade = 0.9 + 0.2 * value_noise(x * 0.03, y * 0.03, 71)
        if detail < 0.6:
            shade *= 0.96 + 0.08 * value_noise(x * 0.9, y * 1.3, 73)
        r, g, b = r * shade, g * shade, b * shade
    elif surface == SPORT:
        r, g, b = _sport(f, u, v, x, y, season, detail)
    elif surface == PATH:
        if f.kind == 3:
            r, g, b = f.accent[0], f.accent[1], f.accent[2]
        shade = 0.9 + 0.2 * value_noise(x * 0.6, y * 0.6, 81)
        if detail < 0.3:
            shade *= 0.9 + 0.2 * hash01(int(x * 30.0), int(y * 30.0))
        r, g, b = r * shade, g * shade, b * shade
    elif surface == GRAVEL:
        shade = 0.86 + 0.28 * value_noise(x * 0.25, y * 0.25, 83)
        if detail < 0.6:
            shade *= 0.85 + 0.3 * hash01(int(x * 20.0), int(y * 20.0))
        r, g, b = r * shade, g * shade, b * shade
        if f.kind == 0 and f.marking & TRAM:
            offset = u + 50.0 * 4.2
            track = offset - 4.2 * math.floor(offset / 4.2) - 2.1
            if abs(u) < f.half_width - 0.5:
                sleeper = dashes(v, 0.65, 0.26, detail) * stripe(track, 1.3, detail)
                r, g, b = r * (1.0 - 0.3 * sleeper), g * (1.0 - 0.32 * sleeper), b * (1.0 - 0.35 * sleeper)
                rail = stripe(abs(track) - 0.72, 0.05, detail)
                r, g, b = r + (150.0 - r) * rail, g + (146.0 - g) * rail, b + (142.0 - b) * rail
    elif surface == SOIL:
        bed = 0.85 + 0.2 * dashes(v, 1.2, 0.6, detail)
        green = dashes(v, 1.2, 0.45, detail) * (0.6 if season > 0.4 and season < 2.4 else 0.15)
        r, g, b = r * bed, g * bed, b * bed
        r, g, b = r + (80.0 - r) * green, g + (112.0 - g) * green, b + (54.0 - b) * green
    else:
        r, g, b = _paving(r, g, b, x, y, u, v, 2.4, detail)
    return float(r), float(g), float(b)


@compiled
def roof_height(parts: Table, i: int, x: float, y: float) -> float:
    """Absolute height in metres of the roof of part `i` above a point of its footprint."""
    p = parts[i]
    rise = p.rise
    if rise <= 0.0:
        return float(p.eave)
    dx, dy = x - p.centre[0], y - p.centre[1]
    along = (dx * p.axis[0] + dy * p.axis[1]) / p.half_length
    across = (dy * p.axis[0] - dx * p.axis[1]) / p.half_width
    a, c = min(1.0, abs(along)), min(1.0, abs(across))
    kind = p.roof
    share = 0.0
    if kind == 1:
        share = 1.0 - c
    elif kind == 2:
        share = min(1.0 - c, (1.0 - a) * p.half_length / p.half_width)
    elif kind == 3:
        share = 0.5 + 0.5 * max(-1.0, min(1.0, across))
    elif kind == 4:
        share = 1.0 - max(a, c)
    elif kind == 5:
        share = math.sqrt(max(0.0, 1.0 - along * along - across * across))
    elif kind == 6:
        saw = across * p.half_width / 7.0
        share = saw - math.floor(saw)
    return float(p.eave + rise * share)


@compiled
def roof_colour(parts: Table, i: int, x: float, y: float, detail: float) -> Colour:
    """Colour of the roof of part `i`, unlit, 0..255: tiles and ridges, or a flat roof with its hatches and ducts."""
    p = parts[i]
    r, g, b = p.roof_colour[0], p.roof_colour[1], p.roof_colour[2]
    if p.facade == 8:
        shade = 0.75 + 0.5 * value_noise(x * 1.1, y * 1.1, 91) if p.material == 5 and p.half_width > 0.2 else 1.0
        return float(r * shade), float(g * shade), float(b * shade)
    dx, dy = x - p.centre[0], y - p.centre[1]
    along = dx * p.axis[0] + dy * p.axis[1]
    across = dy * p.axis[0] - dx * p.axis[1]
    seed = int(p.seed % 65521)
    kind = p.roof
    shade = 0.92 + 0.16 * value_noise(x * 0.25, y * 0.25, 93)
    small = p.half_length * p.half_width < 16.0
    if kind == 1 or kind == 2 or kind == 3 or kind == 4:
        shade *= 0.95 + 0.1 * hash01(math.floor(along * 1.5), math.floor(across * 2.5) + seed)
        if detail < 0.35:
            shade *= 1.0 - 0.25 * dashes(across, 0.35, 0.06, detail)
        if kind == 1 or kind == 2:
            ridge = stripe(across, 0.16, detail)
            shade *= 1.0 - 0.22 * ridge
        if not small and kind != 3:
            cell = math.floor(along / 4.2)
            fl = along - 4.2 * cell - 2.1
            side = 1 if across > 0.0 else 0
            chance = hash01(int(cell) * 2 + side, seed + 11)
            fw = abs(across) / p.half_width
            if chance < 0.22 and fw < 0.72 and fw > 0.3 and p.facade != 5:
                window = stripe(fl, 0.5, detail) * stripe((fw - 0.5) * p.half_width, 0.7, detail)
                r, g, b = r + (86.0 - r) * window, g + (98.0 - g) * window, b + (112.0 - b) * window
            elif chance > 0.86 and p.facade != 5 and p.facade != 7:
                stack = stripe(fl, 0.45, detail) * stripe((fw - 0.14) * p.half_width, 0.45, detail)
                r, g, b = r + (132.0 - r) * stack, g + (104.0 - g) * stack, b + (90.0 - b) * stack
        if p.facade == 5:
            shade *= 0.96 + 0.08 * dashes(along, 1.2, 0.6, detail)
            light = dashes(along + 1.0, 8.0, 1.6, detail) * stripe(
                abs(across) - 0.5 * p.half_width, 0.28 * p.half_width, detail
            )
            r, g, b = r + (208.0 - r) * light * 0.6, g + (216.0 - g) * light * 0.6, b + (218.0 - b) * light * 0.6
    elif kind == 6:
        saw = across / 7.0
        q = saw - math.floor(saw)
        if q > 0.9:
            r, g, b = 0.4 * r + 60.0, 0.4 * g + 68.0, 0.4 * b + 76.0
        shade *= 0.97 + 0.06 * dashes(along, 2.4, 1.2, detail)
    elif kind == 5:
        rib = math.atan2(across, along) * 12.0 / math.pi
        shade *= 0.96 + 0.08 * (1.0 if math.floor(rib) & 1 else 0.0)
    elif not small:
        seam = 5.0 + seed % 4
        shade *= 1.0 - 0.07 * min(1.0, dashes(along, seam, 0.25, detail) + dashes(across, seam * 1.7, 0.25, detail))
        stain = value_noise(x * 0.12, y * 0.12, seed % 97)
        shade *= 0.9 + 0.2 * stain
        cu, cv = math.floor(along / 4.5), math.floor(across / 4.5)
        fu, fv = along - 4.5 * cu - 2.25, across - 4.5 * cv - 2.25
        inside = abs(along) < p.half_length - 1.8 and abs(across) < p.half_width - 1.8
        chance = hash01(int(cu), int(cv) * 131 + seed)
        if inside and chance < 0.16:
            size = 0.4 + 0.9 * hash01(int(cu) + 7, int(cv) + seed)
            box = stripe(fu, size, detail) * stripe(fv, size * 0.8, detail)
            if chance < 0.06:
                tone = 1.28
            elif chance < 0.11:
                tone = 0.55
            else:
                tone = 0.78
            r, g, b = r + (r * tone - r) * box, g + (g * tone - g) * box, b + (b * tone - b) * box
        elif inside and p.facade == 5 and (int(cu) & 1) == 0:
            light = stripe(fu, 0.7, detail) * stripe(fv, 1.6, detail)
            r, g, b = r + (205.0 - r) * light, g + (214.0 - g) * light, b + (216.0 - b) * light
        elif inside and seed % 23 == 0:
            panel = dashes(across, 2.2, 1.3, detail) * dashes(along, 1.7, 1.6, detail)
            r, g, b = r + (42.0 - r) * panel, g + (52.0 - g) * panel, b + (78.0 - b) * panel
    return float(min(250.0, r * shade)), float(min(250.0, g * shade)), float(min(250.0, b * shade))


@compiled
def leaf_cover(kind: int, season: float) -> float:
    """Share of its leaves a plant bears, 0..1."""
    if kind == 1 or kind == 3:
        return 1.0
    distance = min(abs(season - 1.2), abs(season - 5.2))
    cover = max(0.0, min(1.0, 2.05 - 1.1 * distance))
    return float(max(cover, 0.55) if kind == 4 else cover)


@compiled
def plant_colour(kind: int, hue: float, season: float) -> Colour:
    """Colour of a plant's leaves, or of its bare twigs in winter, unlit, 0..255."""
    r, g, b = 64.0 + 34.0 * hue, 96.0 + 22.0 * hue, 44.0 + 12.0 * (1.0 - hue)
    if kind == 1:
        return float(40.0 + 22.0 * hue), float(70.0 + 18.0 * hue), float(46.0 + 12.0 * hue)
    if kind == 3:
        return float(78.0 + 20.0 * hue), float(108.0 + 14.0 * hue), 56.0
    spring = max(0.0, 1.0 - abs(season - 0.3) * 1.6)
    autumn = max(0.0, 1.0 - abs(season - 2.25) * 1.5) * min(1.0, 0.35 + 1.2 * hue)
    r, g, b = r + spring * 22.0, g + spring * 20.0, b + spring * 6.0
    gold = 0.25 + 0.75 * math.fabs(math.sin(hue * 37.0))
    r, g, b = r + (176.0 - r) * autumn, g + ((70.0 + 76.0 * gold) - g) * autumn, b + (44.0 - b) * autumn
    bare = 1.0 - leaf_cover(kind, season)
    return float(r + (112.0 - r) * bare), float(g + (100.0 - g) * bare), float(b + (88.0 - b) * bare)


@compiled
def ground_at(
    surface: Bytes,
    feature: Ints,
    features: Table,
    u: Floats,
    v: Floats,
    junction: Floats,
    size: float,
    x: float,
    y: float,
) -> tuple[int, int, float, float, float]:
    """The ground's fields at any point between texel centres.

    Coordinates are continued linearly within a feature; along streets the kerb runs where the carriageway's width says,
    not in steps of texels.

    Returns:
        surface, row of the feature, u, v, junction: what `ground_colour` takes.
    """
    texels = surface.shape[0]
    fc, fr = 2.0 * x, 2.0 * (size - y)
    col = min(max(int(fc), 0), texels - 1)
    row = min(max(int(fr), 0), texels - 1)
    kind, owner = surface[row, col], feature[row, col]
    place_u, place_v, near = u[row, col], v[row, col], junction[row, col]
    base_u, base_v, base_near = place_u, place_v, near
    for axis in range(2):
        rest = fc - col - 0.5 if axis == 0 else fr - row - 0.5
        if abs(rest) < 0.04:
            continue
        side = 1 if rest > 0.0 else -1
        for _turn in range(2):
            r, c = (row, col + side) if axis == 0 else (row + side, col)
            if r >= 0 and c >= 0 and r < texels and c < texels and feature[r, c] == owner:
                du, dv, dj = u[r, c] - base_u, v[r, c] - base_v, junction[r, c] - base_near
                if abs(dv) < 2.0 and abs(du) < 2.0:
                    weight = rest * side
                    place_u += du * weight
                    place_v += dv * weight
                    if abs(dj) < 2.0:
                        near += dj * weight
                    break
            side = -side
    if features[owner].kind == 0 and near > 0.5 and features[owner].lanes > 0:
        outside = abs(place_u) - features[owner].half_width
        if outside < 0.0 and outside > -0.8 and (kind in (PAVEMENT, GRASS)):
            kind = ROAD
        elif outside >= 0.0 and outside < 0.8 and kind == ROAD:
            r, c = row, col
            step = 1 if place_u > 0.0 else -1
            kind = PAVEMENT
            if row > 0 and col > 0 and row < texels - 1 and col < texels - 1:
                gx = (
                    u[row, col + 1] - u[row, col - 1]
                    if feature[row, col + 1] == owner and feature[row, col - 1] == owner
                    else 0.0
                )
                gy = (
                    u[row + 1, col] - u[row - 1, col]
                    if feature[row + 1, col] == owner and feature[row - 1, col] == owner
                    else 0.0
                )
                r = row + (step if gy > 0.3 else (-step if gy < -0.3 else 0))
                c = col + (step if gx > 0.3 else (-step if gx < -0.3 else 0))
                if surface[r, c] == GRASS:
                    kind = GRASS
    return kind, owner, place_u, place_v, near
