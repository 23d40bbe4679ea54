"""Squares on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Square:
    """A square with its sides along the axes of a projected frame.

    Attributes:
        x: Easting of the centre, metres.
        y: Northing of the centre, metres.
        side: Length of a side, metres, above zero.
    """

    x: float
    y: float
    side: float

    def __post_init__(self) -> None:
        """Refuses squares that have no place or no size.

        Raises:
            ValueError: A coordinate is not finite or the side is not positive.
        """
        if not (math.isfinite(self.x) and math.isfinite(self.y) and math.isfinite(self.side) and self.side > 0):
            raise ValueError(f"a square needs a finite centre and a positive side, not {self}")

    @property
    def west(self) -> float:
        """Easting of the western edge, metres."""
        return self.x - self.side / 2

    @property
    def east(self) -> float:
        """Easting of the eastern edge, metres."""
        return self.x + self.side / 2

    @property
    def south(self) -> float:
        """Northing of the southern edge, metres."""
        return self.y - self.side / 2

    @property
    def north(self) -> float:
        """Northing of the northern edge, metres."""
        return self.y + self.side / 2

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north), metres."""
        return self.west, self.south, self.east, self.north

    def expanded(self, margin: float) -> Square:
        """The square grown by a margin on every side.

        Args:
            margin: Metres added on each of the four sides; negative shrinks.
        """
        return Square(self.x, self.y, self.side + 2 * margin)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether points lie in the square.

        The western and northern edges belong to the square, the eastern and southern do not, so that
        squares side by side share no point.

        Args:
            x: Eastings, metres, any shape.
            y: Northings, metres, of a shape that broadcasts with `x`.

        Returns:
            One bool a point.
        """
        east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
        inside = (east >= self.west) & (east < self.east) & (north > self.south) & (north <= self.north)
        return np.asarray(inside, np.bool_)

    def pixel_centres(self, pixels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ground coordinates of the pixel centres of an image of the square.

        Args:
            pixels: Pixels a side.

        Returns:
            Eastings of the columns from the west and northings of the rows from the north (so descending),
            each of shape (pixels,), metres.
        """
        offsets = (np.arange(pixels, dtype=np.float64) + 0.5) * (self.side / pixels) - self.side / 2
        return self.x + offsets, self.y - offsets
