"""Repeatable randomness inside numba code: a hash of integers and smooth noise made from it."""

from __future__ import annotations

import math

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.inlined import inlined


@inlined
def hash_unit(first: int, second: int, third: int = 0) -> float:
    """A number in [0, 1) that looks random and is the same for the same three integers.

    The mixing is the 32-bit finaliser "lowbias32" (C. Wellons, "Prospecting for hash functions", 2018).
    """
    bits = np.uint32(
        (np.int64(first) * np.int64(73856093))
        ^ (np.int64(second) * np.int64(19349663))
        ^ (np.int64(third) * np.int64(83492791))
        ^ np.int64(0x9E3779B9)
    )
    bits ^= bits >> np.uint32(16)
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits ^= bits >> np.uint32(15)
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    bits ^= bits >> np.uint32(16)
    return float(bits) * 2.3283064e-10


@compiled
def value_noise(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1) with features of unit size at the continuous point (x, y)."""
    column = math.floor(x)
    row = math.floor(y)
    across = x - column
    down = y - row
    across = across * across * (3.0 - 2.0 * across)
    down = down * down * (3.0 - 2.0 * down)
    i = int(column)
    j = int(row)
    top = hash_unit(i, j, seed) * (1.0 - across) + hash_unit(i + 1, j, seed) * across
    bottom = hash_unit(i, j + 1, seed) * (1.0 - across) + hash_unit(i + 1, j + 1, seed) * across
    return top * (1.0 - down) + bottom * down


@inlined
def smooth_step(low: float, high: float, value: float) -> float:
    """0 below ``low``, 1 above ``high``, a smooth ramp between."""
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return share * share * (3.0 - 2.0 * share)
