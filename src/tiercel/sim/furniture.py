"""Street furniture as a handful of boxes each: lamps, signs, traffic lights, benches, bus shelters, bollards."""

from __future__ import annotations

import math

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import hash_unit
from tiercel.sim.world import Furniture

_SIGN, _LIGHTS, _SHELTER = int(Furniture.SIGN), int(Furniture.TRAFFIC_LIGHT), int(Furniture.BUS_SHELTER)

# One row a box: kind, then low and high along (forward), across (right) and up, metres, then red, green, blue, and
# what is on it: 0 nothing, 1 a sign's face, 2 signal lamps, 3 glass that lets every other ray through, 4 a poster,
# 5 a lamp that shines in the evening.
_BOXES = np.array(
    [
        [0, -0.06, 0.06, -0.06, 0.06, 0.0, 6.9, 92, 96, 98, 0],
        [0, -0.11, 0.11, -0.11, 0.11, 0.0, 0.9, 84, 88, 90, 0],
        [0, -0.05, 1.7, -0.04, 0.04, 6.8, 6.9, 92, 96, 98, 0],
        [0, 1.1, 1.9, -0.15, 0.15, 6.72, 6.88, 120, 122, 124, 5],
        [1, -0.035, 0.035, -0.035, 0.035, 0.0, 2.75, 150, 152, 154, 0],
        [1, 0.04, 0.07, -0.32, 0.32, 2.05, 2.69, 150, 152, 154, 1],
        [2, -0.06, 0.06, -0.06, 0.06, 0.0, 3.3, 70, 74, 76, 0],
        [2, 0.06, 0.28, -0.15, 0.15, 2.35, 3.25, 30, 32, 32, 2],
        [2, -0.10, 0.10, -0.10, 0.10, 0.9, 1.15, 200, 170, 40, 0],
        [3, -0.24, 0.24, -0.80, 0.80, 0.42, 0.48, 138, 100, 64, 0],
        [3, -0.28, -0.22, -0.80, 0.80, 0.52, 0.88, 138, 100, 64, 0],
        [3, -0.22, 0.20, -0.68, -0.62, 0.0, 0.42, 50, 52, 52, 0],
        [3, -0.22, 0.20, 0.62, 0.68, 0.0, 0.42, 50, 52, 52, 0],
        [4, -0.8, 0.8, -2.1, 2.1, 2.38, 2.5, 74, 78, 82, 0],
        [4, -0.76, -0.70, -2.0, 2.0, 0.25, 2.2, 150, 168, 176, 3],
        [4, -0.78, 0.55, 1.95, 2.05, 0.3, 2.1, 90, 94, 98, 4],
        [4, -0.78, -0.68, -2.05, -1.95, 0.0, 2.4, 74, 78, 82, 0],
        [4, -0.78, -0.68, 1.95, 2.05, 0.0, 2.4, 74, 78, 82, 0],
        [4, 0.50, 0.58, -2.05, -1.97, 0.0, 2.4, 74, 78, 82, 0],
        [4, -0.66, -0.30, -1.3, 1.2, 0.42, 0.48, 130, 132, 134, 0],
        [5, -0.07, 0.07, -0.07, 0.07, 0.0, 0.85, 66, 68, 70, 0],
        [5, -0.075, 0.075, -0.075, 0.075, 0.66, 0.74, 214, 214, 208, 0],
    ],
    dtype=np.float32,
)
_FIRST = np.array([0, 4, 6, 9, 13, 20, 22])
LENGTH = np.array([1.95, 0.10, 0.30, 0.30, 0.85, 0.10])
"""How far each kind reaches forwards and backwards from its foot at most, metres."""
WIDTH = np.array([0.16, 0.33, 0.16, 0.82, 2.15, 0.10])
"""How far each kind reaches to the sides, metres."""
HEIGHT = np.array([7.0, 2.8, 3.4, 0.95, 2.55, 0.9])
"""Height of each kind, metres."""


@compiled
def _slab(origin: float, direction: float, low: float, high: float) -> tuple[float, float]:
    if abs(direction) < 1e-7:
        return (-1e9, 1e9) if low <= origin <= high else (1e9, -1e9)
    first, second = (low - origin) / direction, (high - origin) / direction
    return min(first, second), max(first, second)


@compiled
def hit_box(box: np.ndarray, oa: float, oc: float, oh: float, da: float, dc: float, dh: float) -> tuple[float, int]:
    """Where a ray enters a box (low and high along, across, up): distance (-1 when missed), axis of the face."""
    a0, a1 = _slab(oa, da, box[0], box[1])
    c0, c1 = _slab(oc, dc, box[2], box[3])
    h0, h1 = _slab(oh, dh, box[4], box[5])
    entry = max(a0, c0, h0)
    if entry <= 0.0 or entry >= min(a1, c1, h1):
        return -1.0, 0
    if entry == a0:
        return entry, 0
    return entry, (1 if entry == c0 else 2)


@compiled
def hit_furniture(
    kind: int, seed: int, day: int, oa: float, oc: float, oh: float, da: float, dc: float, dh: float
) -> tuple[float, float, float, float, float, float, float, float]:
    """The first point of a piece of furniture on a ray given in its own frame (along, across, up).

    Returns:
        distance (-1 when missed), red, green, blue, own light in the evening, normal along, across, up.
    """
    best, chosen, axis = 1e9, -1, 0
    for k in range(_FIRST[kind], _FIRST[kind + 1]):
        distance, face = hit_box(_BOXES[k, 1:7], oa, oc, oh, da, dc, dh)
        if 0.0 < distance < best:
            across, up = oc + distance * dc, oh + distance * dh
            if _BOXES[k, 10] == 1.0 and not _on_sign(seed, across / 0.32, (up - 2.37) / 0.32):
                continue
            if _BOXES[k, 10] == 3.0 and (math.floor(across * 60.0) + math.floor(up * 60.0)) & 1:
                continue
            best, chosen, axis = distance, k, face
    if chosen < 0:
        return -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    along, across, up = oa + best * da, oc + best * dc, oh + best * dh
    r, g, b, glow = float(_BOXES[chosen, 7]), float(_BOXES[chosen, 8]), float(_BOXES[chosen, 9]), 0.0
    paint = int(_BOXES[chosen, 10])
    if paint == 1 and da < 0.0 and axis == 0:
        r, g, b = _sign_colour(seed, across / 0.32, (up - 2.37) / 0.32)
    elif paint == 2 and axis == 0 and da < 0.0:
        r, g, b, glow = _signal_colour(seed, day, across, (up - 2.35) / 0.9)
    elif paint == 4 and axis == 1:
        x, y = (along + 0.78) / 1.33, (up - 0.3) / 1.8
        if 0.06 < x < 0.94 and 0.05 < y < 0.95:
            patch = hash_unit(int(x * 2.5), int(y * 3.5), seed)
            r = 90.0 + 150.0 * patch
            g = 90.0 + 150.0 * hash_unit(seed, int(y * 3.5), 5)
            b = 90.0 + 120.0 * hash_unit(seed, int(x * 2.5), 6)
            glow = 0.6
    elif paint == 5:
        glow = 0.9
    if axis == 0:
        return best, r, g, b, glow, -math.copysign(1.0, da), 0.0, 0.0
    if axis == 1:
        return best, r, g, b, glow, 0.0, -math.copysign(1.0, dc), 0.0
    return best, r, g, b, glow, 0.0, 0.0, -math.copysign(1.0, dh)


@compiled
def _on_sign(seed: int, x: float, y: float) -> bool:
    """Whether the plate of a sign covers (x, y) in -1..1."""
    shape = seed % 5
    if shape <= 1:
        return x * x + y * y < 1.0
    if shape == 2:
        return y > -0.8 and abs(x) < 0.55 * (1.0 - y) + 0.02
    if shape == 3:
        return abs(x) + abs(y) < 1.0
    return abs(y) < 0.45


@compiled
def _sign_colour(seed: int, x: float, y: float) -> tuple[float, float, float]:
    shape = seed % 5
    if shape == 0:
        if x * x + y * y > 0.62:
            return 200.0, 30.0, 34.0
        return (24.0, 24.0, 26.0) if abs(x) > 0.08 and abs(x) < 0.42 and abs(y) < 0.32 else (238.0, 238.0, 236.0)
    if shape == 1:
        if abs(x - y) < 0.14 and seed % 2:
            return 200.0, 30.0, 34.0
        return (32.0, 84.0, 170.0) if x * x + y * y < 0.86 else (232.0, 232.0, 232.0)
    if shape == 2:
        inner = y > -0.58 and abs(x) < 0.55 * (0.62 - y)
        return (238.0, 238.0, 234.0) if inner else (200.0, 32.0, 34.0)
    if shape == 3:
        return (236.0, 190.0, 40.0) if abs(x) + abs(y) < 0.72 else (236.0, 236.0, 232.0)
    letter = hash_unit(math.floor(x * 8.0), seed, 3) < 0.7 and abs(y) < 0.2
    return (240.0, 240.0, 240.0) if letter else (30.0, 72.0, 130.0)


@compiled
def _signal_colour(seed: int, day: int, across: float, up: float) -> tuple[float, float, float, float]:
    lamp = min(2, max(0, int(up * 3.0)))
    y = (up * 3.0 - lamp - 0.5) * 0.30
    if across * across + y * y > 0.011:
        return 30.0, 32.0, 32.0, 0.0
    lit = int(hash_unit(seed, day, 61) * 2.2)
    on = (lit == 0 and lamp == 2) or (lit == 1 and lamp == 0) or (lit == 2 and lamp == 1)
    tone = 1.0 if on else 0.28
    glow = 0.3 if on else 0.0
    if lamp == 2:
        return 250.0 * tone, 50.0 * tone, 40.0 * tone, glow
    if lamp == 1:
        return 250.0 * tone, 190.0 * tone, 50.0 * tone, glow
    return 50.0 * tone, 230.0 * tone, 120.0 * tone, glow
