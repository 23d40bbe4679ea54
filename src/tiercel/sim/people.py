"""Pedestrians: who stands where on a given day, and what a ray through one meets."""

from __future__ import annotations

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import hash_unit

_CLOTHES = np.array(
    [
        [34, 36, 42], [58, 62, 74], [40, 58, 96], [96, 96, 98], [168, 164, 156], [222, 220, 214], [142, 40, 40],
        [196, 150, 60], [70, 96, 70], [104, 78, 58], [176, 110, 128], [70, 120, 150],
    ],
    dtype=np.float32,
)  # fmt: skip
_SKINS = np.array([[232, 196, 170], [214, 172, 142], [178, 130, 98], [126, 86, 62], [86, 58, 44]], dtype=np.float32)
_HAIR = np.array([[36, 28, 24], [74, 52, 34], [150, 116, 70], [120, 120, 122], [24, 22, 22]], dtype=np.float32)


@compiled
def walker_at(index: int, day: int) -> tuple[bool, float, float, float]:
    """The pedestrian of a place on a day.

    Returns:
        present, shift east, shift north (metres), height (metres).
    """
    present = hash_unit(index, day, 41) < 0.35
    east = 1.6 * (hash_unit(index, day, 42) - 0.5)
    north = 1.6 * (hash_unit(index, day, 43) - 0.5)
    return present, east, north, 1.55 + 0.35 * hash_unit(index, day, 44)


@compiled
def person_colour(index: int, day: int, height: float, aside: float, up: float) -> tuple[float, float, float, float]:
    """What stands at a point of the upright plane through a pedestrian.

    Args:
        index: Row of ``World.walkers``.
        day: The day.
        height: Of the pedestrian, metres.
        aside: Metres to the side of the middle.
        up: Metres above the ground.

    Returns:
        red, green, blue (0..255; red -1 where there is nobody), roundness (-1..1 across the limb) for shading.
    """
    x, z = aside / height, up / height
    if z < 0.0 or z > 1.0 or abs(x) > 0.30:
        return -1.0, 0.0, 0.0, 0.0
    shirt = _CLOTHES[int(hash_unit(index, day, 45) * 12)]
    trousers = _CLOTHES[int(hash_unit(index, day, 46) * 5)]
    skin = _SKINS[int(hash_unit(index, day, 47) * 5)]
    hair = _HAIR[int(hash_unit(index, day, 48) * 5)]
    stride = 0.16 * (2.0 * hash_unit(index, day, 49) - 1.0)
    coat = hash_unit(index, day, 50) < 0.3
    long_hair = hash_unit(index, day, 51) < 0.4
    rise = (z - 0.935) / 0.066
    turn = x / 0.047
    if rise * rise + turn * turn < 1.0:
        if rise > 0.35 or (long_hair and abs(turn) > 0.6):
            return hair[0], hair[1], hair[2], turn
        return skin[0], skin[1], skin[2], turn
    if long_hair and abs(x) < 0.05 and 0.84 < z < 0.94:
        return hair[0], hair[1], hair[2], x / 0.05
    if abs(x) < 0.022 and 0.84 < z < 0.90:
        return skin[0], skin[1], skin[2], x / 0.03
    hem = 0.34 if coat else 0.50
    if hem < z < 0.855:
        half = 0.088 + 0.035 * min(1.0, max(0.0, (z - 0.5) / 0.25)) - max(0.0, (z - 0.80) * 0.9)
        if z < 0.5:
            half = 0.092 + 0.10 * (0.5 - z)
        if abs(x) < half:
            return shirt[0], shirt[1], shirt[2], x / half
    if 0.43 < z < 0.815:
        swing = 0.5 * stride * (0.815 - z) / 0.38
        for side in (-1.0, 1.0):
            middle = side * (0.135 + 0.02 * (0.815 - z)) - side * swing
            if abs(x - middle) < 0.028:
                if z < 0.47:
                    return skin[0], skin[1], skin[2], (x - middle) / 0.03
                return 0.9 * shirt[0], 0.9 * shirt[1], 0.9 * shirt[2], (x - middle) / 0.03
    if z < 0.52:
        for side in (-1.0, 1.0):
            middle = side * (0.045 + stride * side * (0.52 - z) * 0.9)
            half = 0.036 + 0.022 * z / 0.5
            if z < 0.045:
                half = 0.06
            if abs(x - middle) < half:
                if z < 0.045:
                    return 38.0, 34.0, 32.0, (x - middle) / half
                return trousers[0], trousers[1], trousers[2], (x - middle) / half
    return -1.0, 0.0, 0.0, 0.0
