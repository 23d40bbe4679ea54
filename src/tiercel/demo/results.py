"""What the demo found out: every photo with its truth, its fix and how far the two are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tiercel.fix import Fix
    from tiercel.photos import Photo

RADII_M = (40, 50, 100)
"""The distances within which an answer counts as right."""

KINDS = {
    "panorama_north": "panorama, north known",
    "panorama": "panorama, heading unknown",
    "photo_90_north": "90° photo, north known",
    "photo_90": "90° photo, heading unknown",
}
"""The kinds of photos, by the name their rows of results carry."""


@dataclass(frozen=True)
class Located:
    """A photo whose place is known, and where it was found.

    Attributes:
        kind: one of :data:`KINDS`.
        photo: what the locator was given.
        x: true easting, metres in the map's frame.
        y: true northing.
        fix: the answer, from the posterior over the whole map.
        greedy: (x, y) where zooming in greedily ends.
    """

    kind: str
    photo: Photo
    x: float
    y: float
    fix: Fix
    greedy: tuple[float, float]

    @property
    def error_m(self) -> float:
        """Distance from the answer to the truth, in metres."""
        return self.fix.distance(self.x, self.y)

    @property
    def greedy_error_m(self) -> float:
        """Distance from where greedy zooming ends to the truth, in metres."""
        return math.hypot(self.greedy[0] - self.x, self.greedy[1] - self.y)


def recalls(errors_m: Sequence[float]) -> list[float]:
    """Share of answers within each of :data:`RADII_M`, in percent."""
    return [100 * float(np.mean(np.asarray(errors_m) <= radius)) for radius in RADII_M]


def chance(located: Sequence[Located], cells: tuple[NDArray[np.float64], NDArray[np.float64]]) -> list[float]:
    """Recall of an answer drawn evenly from all covered leaf cells, in percent.

    Args:
        located: the photos.
        cells: x and y of the centres of the covered leaves.

    Returns:
        One expected recall for each of :data:`RADII_M`.
    """
    x, y = cells
    shares = [[float(np.mean(np.hypot(x - one.x, y - one.y) <= radius)) for radius in RADII_M] for one in located]
    return [100 * float(share) for share in np.mean(shares, axis=0)]


def methods(
    located: Sequence[Located], cells: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> dict[str, list[float]]:
    """Recall within :data:`RADII_M` by method, in percent."""
    return {
        "posterior over the whole map": recalls([one.error_m for one in located]),
        "greedy zooming": recalls([one.greedy_error_m for one in located]),
        "chance": chance(located, cells),
    }
