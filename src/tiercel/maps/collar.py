"""Collars: the white or black that fills JPEG tiles beyond the edge of the imagery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A collar is recognised by a corner of the tile, one JPEG block, that is as white or black as can be.
#: None of the 1,002 tiles of a Swiss town has such a corner on the ground: flat bright corners end at 216.
_BLOCK = 8
_FLAT = 4
#: Near its inner edge, JPEG lets a collar waver this much.
_WAVERING = 20


def collar(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels of a tile that are collar rather than ground.

    From every side of the tile that has a blank corner, blank pixels count up to the first that is not.

    Args:
        rgb: (h, w, 3) a tile without transparency.

    Returns:
        (h, w) bool.
    """
    found = np.zeros(rgb.shape[:2], np.bool_)
    for darkness in (255 - rgb.min(-1), rgb.max(-1)):
        blank = darkness <= _WAVERING
        for turns in range(4):
            # Each side in turn is brought to the top, where its corners are the two ends of the first rows.
            top, into = np.rot90(darkness, turns), np.rot90(found, turns)
            if min(top[:_BLOCK, :_BLOCK].max(), top[:_BLOCK, -_BLOCK:].max()) <= _FLAT:
                into |= np.logical_and.accumulate(np.rot90(blank, turns), axis=0)
    return found
