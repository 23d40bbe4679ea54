"""What a camera makes of the light: exposure, white balance, contrast, saturation, sharpness and noise."""

from __future__ import annotations

import numpy as np

from tiercel.sim.compiled import compiled
from tiercel.sim.noise import hash_unit
from tiercel.sim.sky import StreetLook
from tiercel.sim.world import Bytes, Floats


def develop(picture: Bytes, look: StreetLook, seed: int) -> Bytes:
    """Apply a look's camera to a rendered picture.

    Args:
        picture: (H, W, 3) uint8.
        look: The look.
        seed: Of the noise.

    Returns:
        (H, W, 3) uint8.
    """
    gains = np.array(look.balance, np.float32) * np.float32(look.exposure)
    return _develop(picture, gains, look.contrast, look.saturation, look.noise, look.sharpness, seed)


@compiled
def _develop(
    picture: Bytes, gains: Floats, contrast: float, saturation: float, noise: float, sharpness: float, seed: int
) -> Bytes:
    height, width = picture.shape[0], picture.shape[1]
    out = np.empty_like(picture)
    # Soft cameras spread up to two thirds of a pixel's light to its neighbours; sharpened ones take some back.
    own = 1.0 + 0.6 * sharpness
    spread = 0.25 * (1.0 - own)
    triple = np.empty(3, np.float32)
    for row in range(height):
        up, down = max(0, row - 1), min(height - 1, row + 1)
        for column in range(width):
            left, right = max(0, column - 1), min(width - 1, column + 1)
            grey = 0.0
            for channel in range(3):
                value = own * picture[row, column, channel] + spread * (
                    float(picture[up, column, channel])
                    + picture[down, column, channel]
                    + picture[row, left, channel]
                    + picture[row, right, channel]
                )
                value = (value * gains[channel] - 118.0) * contrast + 118.0
                triple[channel] = value
                grey += value / 3.0
            chance = hash_unit(row * width + column, seed, 23) if noise > 0.0 else 0.5
            for channel in range(3):
                # The sum of two uniform numbers, cut out of one hash, is close enough to a bell.
                chance = chance * 1021.0
                first = chance - int(chance)
                chance = first * 1019.0
                second = chance - int(chance)
                chance = second
                value = grey + (triple[channel] - grey) * saturation + noise * 2.45 * (first + second - 1.0)
                out[row, column, channel] = int(min(255.0, max(0.0, value + 0.5)))
    return out
